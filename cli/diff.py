"""`dltc diff`: what changed in meaning between two specs or runs."""

from __future__ import annotations

import click

from ..compiler.diagnostics import SpecError
from .console import Console
from .options import output_options, spec_options
from .specs import Choices, compile_spec, read_side


@click.command("diff", short_help="Compare what two specs or runs mean.")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@output_options
@spec_options
def command(console: Console, before: str, after: str, choices: Choices) -> int:
    """Compare the meaning of two specs: each may be a spec file, a run folder or `REV:path` of git.

    Layout, comments, order of statements and names that nothing outside sees make no difference.

    \b
    Example:
      dltc diff HEAD~1:digits.dlt digits.dlt
      dltc diff runs/digits-1 digits.dlt

    Exit code: 0 same meaning, 1 different, 2 trouble (a spec with errors is trouble).
    """
    try:
        sides = [compile_spec(*read_side(side, choices), "diff") for side in (before, after)]
    except SpecError as error:
        console.diagnostics(error.diagnostics, error.sources)
        return 2
    from ..compiler.diff import diff_artefacts

    found = diff_artefacts(sides[0], sides[1])
    if console.json:
        console.object(**found.to_json())
    elif not found.same:
        console.result(str(found))
    else:
        console.note("same meaning")
    return int(not found.same)
