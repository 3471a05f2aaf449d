"""What stands in columns: the signs of neighbouring statements of one kind, and the comments beside the code.

Statements are neighbours between two blank lines.  A column that would have to bridge too wide a difference is begun
anew, and one that would make a row too long is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .breaks import STEP, WIDTH, Row, fill, rows, width
from .lines import Line
from .spacing import CLOSING, OPENING

_RAGGED = 12  # the widest difference of left sides in one column
_RAGGED_CLAUSES = 24
_BESIDE = 48  # where comments beside the code begin
_LONG = 72  # code longer than this does not move the comments of its neighbours
_APART = 2

_SIGNS = {
    "relation": ("EQUAL", "TILDE", "LARROW"), "param_decl": ("TILDE",), "latent_decl": ("TILDE",),
    "rule_line": ("COLON",), "column": ("EQUAL",), "output_decl": ("EQUAL",), "probe_decl": ("EQUAL",),
    "rule_head": ("ON",),
}  # fmt: skip
"""Start symbol -> the sign that is put into a column."""

_LATER = {
    "relation": "START", "output_decl": "START", "probe_decl": "START",
    "param_decl": "INIT", "latent_decl": "INIT", "rule_head": "{",
}  # fmt: skip
"""Start symbol -> what has a second column."""


def aligned(lines: list[Line]) -> Iterator[str]:
    """The rows of the whole text."""
    for line in lines:
        fill(line)
    for group in _neighbours(lines):
        for run in _runs(group):
            _columns(run)
    for paragraph in _paragraphs(lines):
        yield from _printed(paragraph)


# ---------------------------------------------------------------- signs


def _neighbours(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines of one kind and depth, between blank lines and the ends of blocks."""
    groups: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        if line.blank or line.block:
            yield from groups.values()
            groups = {}
        key = _key(line)
        if key is not None:
            groups.setdefault(key, []).append(line)
    yield from groups.values()


def _key(line: Line) -> tuple[object, ...] | None:
    """What lines of one column share; None for a line without a column."""
    sign = _first(line, _SIGNS.get(line.kind, ()))
    if sign is None:
        return None
    words = {tok.kind for tok in line.toks[:sign]}
    return line.kind, line.toks[sign].kind, line.depth, "IN" in words


def _first(line: Line, kinds: Sequence[str]) -> int | None:
    """The first token of these kinds in the first row, outside brackets."""
    depth = 0
    for k, tok in enumerate(line.toks):
        if k and tok.breaks:
            return None
        if depth == 0 and tok.kind in kinds:
            return k
        depth += (tok.kind in OPENING) - (tok.kind in CLOSING)
    return None


def _runs(group: Sequence[Line]) -> Iterator[list[Line]]:
    return _similar(group, [_start(line, _SIGNS[line.kind]) for line in group], _RAGGED)


def _similar(group: Sequence[Line], starts: Sequence[int], ragged: int) -> Iterator[list[Line]]:
    """Consecutive lines whose columns differ by no more than ``ragged``."""
    run: list[Line] = []
    low = high = 0
    for line, at in zip(group, starts, strict=True):
        if run and max(high, at) - min(low, at) > ragged:
            yield run
            run = []
        low, high = (min(low, at), max(high, at)) if run else (at, at)
        run.append(line)
    yield run


def _start(line: Line, kinds: Sequence[str]) -> int:
    """The column of the first token of these kinds."""
    at = _first(line, kinds)
    return STEP * line.depth + width(line.toks[:at])


def _columns(run: Sequence[Line]) -> None:
    """Put the signs of a run, then its later clauses, into columns."""
    _pad(run, _SIGNS[run[0].kind])
    later = _LATER.get(run[0].kind)
    having = [line for line in run if later is not None and _first(line, (later,)) is not None and len(rows(line)) == 1]
    if later is not None and having:
        for part in _similar(having, [_start(line, (later,)) for line in having], _RAGGED_CLAUSES):
            _pad(part, (later,))


def _pad(run: Sequence[Line], kinds: Sequence[str]) -> None:
    """One column for a token of each line, unless a row would become too long."""
    column = max(_start(line, kinds) for line in run)
    padded = [(line.toks[_first(line, kinds) or 0], column - _start(line, kinds)) for line in run]
    before = [_widest(rows(line)) for line in run]
    for tok, pad in padded:
        tok.pad = pad
    if any(_widest(rows(line)) > max(WIDTH, old) for line, old in zip(run, before, strict=True)):
        for tok, _ in padded:
            tok.pad = 0


def _widest(found: Iterable[Row]) -> int:
    return max(len(row.text) for row in found)


# ---------------------------------------------------------------- comments


def _paragraphs(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines of one block between blank lines; a header belongs to the lines above it."""
    group: list[Line] = []
    for line in lines:
        if group and (line.blank or line.depth != group[-1].depth):
            yield group
            group = []
        group.append(line)
    yield group


def _printed(paragraph: Sequence[Line]) -> Iterator[str]:
    """The rows of a paragraph, comments beside the code in one column."""
    found: list[Row] = []
    for line in paragraph:
        own = rows(line) if line.toks else [Row("")]
        last = own[-1]
        found += [*own[:-1], Row(last.text, line.comment) if line.toks else Row("", _indented(line))]
    beside = [len(row.text) + _APART for row in found if row.comment and row.text and len(row.text) <= _LONG]
    column = max([_BESIDE, *beside])
    if paragraph and paragraph[0].blank:
        yield ""
    for row in found:
        if row.comment and row.text.strip():
            yield row.text.ljust(column - _APART) + " " * _APART + row.comment
        else:
            yield row.text + row.comment


def _indented(line: Line) -> str:
    return " " * (STEP * line.depth) + line.comment
