"""`dltc explain`: what a diagnostic code means."""

from __future__ import annotations

import click

from ..compiler.codes import CODES
from ..compiler.diagnostics import did_you_mean
from .console import Console
from .options import output_options


@click.command("explain", short_help="Say what a diagnostic code means.")
@click.argument("codes", nargs=-1, metavar="[CODE...]")
@output_options
def command(console: Console, codes: tuple[str, ...]) -> None:
    """Say what diagnostic codes mean; without a code, list them all.

    \b
    Example:
      dltc explain E0203
    """
    wanted = [code.upper() for code in codes] or list(CODES)
    for code in wanted:
        if code not in CODES:
            hint = did_you_mean(code, CODES) or "`dltc explain` lists all codes"
            raise click.UsageError(f"{code} is not a diagnostic code; {hint}")
    if console.json:
        console.object(codes={code: CODES[code] for code in wanted})
    else:
        console.result("\n".join(f"{code}  {CODES[code]}" for code in wanted))
