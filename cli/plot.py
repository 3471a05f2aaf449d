"""`dltc plot`: the curves of one run, or of several over each other."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Console
from .options import output_options
from .specs import Unreadable

_KINDS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}


@click.command("plot", short_help="Draw the curves of runs.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help="A .png, .svg or .pdf file (default: curves.png in the run, or here for several).",
)
@output_options
def command(console: Console, runs: tuple[str, ...], out: str | None) -> None:
    """Draw what runs have logged: a panel per metric, a colour per run; dotted is training, solid valid data, a dot the
    final test.

    \b
    Example:
      dltc plot runs/digits-1
      dltc plot runs/digits-1 runs/wide -o both.svg
    """
    from ..runtime.curves import CURVES_FILE, draw
    from ..runtime.files import write_atomic

    folders = [Path(run) for run in runs]
    path = Path(out) if out is not None else (folders[0] if len(folders) == 1 else Path()) / CURVES_FILE
    if path.suffix not in _KINDS:
        raise Unreadable(f"{path} is of no known kind: name a {', '.join(_KINDS)} file")
    picture = draw(folders, kind=_KINDS[path.suffix])
    try:
        write_atomic(path, picture)
    except OSError as error:
        raise Unreadable(f"{path} cannot be written: {error.strerror}") from error
    if console.json:
        console.object(runs=list(runs), out=path.as_posix())
    else:
        console.result(path.as_posix())
