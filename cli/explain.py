"""`dltc explain`: what a diagnostic code means."""

from __future__ import annotations

import click

from ..compiler.codes import CODES
from ..compiler.diagnostics import did_you_mean
from ..compiler.explanations import explanations
from .console import Console, escape
from .options import output_options


@click.command("explain", short_help="Say what a diagnostic code means.")
@click.argument("codes", nargs=-1, metavar="[CODE...]")
@output_options
def command(console: Console, codes: tuple[str, ...]) -> None:
    """Say what diagnostic codes mean, each with an example and its fix; without a code, list them all.

    \b
    Example:
      dltc explain E0203
    """
    wanted = [code.upper() for code in codes]
    for code in wanted:
        if code not in CODES:
            hint = did_you_mean(code, CODES) or "`dltc explain` lists all codes"
            raise click.UsageError(f"{code} is not a diagnostic code; {hint}")
    if not wanted and not console.json:
        console.result("\n".join(f"{code}  {title}" for code, title in CODES.items()))
        return
    known = explanations()
    if console.json:
        console.object(codes={code: known[code].to_json() for code in wanted or CODES})
    else:
        console.result(escape("\n\n\n".join(known[code].text() for code in wanted)))
