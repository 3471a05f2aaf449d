"""`dltc cache`: where the compile cache is, what it holds, and emptying it."""

from __future__ import annotations

import click

from ..runtime import cache as store
from ..runtime.private import cache_folder
from .console import Console
from .options import output_options
from .words import OneOf


@click.command("cache", short_help="Show or clear the compile cache.")
@click.argument("action", type=OneOf(["show", "clear"]), default="show", metavar="[show|clear]")
@output_options
def command(console: Console, action: str) -> None:
    """Show where the compile cache is and what it takes, or clear it.

    `train`, `build`, `eval` and `predict` keep what they compile and skip the compiler when nothing that the result depends
    on has changed: the spec, the files it uses, the options, dltc itself. DLTC_CACHE names another folder; DLTC_CACHE=off, or
    `--no-cache`, keeps nothing. What was not used for longest goes when the cache grows beyond its limit.

    \b
    Example:
      dltc cache
      dltc cache clear
    """
    place = cache_folder().as_posix()
    if action == "clear":
        count, size = store.clear()
        if console.json:
            console.object(place=place, cleared=count, bytes=size)
        else:
            console.result(f"entries cleared: {count} ({size} bytes)")
        return
    found = store.entries()
    programs = sum(entry.path.parent.name == store.PROGRAMS for entry in found)
    size = sum(entry.size for entry in found)
    counts = {"programs": programs, "modules": len(found) - programs}
    if console.json:
        console.object(
            place=place, enabled=store.enabled(), entries=len(found), **counts, bytes=size, limit=store.LIMIT
        )
        return
    console.result(f"{place}{'' if store.enabled() else ' (off: nothing is kept)'}")
    console.result(f"programs: {programs}, loaded modules: {counts['modules']}")
    console.result(f"bytes: {size} of at most {store.LIMIT}")
