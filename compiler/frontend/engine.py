"""The parser generator behind one door: texts in, nodes or the place of the mistake out.

Lark builds its tables from the grammar when the first statement is parsed.  Each statement is parsed alone with the start
symbol of its kind, and results are kept by text: the same statement elsewhere is copied with moved spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

from lark import Lark, Token, UnexpectedInput

from ...grammar import grammar_text, statement_grammar
from ..diagnostics import Span
from . import nodes
from .mistakes import Expected
from .statements import START_SYMBOLS
from .transform import Builder, Refused
from .trees import deeper_than, relocated

DEEPEST_TREE = 200  # levels of an expression: what the recursive stages after this one are made for
_KEPT = 4096  # statements remembered
_NESTING = re.compile(r"[(\[^-]|\|>")  # what can make a tree deep
_OPERATORS = {"+", "-", "^", "|>"}  # with the two brackets below, when values or operators are expected anyway


@dataclass(frozen=True, slots=True)
class Stopped:
    """Reading stopped at ``at`` (from the start of the text)."""

    at: int
    expected: Expected


class Newlines:
    """Drops the line ends inside ( ) and [ ]; Lark calls :meth:`process` on its tokens."""

    always_accept = ("NEWLINE",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for token in stream:
            kind = token.type
            if kind in ("LPAR", "LSQB"):
                depth += 1
            elif kind in ("RPAR", "RSQB"):
                depth -= 1
            if kind != "NEWLINE" or depth == 0:
                yield token


class Engine:
    """A parser for some start symbols of the grammar."""

    def __init__(self, grammar: str, starts: tuple[str, ...]) -> None:
        self._builder = Builder()
        self._busy = Lock()
        make: Any = Lark  # its options are untyped
        self._lark: Any = make(
            grammar,
            parser="lalr",
            start=list(starts),
            maybe_placeholders=False,
            transformer=self._builder,
            postlex=Newlines(),
        )
        self._known: dict[tuple[str, str], tuple[Any, str, int]] = {}
        self._words, self._signs = _spelled(self._lark)

    def parse(self, start: str, text: str, file: str, base: int) -> Any:
        """The node of a text that stands at ``base`` in ``file``, or :class:`Stopped`.

        Raises:
            Refused: the text follows the grammar but not the language.
        """
        key = (start, text)
        known = self._known.get(key)
        if known is not None:
            node, old_file, old_base = known
            if (old_file, old_base) == (file, base):
                return node
            return relocated(node, file, base - old_base)
        with self._busy:
            self._builder.at(file, base, text)
            try:
                node = self._lark.parse(text, start=start)
            except UnexpectedInput as error:
                return self._stopped(error, text)
        if len(_NESTING.findall(text)) > DEEPEST_TREE and deeper_than(node, DEEPEST_TREE):
            message, help = "this expression is nested too deeply", "give parts of it names of their own"
            raise Refused("E0106", message, Span(file, base, base + len(text)), help)
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[key] = node, file, base
        return node

    def tokens(self, start: str, text: str) -> list[Token]:
        """The tokens of a text that :meth:`parse` reads, with their positions; comments and blanks are none.

        What a word is depends on its place, so only the parser can tell.
        """
        with self._busy:
            self._builder.at("", 0, text)
            return list(self._lark.parse_interactive(text, start=start).iter_parse())

    def _stopped(self, error: UnexpectedInput, text: str) -> Stopped:
        token: Any = getattr(error, "token", None)
        at: Any = error.pos_in_stream
        if token is not None and token.type == "$END":
            at = len(text)
        interactive: Any = getattr(error, "interactive_parser", None)
        accepted: set[str] = interactive.accepts() if interactive is not None else set()
        value, more = "NUMBER" in accepted and "LPAR" in accepted, "PLUS" in accepted
        words = {word for name in accepted for word in self._words.get(name, ())}
        signs = {self._signs[name] for name in accepted if name in self._signs} - _OPERATORS
        if value or more:
            signs -= {"(", "["}
        if "IDENT" in accepted:
            words.discard("data")  # as good a name as any
        expected = Expected(value, "IDENT" in accepted, more, "$END" in accepted, frozenset(words), frozenset(signs))
        return Stopped(int(at), expected)


def _spelled(lark: Any) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """How terminals that are fixed words or signs are written."""
    words: dict[str, tuple[str, ...]] = {}
    signs: dict[str, str] = {}
    for terminal in lark.terminals:
        value: str = terminal.pattern.value
        plain = value.removesuffix(r"\b").removeprefix("(?:").removesuffix(")")
        if plain.replace("|", "").isalpha():
            words[terminal.name] = tuple(plain.split("|"))
        elif terminal.pattern.type == "str":
            signs[terminal.name] = value
    signs["EQUAL"] = "="
    return words, signs


@cache
def statement_engine() -> Engine:
    """The parser of single statements; built once."""
    return Engine(statement_grammar(), START_SYMBOLS)


@cache
def file_engine() -> Engine:
    """The parser of whole files, which is slower to build; for checking the grammar itself."""
    return Engine(grammar_text(), ("file",))


def parse_statement(start: str, text: str, file: str, base: int) -> nodes.Stmt | Stopped:
    """Parse one statement of a known kind (see :meth:`Engine.parse`)."""
    return statement_engine().parse(start, text, file, base)
