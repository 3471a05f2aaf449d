"""The rows of one line: where it breaks, and how far each row is indented.

A line breaks inside ( ) and [ ] only, because anywhere else a line end ends the statement.  Breaks of the writer stay; a
row that is too long gets another in the outermost bracket that has a place for it.  What follows a bracket in its own
row sets the indentation of the rows after it; a bracket that ends its row indents by one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from .spacing import CLOSING, OPENING, Tok

WIDTH = 100
STEP = 2  # columns of one level of indentation
_NARROW = 16  # brackets with no more between them stay in one row: better too long than torn

_RANK = {"PIPE": 1, "COMPARE": 2, "PLUS": 3, "MINUS": 3, "TIMES": 4}  # rows begin with these, those of low rank first
_AFTER_COMMA, _AFTER_BRACKET = 0, 5


class Whole(Protocol):
    """A line as it is read here."""

    @property
    def depth(self) -> int: ...
    @property
    def toks(self) -> list[Tok]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """A row of code and the comment after it."""

    text: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class _Open:
    """An open bracket: the column of what stands in it, of the bracket that closes it, and the one around it."""

    inside: int
    closer: int
    outer: _Open | None
    depth: int
    narrow: bool


def width(toks: Iterable[Tok]) -> int:
    """The width of tokens on one row."""
    return sum(len(tok.gap) + tok.pad + len(tok.text) for tok in toks)


def rows(line: Whole) -> list[Row]:
    """The rows of a line, broken where its tokens say so."""
    return _Layout(line.toks, STEP * line.depth, fill=False).run()


def fill(line: Whole) -> None:
    """Break the rows of a line that are too long, as far as they have places for it."""
    if any(len(row.text) > WIDTH for row in rows(line)):
        _Layout(line.toks, STEP * line.depth, fill=True).run()


class _Layout:
    """One way through the tokens, row by row."""

    def __init__(self, toks: list[Tok], indent: int, *, fill: bool) -> None:
        self.toks = toks
        self.fill = fill
        self.indent = indent
        self.done: list[Row] = []

    def run(self) -> list[Row]:
        """The rows; with ``fill``, tokens that must begin a row are marked on the way."""
        at, open_ = 0, None
        column = self.indent
        while at < len(self.toks):
            end, text, comment, after, found = self._row(at, column, open_)
            if found is not None:
                self.toks[found].breaks = True
                continue  # the same row again, now shorter
            self.done.append(Row(text, comment))
            at, open_ = end, after
            column = self._column(at, open_)
        return self.done

    def _column(self, at: int, open_: _Open | None) -> int:
        """Where the row begins that the token at ``at`` begins."""
        if open_ is None or at >= len(self.toks):
            return self.indent
        return open_.closer if self.toks[at].kind in CLOSING else open_.inside

    def _row(self, at: int, column: int, open_: _Open | None) -> tuple[int, str, str, _Open | None, int | None]:
        """From ``at`` to the end of the row: where it ends, its text and comment, the brackets open then; or, where it is
        too long, the place of a break."""
        text, best = "", None
        for k in range(at, len(self.toks)):
            tok = self.toks[k]
            if k > at and tok.breaks:
                return k, " " * column + text, "", open_, None
            if tok.kind == "#":
                end = k + 1
                return end, (" " * column + text).rstrip(), tok.text, open_, None
            best = self._better(k, at, open_, best) if self.fill else None
            text += (tok.gap + " " * tok.pad if k > at else "") + tok.text
            if best is not None and column + len(text) > WIDTH:
                return k, text, "", open_, best[1]
            if tok.kind in OPENING:
                open_ = self._opened(k, column, column + len(text), open_)
            elif tok.kind in CLOSING and open_ is not None:
                open_ = open_.outer
        return len(self.toks), " " * column + text, "", open_, None

    def _opened(self, k: int, column: int, after: int, outer: _Open | None) -> _Open:
        """The bracket at ``k`` of a row that begins at ``column``."""
        ends_row = k + 1 < len(self.toks) and (self.toks[k + 1].breaks or self.toks[k + 1].kind == "#")
        depth = outer.depth + 1 if outer is not None else 1
        narrow = self.fill and self._narrow(k)
        if ends_row:
            return _Open(column + STEP, column, outer, depth, narrow)
        return _Open(after, after - 1, outer, depth, narrow)

    def _narrow(self, k: int) -> bool:
        """Whether little stands in the bracket at ``k``."""
        total, depth = 0, 0
        for tok in islice(self.toks, k + 1, k + 2 + _NARROW):
            if depth == 0 and tok.kind in CLOSING:
                return True
            depth += (tok.kind in OPENING) - (tok.kind in CLOSING)
            total += len(tok.gap) + len(tok.text)
            if total > _NARROW:
                return False
        return True

    def _better(
        self, k: int, at: int, open_: _Open | None, best: tuple[tuple[int, int], int] | None
    ) -> tuple[tuple[int, int], int] | None:
        """The best place for a break up to ``k``: outermost bracket, then loosest sign, then last."""
        rank = _rank(self.toks, k)
        if open_ is None or open_.narrow or rank is None or k == at:
            return best
        cost = (open_.depth, rank)
        return (cost, k) if best is None or cost <= best[0] else best


def _rank(toks: Sequence[Tok], k: int) -> int | None:
    """How good it is to begin a row with the token at ``k``; None where it is not possible."""
    before = toks[k - 1].kind if k else ""
    if before == "COMMA":
        return _AFTER_COMMA
    if before in OPENING:
        return None if toks[k].kind in CLOSING else _AFTER_BRACKET
    if toks[k].kind == "MINUS" and (before in ("COMPARE", "EQUAL") or before in _RANK or before in ("CARET", "DOTDOT")):
        return None  # a sign, not an operator
    return _RANK.get(toks[k].kind)
