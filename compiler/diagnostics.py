"""Diagnostics: where in which text, what is wrong, one fix.

A user's mistake is a :class:`Diagnostic` (collected, then raised together as :class:`SpecError`); a compiler's
fault is an :class:`InternalError`.  The two are different types so that they can never look alike.
Every code is registered in :mod:`.codes`; using an unregistered code is itself an internal error.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .codes import CODES

_WIDEST = 160  # characters of a source line that are shown

_BOLD, _RED, _YELLOW, _BLUE, _CYAN, _OFF = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[36m", "\x1b[0m"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of code points ``[start, end)`` in the source called ``file``."""

    file: str
    start: int
    end: int

    def to(self, other: Span) -> Span:
        """The smallest span that covers both (same file)."""
        return Span(self.file, min(self.start, other.start), max(self.end, other.end))


class Source:
    """One text with a name, able to turn offsets into lines and columns (both counted from 1)."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._starts = [0] + [i + 1 for i, c in enumerate(text) if c == "\n"]

    def position(self, offset: int) -> tuple[int, int]:
        """(line, column) of a code-point offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, without its line end."""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Note:
    """A further remark; with a span it says where something was declared."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: stable code, message, the place used, a label under the caret, notes and one fix."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    help: str | None = None
    notes: tuple[Note, ...] = ()
    severity: str = "error"

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise InternalError(f"diagnostic code {self.code} is not registered in compiler/codes.py")


class SpecError(Exception):
    """The spec has mistakes.  ``diagnostics`` holds all of them, ``sources`` the texts they point into."""

    def __init__(self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, Source]) -> None:
        self.diagnostics = tuple(diagnostics)
        self.sources = dict(sources)
        super().__init__("\n\n".join(render(d, self.sources) for d in self.diagnostics))


class InternalError(Exception):
    """The compiler is at fault, not the spec.  The command line turns it into exit code 70 and a report."""


@dataclass
class Findings:
    """The collector that every stage writes to.  Stages go on after an error; the driver stops between stages."""

    sources: dict[str, Source] = field(default_factory=dict[str, Source])
    items: list[Diagnostic] = field(default_factory=list[Diagnostic])
    _known: set[Diagnostic] = field(default_factory=set[Diagnostic])

    def error(
        self,
        code: str,
        message: str,
        span: Span | None,
        *,
        label: str = "",
        help: str | None = None,
        notes: Iterable[Note] = (),
    ) -> None:
        """Record an error; an identical one is kept once."""
        self._add(Diagnostic(code, message, span, label, help, tuple(notes), "error"))

    def warning(
        self,
        code: str,
        message: str,
        span: Span | None,
        *,
        label: str = "",
        help: str | None = None,
        notes: Iterable[Note] = (),
    ) -> None:
        """Record a warning; it never stops a compilation.  Its line may allow it: ``# dltc: allow W0201``."""
        warning = Diagnostic(code, message, span, label, help, tuple(notes), "warning")
        if not allowed(warning, self.sources):
            self._add(warning)

    def _add(self, diagnostic: Diagnostic) -> None:
        if diagnostic not in self._known:
            self._known.add(diagnostic)
            self.items.append(diagnostic)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.items if d.severity == "error"]

    def sorted(self) -> list[Diagnostic]:
        """Findings in the order of the text, errors without a place first."""
        return sorted(self.items, key=lambda d: (d.span.file, d.span.start) if d.span else ("", -1))

    def raise_if_errors(self) -> None:
        """Stop here when something is wrong.

        Raises:
            SpecError: with every finding so far, when at least one is an error.
        """
        if self.errors:
            raise SpecError(self.sorted(), self.sources)


_ALLOW = re.compile(r"#+\s*dltc:\s*allow\s+([^#]*)")


def allowed(diagnostic: Diagnostic, sources: Mapping[str, Source]) -> bool:
    """Whether a comment in the line of a warning allows it: ``# dltc: allow W0201, W0301``."""
    source = sources.get(diagnostic.span.file) if diagnostic.span is not None else None
    if source is None or diagnostic.span is None or diagnostic.severity != "warning":
        return False
    comment = _ALLOW.search(source.line(source.position(diagnostic.span.start)[0]))
    return comment is not None and diagnostic.code in re.findall(r"W\d+", comment[1])


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate a user most likely meant, or None: a few edits (swaps count once), more for longer names."""
    best: tuple[int, str] | None = None
    known = sorted(set(candidates))
    longer = [candidate for candidate in known if len(name) > 2 and candidate.lower().startswith(name.lower())]
    if len(longer) == 1:
        return longer[0]  # an abbreviation
    for candidate in known:
        limit = _tolerance(name, candidate)
        distance = 0 if name.lower() == candidate.lower() else _distance(name, candidate, limit)
        if distance <= limit and (best is None or distance < best[0]):
            best = (distance, candidate)
    return best[1] if best else None


def _tolerance(name: str, candidate: str) -> int:
    """Edits to forgive: none between single letters, one in short names (two when they start alike), else a third."""
    length = max(len(name), len(candidate))
    if length == 1:
        return 0
    if length <= 3:
        return 2 if length == 3 and name[:1] == candidate[:1] else 1
    return (length + 1) // 3


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """``did you mean `x`?`` or None; the one wording for all suggestions."""
    hit = suggest(name, candidates)
    return f"did you mean `{hit}`?" if hit is not None else None


def _distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance, cut off above ``limit``."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, ca in enumerate(a, 1):
        row = [i]
        for j, cb in enumerate(b, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (ca != cb))
            if i > 1 and j > 1 and ca == b[j - 2] and a[i - 2] == cb:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before, previous = previous, row
    return previous[-1]


def render(diagnostic: Diagnostic, sources: Mapping[str, Source], *, color: bool = False) -> str:
    """The diagnostic as text: header with place, source line, caret with label, notes, help (language, section 10)."""

    def paint(text: str, code: str) -> str:
        return f"{code}{text}{_OFF}" if color else text

    tone = _RED if diagnostic.severity == "error" else _YELLOW
    source = sources.get(diagnostic.span.file) if diagnostic.span else None
    head = paint(f"{diagnostic.severity}[{diagnostic.code}]", _BOLD + tone) + f": {diagnostic.message}"
    plain = f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"
    if diagnostic.span is None or source is None:
        lines = [head]
    else:
        line, column = source.position(diagnostic.span.start)
        lines = [head + " " * max(2, 72 - len(plain)) + paint(f"{_printable(source.name)}:{line}:{column}", _CYAN)]
        lines += _excerpt(source, diagnostic.span, diagnostic.label, _BOLD + tone if color else "")
    for note in diagnostic.notes:
        where = ""
        if note.span is not None and note.span.file in sources:
            line, column = sources[note.span.file].position(note.span.start)
            where = f"  ({_printable(sources[note.span.file].name)}:{line}:{column})"
        lines.append(paint("   note: ", _BLUE) + note.message + where)
    explain = f"(dltc explain {diagnostic.code})"
    if diagnostic.help:
        text = f"   help: {diagnostic.help}"
        lines.append(paint(text, _BOLD) + " " * max(2, 66 - len(text)) + explain)
    else:
        lines.append(f"   {explain}")
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Text without signs that would move the cursor, end the line or turn the writing direction."""
    return "".join(c if c == "\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _excerpt(source: Source, span: Span, label: str, tone: str) -> list[str]:
    """The source line with carets under the span (cut at the line's end when the span goes on)."""
    line, column = source.position(span.start)
    text = source.line(line)
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    if len(text) > _WIDEST:  # keep the part around the caret
        cut = max(0, column - 1 - _WIDEST // 2)
        text = ("..." if cut else "") + text[cut : cut + _WIDEST] + ("..." if cut + _WIDEST < len(text) else "")
        column += (3 if cut else 0) - cut
        width = max(1, min(width, len(text) - column + 1))
    text = _printable(text)
    pad = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
    carets = f"{tone}{'^' * width}{_OFF}" if tone else "^" * width
    return [f"{line:>5} | {text}", f"      | {pad}{carets}" + (f" {label}" if label else "")]


def to_json(diagnostic: Diagnostic, sources: Mapping[str, Source]) -> dict[str, Any]:
    """The machine-readable form (``dltc check --json``): lines and columns from 1, ends exclusive."""
    row: dict[str, Any] = {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "file": diagnostic.span.file if diagnostic.span else None,
        "line": None,
        "column": None,
        "end_line": None,
        "end_column": None,
        "message": diagnostic.message,
        "help": diagnostic.help,
        "notes": [_note_json(n, sources) for n in diagnostic.notes],
    }
    if diagnostic.label:
        row["label"] = diagnostic.label
    if diagnostic.span is not None and diagnostic.span.file in sources:
        source = sources[diagnostic.span.file]
        row["line"], row["column"] = source.position(diagnostic.span.start)
        row["end_line"], row["end_column"] = source.position(diagnostic.span.end)
    return row


def _note_json(note: Note, sources: Mapping[str, Source]) -> dict[str, Any]:
    if note.span is None or note.span.file not in sources:
        return {"message": note.message, "line": None, "column": None}
    line, column = sources[note.span.file].position(note.span.start)
    return {"message": note.message, "file": note.span.file, "line": line, "column": column}
