"""`dltc train`: train the model of a spec in a run folder."""

from __future__ import annotations

import click

from .console import Console
from .options import cache_option, output_options, spec_options, target_option, without_option
from .specs import Choices, read_spec


@click.command("train", short_help="Train the model of a spec in a run folder.")
@click.argument("spec", metavar="SPEC")
@click.option("-o", "--out", metavar="RUN", help="Run folder (default: the next runs/<model>-<n>).")
@click.option("--resume", is_flag=True, help="Go on from the run's checkpoint, step for step as without a break.")
@click.option("--force", is_flag=True, help="Drop the run in the folder and start over.")
@click.option("--device", default="cpu", metavar="DEVICE", help="cpu (default), cuda or cuda:1.")
@cache_option
@target_option
@without_option
@output_options
@spec_options
def command(
    console: Console, spec: str, out: str | None, resume: bool, force: bool, device: str, choices: Choices
) -> None:
    """Train the model of a spec on its data, as its `data` and `train` blocks say.

    The run folder gets metrics.jsonl, a checkpoint (safetensors and JSON), the generated module, the spec, a log and, with
    matplotlib, curves.png.
    Ctrl-C saves a checkpoint first; `--resume` goes on from it. Metrics are of the test part of the data, or of the
    training data when there is none.

    \b
    Example:
      dltc train digits.dlt -o runs/wide --set hid=256 --set train.epochs=40
      dltc train digits.dlt -o runs/wide --set hid=256 --set train.epochs=80 --resume

    Exit code: 0 done, 1 errors in the spec or its data, 2 the run folder is refused or the data file is missing,
    4 the run diverged or an `assert` does not hold, 130 or 143 interrupted after saving.
    """
    from ..runtime.errors import AssertFailed
    from ..runtime.progress import make_progress
    from .running import draw_curves, show_metrics, train_spec

    try:
        result = train_spec(
            read_spec(spec),
            choices,
            out,
            resume=resume,
            force=force,
            device=device,
            progress=make_progress(quiet=console.quiet),
            console=console,
        )
    except AssertFailed as error:
        if not console.json:
            show_metrics(console, error.part, error.scores)
        raise
    draw_curves(result.folder)
    outcome = result.outcome
    module = result.module
    parameters = sum(parameter.numel() for parameter in module.parameters())
    console.detail(f"{parameters} parameters, {module.examples} training examples, {module.dtype} on {module.device}")
    if console.json:
        console.object(
            **outcome.scores.row(),
            **({"tasks": [one.mean for one in outcome.tasks]} if outcome.tasks else {}),
            part=outcome.part,
            steps=outcome.steps,
            seconds=outcome.seconds,
            run=result.folder.as_posix(),
        )
        return
    show_metrics(console, outcome.part, outcome.scores)
    for k, scores in enumerate(outcome.tasks):
        console.result(f"task {k}: {scores.text()}")
    console.result(f"run: {result.folder.as_posix()}")
    console.note(f"{outcome.steps} steps in {outcome.seconds:.1f} s")
