"""The blanks between the tokens of one statement.

The tokens are the grammar's, so a keyword is told from a name by its place.  One thing is left to the writer: whether
``+ - * / // %`` stand tight or apart, because ``b1*m + (1 - b1)*grad`` groups for the eye; half-tight is apart, an
operator never stands tighter than one that binds more closely, and outside brackets sums stand apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lark import Token

OPENING = ("LPAR", "LSQB")
CLOSING = ("RPAR", "RSQB")
_ENDS_OPERAND = frozenset({"IDENT", "PATH", "PRIMED", "STARRED", "NUMBER", "STRING", *CLOSING})
_NAMES = ("IDENT", "PATH", "PRIMED", "DATA", "RSQB")  # a bracket that follows belongs to them
_FREE = ("PLUS", "MINUS", "TIMES")  # as the writer wants
_TIGHT = ("CARET", "DOTDOT")
_SEPARATES = ("COMMA", "COMPARE", "PIPE", "EQUAL", "TILDE", "LARROW", "COLON")
_CLAUSES = {
    "INIT": ("param_decl", "latent_decl"),
    "START": ("relation", "output_decl", "probe_decl"),
}  # stand clear of what they follow
_CLEAR = "   "
_LINE = re.compile(r"\r?\n")


@dataclass(slots=True)
class Tok:
    """A token in its row: ``gap`` is the blank before it; ``breaks``: it begins a row, inside brackets; ``pad``: blanks
    that put it into a column.  A comment between tokens is one too, of the kind ``#``."""

    kind: str
    text: str
    gap: str = ""
    breaks: bool = False
    pad: int = 0


@dataclass(slots=True)
class _Operator:
    """A sign of which the writer chooses the blanks: its position, and whether it stands tight."""

    at: int
    additive: bool
    tight: bool


def spaced(kind: str, tokens: Sequence[Token], text: str) -> list[Tok]:
    """The tokens of a statement, read by the start symbol ``kind``, with the blanks between them."""
    between = [text[a.end_pos : b.start_pos] for a, b in pairwise(tokens)] + [""]
    unary = {k for k, token in enumerate(tokens) if token.type == "MINUS" and not _after_operand(tokens, k)}
    tight = {o.at for o in _operators(tokens, between, unary) if o.tight}
    found: list[Tok] = []
    for k, token in enumerate(tokens):
        before = tokens[k - 1].type if k else ""
        if not k or before in OPENING or (k - 1) in unary or k - 1 in tight or k in tight:
            gap = ""
        else:
            gap = _gap(kind, before, token.type)
        comments = _comments(between[k - 1]) if k else []
        found += comments
        found.append(Tok(token.type, str(token), gap, breaks=bool(k) and "\n" in between[k - 1]))
    return found


def _gap(kind: str, before: str, here: str) -> str:
    """What stands between two tokens of these kinds, minus signs and operators of free spacing excepted."""
    if here in CLOSING or here == "COMMA" or here in _TIGHT or before in _TIGHT:
        return ""
    if here == "COLON":
        return " " if kind == "rule_line" else ""
    if here == "LSQB" and before in _NAMES:
        return ""
    if here == "LPAR" and before in _NAMES and kind != "use_decl":
        return ""
    return _CLEAR if kind in _CLAUSES.get(here, ()) else " "


def _after_operand(tokens: Sequence[Token], k: int) -> bool:
    return k > 0 and tokens[k - 1].type in _ENDS_OPERAND


def _operators(tokens: Sequence[Token], between: Sequence[str], unary: set[int]) -> list[_Operator]:
    """The operators of free spacing, each run of them (one bracket level, between separators) made consistent."""
    done: list[_Operator] = []
    runs: list[list[_Operator]] = [[]]
    for k, token in enumerate(tokens):
        if token.type in OPENING:
            runs.append([])
        elif token.type in CLOSING:
            done += _consistent(runs.pop())
        elif token.type in _SEPARATES:
            done += _consistent(runs[-1])
            runs[-1] = []
        elif token.type in _FREE and k not in unary:
            sides = [gap == "" for gap in (between[k - 1], between[k]) if "\n" not in gap]
            additive = token.type != "TIMES"
            allowed = len(runs) > 1 or not additive
            runs[-1].append(_Operator(k, additive, allowed and bool(sides) and all(sides)))
    return done + [operator for run in runs for operator in _consistent(run)]


def _consistent(run: list[_Operator]) -> list[_Operator]:
    """Sums stand apart where one of their signs, or any product sign, does."""
    if not all(operator.tight for operator in run):
        for operator in run:
            operator.tight = operator.tight and not operator.additive
    return run


def _comments(gap: str) -> list[Tok]:
    """The comments between two tokens: the first may end a row, the others have rows of their own."""
    rows = [row.strip() for row in _LINE.split(gap)]
    return [Tok("#", row, breaks=k > 0) for k, row in enumerate(rows) if row]
