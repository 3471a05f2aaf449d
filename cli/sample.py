"""`dltc sample`: examples from the joint density that a spec declares."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Console
from .options import output_options, spec_options
from .specs import Choices, Unreadable


@click.command("sample", short_help="Draw examples from the declared joint density.")
@click.argument("source", metavar="SPEC|RUN")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 10_000_000),
    help="Number of examples (default: 10, or the rows of --given).",
)
@click.option(
    "--given", metavar="DATA", help="A file (.npz, .csv, .parquet, or a text) with inputs that are not to be drawn."
)
@click.option(
    "-o", "--out", metavar="OUT", default="-", help="OUT.npz, OUT.jsonl or - (default): JSON lines on standard output."
)
@click.option("--device", default="cpu", metavar="DEVICE", help="cpu (default), cuda or cuda:1.")
@output_options
@spec_options
def command(
    console: Console, source: str, count: int | None, given: str | None, out: str, device: str, choices: Choices
) -> None:
    """Draw inputs in the order in which their densities read each other, and compute the outputs.

    Of a SPEC the parameters are draws from their priors: the prior predictive distribution. Of a RUN they are the trained
    ones. Inputs without a density of their own must be given. The seed is the spec's, or --seed; example k is the same for
    every -n.

    \b
    Example:
      dltc sample specs/regression.dlt -n 100 --given x.csv -o draws.npz
      dltc sample runs/mixture-1 -n 5
    """
    from ..runtime.files import write_atomic
    from .running import sample_from

    if out != "-" and Path(out).suffix not in (".npz", ".jsonl"):
        raise Unreadable(f"{out} is of no known kind: name an .npz or a .jsonl file, or - for standard output")
    data = Path(given) if given is not None else None
    content, rows = sample_from(source, count, data, choices, device=device, binary=out.endswith(".npz"))
    if out == "-":
        click.echo(content.decode(), nl=False)
        return
    try:
        write_atomic(Path(out), content)
    except OSError as error:
        raise Unreadable(f"{out} cannot be written: {error.strerror}") from error
    if console.json:
        console.object(source=source, rows=rows, out=out)
    else:
        console.note(f"{rows} rows -> {out}")
