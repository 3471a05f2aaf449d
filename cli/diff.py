"""`dltc diff`: what changed in meaning between two specs or runs."""

from __future__ import annotations

import click

from ..compiler.diagnostics import SpecError, did_you_mean
from .console import Console, escape
from .options import output_options, spec_options
from .specs import Choices, compare, compile_spec, read_side
from .words import OneOf


@click.command("diff", short_help="Compare what two specs or runs mean.")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option(
    "--level", type=OneOf(("spec", "graph", "optimized")), default="graph", help="What is compared: graph (default)."
)
@click.option(
    "--fail-on", metavar="CLASS", help="Exit with 1 only for changes of this class; may be repeated.", multiple=True
)
@output_options
@spec_options
def command(console: Console, before: str, after: str, level: str, fail_on: tuple[str, ...], choices: Choices) -> int:
    """Compare the meaning of two specs: each may be a spec file, a run folder or `REV:path` of git.

    Every change has a class: semantic (equations and likelihoods), params, prior, learning, schedule, rename, cosmetic.
    The last two leave the meaning as it is; layout, comments and the order of statements are no change at all.

    \b
    Example:
      dltc diff HEAD~1:digits.dlt digits.dlt
      dltc diff runs/digits-1 digits.dlt --fail-on semantic

    Exit code: 0 same meaning, 1 different, 2 trouble (a spec with errors is trouble).
    """
    try:
        sides = [compile_spec(*read_side(side, choices), "diff") for side in (before, after)]
    except SpecError as error:
        console.diagnostics(error.diagnostics, error.sources)
        return 2
    from ..compiler.diff import CLASSES, LEVELS

    if level not in LEVELS:
        raise click.UsageError(f"`{level}` is not compared yet: there is {', '.join(LEVELS)}")
    unknown = [name for name in fail_on if name not in CLASSES]
    if unknown:
        hint = did_you_mean(unknown[0], CLASSES) or f"there are {', '.join(CLASSES)}"
        raise click.UsageError(f"`{unknown[0]}` is not a class of changes; {hint}")
    found = compare(sides[0], sides[1], level)
    if console.json:
        console.object(**found.to_json())
    else:
        console.result(escape(str(found)))
    return int(any(found.of_class(name) for name in fail_on) if fail_on else not found.same)
