"""`dltc fmt`: specs in one layout."""

from __future__ import annotations

import difflib
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from ..compiler.diagnostics import Diagnostic, Source, SpecError, to_json
from ..runtime.files import write_atomic
from .console import Console, escape
from .options import output_options
from .specs import Unreadable, read_spec


@dataclass(frozen=True, slots=True)
class _Result:
    """A spec before and after; ``after`` is None where syntax errors leave it as it is."""

    path: str
    name: str
    before: str
    after: str | None
    findings: list[Diagnostic]
    sources: dict[str, Source]

    @property
    def changed(self) -> bool:
        return self.after is not None and self.after != self.before

    def diff(self) -> str:
        """A unified diff; empty when nothing changes."""
        before, after = self.before.splitlines(keepends=True), (self.after or self.before).splitlines(keepends=True)
        names = f"{self.name} (as it is)", f"{self.name} (formatted)"
        rows = difflib.unified_diff(before, after, *names)
        return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows)


@click.command("fmt", short_help="Lay out specs in the one canonical way.")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--check", is_flag=True, help="Change nothing; list the files that would change.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@output_options
def command(console: Console, specs: tuple[str, ...], check: bool, diff: bool) -> int:
    """Rewrite specs in the canonical layout; `-` reads from standard input and prints the result.

    Indentation, blanks, columns and long lines are set; comments, the grouping by blank lines, the order of statements,
    numbers, parentheses and the case of names stay.  A file with syntax errors is reported and left as it is.

    \b
    Example:
      dltc fmt digits.dlt specs/*.dlt
      dltc fmt --check specs/*.dlt
      dltc fmt --diff digits.dlt

    Exit code: 0 formatted; 1 syntax errors, or with --check or --diff something would change; 2 a file cannot be read or
    written.
    """
    results: list[_Result] = []
    trouble = False
    for path in specs:
        try:
            results.append(_formatted(path))
            if not (check or diff):
                _write(results[-1], console)
        except Unreadable as error:
            console.error(error.message)
            trouble = True
    _report(console, results, check=check, diff=diff)
    if trouble:
        return 2
    broken = any(result.after is None for result in results)
    return int(broken or ((check or diff) and any(result.changed for result in results)))


def _formatted(path: str) -> _Result:
    """A spec in its canonical layout.

    Raises:
        Unreadable: the file cannot be read.
    """
    from ..compiler.format import format_text

    try:
        spec = read_spec(path)
    except SpecError as error:
        return _Result(path, path, "", None, list(error.diagnostics), error.sources)
    done = format_text(spec.text, spec.name)
    return _Result(path, spec.name, spec.text, done.text, done.findings.sorted(), done.findings.sources)


def _write(result: _Result, console: Console) -> None:
    """Put the text back, the file's permissions kept; that of standard input goes to standard output.

    Raises:
        Unreadable: the file cannot be written.
    """
    if result.path == "-":
        if not console.json:
            sys.stdout.write(result.after if result.after is not None else "")
        return
    if not result.changed:
        return
    path = Path(os.path.realpath(result.path))  # a link stays a link
    try:
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "permission denied")
        write_atomic(path, (result.after or "").encode(), mode=stat.S_IMODE(path.stat().st_mode))
    except OSError as error:
        raise Unreadable(f"{result.path} cannot be written: {(error.strerror or str(error)).lower()}") from error
    console.note(f"formatted {escape(result.path)}")


def _report(console: Console, results: list[_Result], *, check: bool, diff: bool) -> None:
    """Findings on standard error; what would change, or the whole as JSON, on standard output."""
    if console.json:
        found = [to_json(item, result.sources) for result in results for item in result.findings]
        console.object(files=[_json(result, diff=diff) for result in results], diagnostics=found)
        return
    for result in results:
        if result.findings:
            console.diagnostics(result.findings, result.sources)
        if result.after is None:
            console.error(f"{result.name} is left as it is")
        elif result.changed and diff:
            sys.stdout.write(escape(result.diff()))
        elif result.changed and check:
            console.result(escape(result.name))


def _json(result: _Result, *, diff: bool) -> dict[str, object]:
    """One file of ``--json``; the text only where it came from standard input."""
    found: dict[str, object] = {"file": result.name, "changed": result.changed, "formatted": result.after is not None}
    if diff:
        found["diff"] = result.diff()
    elif result.path == "-":
        found["text"] = result.after
    return found
