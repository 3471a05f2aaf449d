"""`dltc predict`: what a trained run says of new data."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Console
from .options import cache_option, output_options
from .specs import Choices, Unreadable


@click.command("predict", short_help="Compute a trained run's outputs on new data.")
@click.argument("run", metavar="RUN")
@click.argument("data", metavar="DATA")
@click.option(
    "-o", "--out", metavar="OUT", default="-", help="OUT.npz, OUT.jsonl or - (default): JSON lines on standard output."
)
@click.option("--device", default="cpu", metavar="DEVICE", help="cpu (default), cuda or cuda:1.")
@click.option("--allow-extern", is_flag=True, help="Allow `extern` operations, which run Python code.")
@click.option("--allow-path", is_flag=True, help="Allow files outside the spec's folder.")
@cache_option
@output_options
def command(
    console: Console, run: str, data: str, out: str, device: str, cached: bool, allow_extern: bool, allow_path: bool
) -> None:
    """Load the checkpoint of a run and write the outputs for every row of DATA (.npz, .csv, .parquet, or a text).

    DATA has the columns that the spec reads; those of inputs that no output needs, the target among them, may be missing.
    `standardize` uses the statistics of the training data. The spec stored in the run is compiled again.

    \b
    Example:
      dltc predict runs/digits-1 new.npz -o scores.npz
      dltc predict runs/forecast-1 today.csv > predictions.jsonl
    """
    from ..runtime.files import write_atomic
    from ..runtime.progress import make_progress
    from .running import predict_folder

    if out != "-" and Path(out).suffix not in (".npz", ".jsonl"):
        raise Unreadable(f"{out} is of no known kind: name an .npz or a .jsonl file, or - for standard output")
    given = Choices(allow_extern=allow_extern, allow_path=allow_path, cached=cached)
    content, rows = predict_folder(
        Path(run),
        Path(data),
        given,
        device=device,
        binary=out.endswith(".npz"),
        progress=make_progress(quiet=console.quiet),
        console=console,
    )
    if out == "-":
        click.echo(content.decode(), nl=False)
        return
    try:
        write_atomic(Path(out), content)
    except OSError as error:
        raise Unreadable(f"{out} cannot be written: {error.strerror}") from error
    if console.json:
        console.object(run=run, rows=rows, out=out)
    else:
        console.note(f"{rows} rows -> {out}")
