"""`dltc check`: all diagnostics of specs, and of the headers of their data files."""

from __future__ import annotations

import sys

import click

from ..compiler.diagnostics import Diagnostic, Source, SpecError
from .console import Console
from .data_check import header_findings
from .options import about_options, output_options, spec_options
from .specs import Choices, Unreadable, check_spec, read_spec


@click.command("check", short_help="Report everything that is wrong with specs.")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@output_options
@spec_options
def command(console: Console, specs: tuple[str, ...], choices: Choices) -> int:
    """Report everything that is wrong with one or several specs; print nothing when all is fine.

    All independent errors of a file are reported in one run, each with its place and one fix. Where a data file is
    there, its columns are compared with the inputs (only headers are read). `-` reads from standard input.

    \b
    Example:
      dltc check digits.dlt specs/*.dlt
      dltc check --json digits.dlt | jq '.diagnostics[].message'

    Exit code: 0 fine (warnings included), 1 errors found, 2 a spec cannot be read.
    """
    items: list[Diagnostic] = []
    sources: dict[str, Source] = {}
    unreadable = False
    for path in specs:
        try:
            found, texts = _check(path, choices)
        except Unreadable as error:
            console.error(error.message)
            unreadable = True
            continue
        console.detail(f"{path}: {_summary(found) or 'fine'}")
        items += found
        sources |= texts
    console.diagnostics(items, sources, stream=sys.stdout)
    if items and not console.json:
        console.note(_summary(items))
    return 2 if unreadable or about_options(items) else int(any(item.severity == "error" for item in items))


def _check(path: str, choices: Choices) -> tuple[list[Diagnostic], dict[str, Source]]:
    """Findings of one spec in the order of the text, and the texts that they point into."""
    try:
        spec = read_spec(path)
    except SpecError as error:
        return list(error.diagnostics), error.sources
    checked = check_spec(spec, choices)
    found = checked.findings.sorted()
    if checked.model is not None and not checked.findings.errors:
        found += header_findings(checked.model, spec.folder, allow_path=choices.allow_path)
    return found, checked.findings.sources


def _summary(items: list[Diagnostic]) -> str:
    """``2 errors, 1 warning``, or nothing."""
    errors = sum(item.severity == "error" for item in items)
    counts = ((errors, "error"), (len(items) - errors, "warning"))
    return ", ".join(f"{count} {noun}{'s' if count > 1 else ''}" for count, noun in counts if count)
