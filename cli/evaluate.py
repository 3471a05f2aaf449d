"""`dltc eval`: measure a trained run."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Console
from .options import cache_option, output_options
from .specs import Choices
from .words import OneOf


@click.command("eval", short_help="Measure a trained run on its test data.")
@click.argument("run", metavar="RUN")
@click.option("--part", type=OneOf(["train", "valid", "test"]), help="Part of the data (default: test).")
@click.option("--device", default="cpu", metavar="DEVICE", help="cpu (default), cuda or cuda:1.")
@click.option("--allow-extern", is_flag=True, help="Allow `extern` operations, which run Python code.")
@click.option("--allow-path", is_flag=True, help="Allow files outside the spec's folder.")
@cache_option
@output_options
def command(
    console: Console, run: str, part: str | None, device: str, cached: bool, allow_extern: bool, allow_path: bool
) -> None:
    """Load the checkpoint of a run and print its metrics on the test part of its data.

    The spec stored in the run is compiled again with the options it was trained with; the data must be unchanged.

    \b
    Example:
      dltc eval runs/digits-1 --part train --json
    """
    from ..runtime.errors import AssertFailed
    from .running import evaluate_folder, show_metrics

    given = Choices(allow_extern=allow_extern, allow_path=allow_path, cached=cached)
    try:
        chosen, scores = evaluate_folder(Path(run), given, device=device, part=part, console=console)
    except AssertFailed as error:
        if not console.json:
            show_metrics(console, error.part, error.scores)
        raise
    if console.json:
        console.object(run=run, part=chosen, **scores.row())
    else:
        show_metrics(console, chosen, scores)
