"""From the text of a spec to syntax nodes: every statement is read alone, so all independent errors come in one run.

:mod:`.scan` cuts the text, :mod:`.statements` says which kind of statement a first word begins, :mod:`.engine` reads it with
the grammar, :mod:`.mistakes` finds the words when that fails.  A statement that cannot be read becomes a
:class:`~.nodes.Broken` with the names it would have declared, so that later stages do not blame their readers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...grammar import mistake_table, reserved_words
from ..diagnostics import Findings, Source, Span, did_you_mean, suggest
from . import nodes
from .engine import Stopped, file_engine, parse_statement, statement_engine
from .mistakes import explain
from .reporter import Reporter
from .scan import Scan, Statement, edition_statement, scan_text
from .statements import BLOCK_OF, NODE_SIGNS, OTHERS, SHAPES, WORDS, declared_names, places, sign_after_name, spoken
from .transform import Refused, documented, filled

if TYPE_CHECKING:
    from lark import Token

_FIRST_WORD = re.compile(r"[A-Za-z_]\w*")
_WORDS = re.compile(r"[A-Za-z_]\w*|\*")
_STANDS_ALONE = re.compile(
    r"[\w.]+'*(?:\s*$|\s+(?!->|-=)[\w\"({.-])"
)  # a word that no name could be: something unknown
_OPERATORS = ("+", "-", "*", "/", "%", "^", "<", ">", "=", "|>", ",")


@dataclass(frozen=True, slots=True)
class Lossless:
    """A spec as it was read, nothing dropped: the nodes, the tree of all pieces of the text, and which start symbol of the
    grammar read the statement at each offset (broken statements and the edition have none)."""

    file: nodes.File
    scan: Scan
    kinds: dict[int, str]

    def tokens(self, statement: Statement) -> list[Token]:
        """The grammar's tokens of a statement that was read; positions count from the statement's start."""
        text = self.scan.text[statement.start : statement.end]
        return statement_engine().tokens(self.kinds[statement.start], text)


def parse_text(text: str, name: str, findings: Findings) -> nodes.File:
    """Read a whole spec.  Never raises for what the text contains: mistakes are recorded in ``findings``."""
    return parse_lossless(text, name, findings).file


def parse_lossless(text: str, name: str, findings: Findings) -> Lossless:
    """:func:`parse_text` for what edits the text: comments, blanks and line ends are kept beside the nodes."""
    findings.sources[name] = Source(name, text)
    reporter = Reporter(findings, name)
    scan = scan_text(text, reporter)
    whole = Span(name, 0, len(text))
    if scan.edition is None:
        return Lossless(nodes.File(name, 0, (), whole), scan, {})
    reader = _Reader(scan, reporter)
    skipped = edition_statement(scan)
    statements = [s for s in scan.items if isinstance(s, Statement) and s is not skipped]
    file = nodes.File(name, scan.edition, reader.content(statements, "file"), whole)
    return Lossless(file, scan, reader.kinds)


def parse_whole(text: str, name: str, findings: Findings) -> nodes.File | None:
    """Read a correct spec with the grammar's ``file`` symbol in one go; None when it is not correct.

    The nodes are those of :func:`parse_text`.  This holds the grammar to its claim that it is one grammar.
    """
    scan = scan_text(text, Reporter(findings, name))
    try:
        file = file_engine().parse("file", text, name, 0)
    except Refused:
        return None
    if not isinstance(file, nodes.File) or findings.errors:
        return None
    docs = dict(_docs(scan))
    return nodes.File(name, file.edition, tuple(_with_docs(s, docs) for s in file.body), file.span)


class _Reader:
    """Reads the statements of one scanned text."""

    def __init__(self, scan: Scan, reporter: Reporter) -> None:
        self.text = scan.text
        self.unbalanced = scan.unbalanced
        self.reporter = reporter
        self.kinds: dict[int, str] = {}  # start of a statement -> the start symbol that read it
        self.unfinished = False  # the statement above has an error and ends in an operator

    def content(self, statements: list[Statement], block: str) -> tuple[nodes.Stmt, ...]:
        """The nodes of a block's statements."""
        read: list[nodes.Stmt] = []
        for s in statements:
            read.append(self.statement(s, block))
            failed = isinstance(read[-1], nodes.Broken)
            self.unfinished = failed and self.text[s.start : s.end].endswith(_OPERATORS)
        return tuple(read)

    def statement(self, s: Statement, block: str) -> nodes.Stmt:
        """The node of one statement with everything in its braces."""
        text = self.text[s.start : s.end]
        span = Span(self.reporter.name, s.start, _end_of(s))
        if self.reporter.full:
            return self._broken(s, text, span)
        start = None if s.broken else self._kind(s, text, block)
        node = self._read(s, start, text, block) if start is not None else None
        content: tuple[nodes.Stmt, ...] = ()
        inner = BLOCK_OF.get(start or _likely(text, block) or "")
        if s.block is not None and inner is not None:
            content = self.content([i for i in s.block.items if isinstance(i, Statement)], inner)
        if node is None or not self._block_fits(s, text, inner):
            return self._broken(s, text, span)
        self.kinds[s.start] = start or ""
        return documented(filled(node, content, span.end), s.doc)

    def _broken(self, s: Statement, text: str, span: Span) -> nodes.Broken:
        """What stands for a statement with an error: the names that it would declare, the words in it."""
        words = frozenset(_WORDS.findall(self.text[span.start : span.end]))
        return nodes.Broken(span, declared_names(_as_meant(text)), words, s.block is not None)

    # ------------------------------------------------------------ which kind of statement

    def _kind(self, s: Statement, text: str, block: str) -> str | None:
        """The start symbol that reads this statement; None after an error."""
        first = _FIRST_WORD.match(text)
        if first is None:
            return "rule_line" if OTHERS.get(block) == "rule_line" and text.startswith("*") else self._no_word(s, text)
        word, sign = first.group(), sign_after_name(text)
        start = WORDS[block].get(word)
        if start in ("setting", "report_line"):
            return start
        if sign is not None and (word in reserved_words() or start == "rule_fact"):
            if start is None or text[first.end() :].lstrip()[:1] in "=~<:":
                self._reserved(s, word)
                return None
            return start
        if sign is not None:
            return self._named(s, text, block, sign, first.end())
        if word == "data" and start is not None and text[4:5].strip():
            start = None  # a name: `data(x)`
        if start is not None:
            return start
        if places(word):
            self._misplaced(s, word, block)
            return None
        if word in reserved_words():
            self._reserved(s, word)
            return None
        if block in OTHERS and (not _STANDS_ALONE.match(text) or (OTHERS[block] == "rule_line" and "(" in text)):
            return OTHERS[block]
        return self._unknown(s, word, block, first.end())

    def _named(self, s: Statement, text: str, block: str, sign: str, word_end: int) -> str | None:
        """A statement that begins with a name, as its sign says: it may belong elsewhere."""
        if block == "infer":
            return "relation" if sign == "~" else "rule_line"
        if block == "data" and sign == ":":
            return WORDS[block].get(text[:word_end], "column")
        if block in OTHERS:
            return OTHERS[block]
        if block == "train":
            return self._unknown(s, text[:word_end], block, word_end)
        what, where = SHAPES[sign]
        self._not_here(s, what, where, s.start + word_end)
        return None

    def _no_word(self, s: Statement, text: str) -> None:
        """A statement without a first word; mostly the rest of the line above, which may have its error already."""
        if text and self.unfinished:
            return
        message, help = "a block has a header before its `{`", None
        opening = next((row for sign, row in mistake_table().openings.items() if text.startswith(sign)), None)
        if opening is not None:
            message, help = opening
        elif text.startswith(_OPERATORS) and not text.startswith("="):
            message = "a newline ends a statement: this line does not go on with the one above"
            help = "put the whole expression in parentheses"
        elif text:
            message = "a statement begins with a word"
            help = "a name begins with a letter or `_`" if text[0].isdigit() else None
        self.reporter.error("E0110", message, s.start, s.start + 1, help=help)

    def _unknown(self, s: Statement, word: str, block: str, word_end: int) -> None:
        """Nothing begins with this word."""
        if word == "dlt":
            message = "the edition does not belong here"
            self.reporter.error("E0112", message, s.start, s.start + 3, help="it stands once, in the first line")
            return
        help = mistake_table().words.get(word) or did_you_mean(word, WORDS[block])
        if help is None and places(close := _closest(word)):
            help = f"did you mean `{close}`? it belongs in {spoken(places(close))}"
        if help is None and block in ("model", "circuit", "rule"):
            help = f"an equation is written `{word} = ...`"
        if help is None:
            help = f"here may stand {', '.join(f'`{w}`' for w in sorted(WORDS[block]))}" if WORDS[block] else None
        code, what = ("E0701", "setting") if block == "train" else ("E0111", "block" if s.block else "statement")
        self.reporter.error(code, f"unknown {what} `{word}`", s.start, s.start + word_end, help=help)

    def _reserved(self, s: Statement, word: str) -> None:
        message = f"`{word}` is a reserved word, not a name"
        self.reporter.error("E0113", message, s.start, s.start + len(word), help="choose another name")

    def _misplaced(self, s: Statement, word: str, block: str) -> None:
        where = places(word)
        what = f"the setting `{word}`" if where == ["train"] and word not in ("learn", "infer") else f"`{word}`"
        self._not_here(s, what, where, s.start + len(word))

    def _not_here(self, s: Statement, what: str, where: list[str] | tuple[str, ...], end: int) -> None:
        """Report a statement that belongs elsewhere, unless a brace is missing: then its place means nothing."""
        if not self.unbalanced:
            message = f"{what} does not belong here"
            self.reporter.error("E0112", message, s.start, end, help=f"it belongs in {spoken(where)}")

    # ------------------------------------------------------------ reading it

    def _read(self, s: Statement, start: str, text: str, block: str) -> nodes.Stmt | None:
        try:
            node = parse_statement(start, text, self.reporter.name, s.start)
        except Refused as refusal:
            span = refusal.span
            self.reporter.error(refusal.code, refusal.message, span.start, span.end, help=refusal.help)
            return None
        if isinstance(node, Stopped):
            if not self.unfinished and not (self.unbalanced and self._fits_elsewhere(text)):
                e = explain(text, node.at, start, node.expected)
                self.reporter.error(e.code, e.message, s.start + e.start, s.start + e.end, label=e.label, help=e.help)
            return None
        sign = NODE_SIGNS.get(type(node).__name__) if start == "relation" else None
        if sign is not None and block not in SHAPES[sign][1]:
            self._not_here(s, *SHAPES[sign], s.end)
            return None
        return node

    def _fits_elsewhere(self, text: str) -> bool:
        """Whether a statement is right in some other block: with a brace missing, it may be meant there."""
        word = text.split(maxsplit=1)[0]
        for start in {words[word] for words in WORDS.values() if word in words} | set(OTHERS.values()):
            try:
                if not isinstance(parse_statement(start, text, self.reporter.name, 0), Stopped):
                    return True
            except Refused:
                continue
        return False

    def _block_fits(self, s: Statement, text: str, inner: str | None) -> bool:
        """A header needs its braces, in its own line; other statements have none.  False when there is no content."""
        word = text.split(maxsplit=1)[0]
        brace = s.block.open if s.block is not None else None
        if inner is None:
            if brace is not None:
                message = f"`{word}` takes no block" if word in reserved_words() else "this statement takes no block"
                help = f"write `{word} from ...`" if word == "data" else "remove the braces"
                self.reporter.error("E0110", message, brace, brace + 1, help=help)
            return brace is None
        if brace is None:
            help = f"write `{{` at the end of this line{'' if s.block else ' and `}` after its last statement'}"
            self.reporter.error("E0110", f"the `{{` of this `{word}` is missing", s.start, s.end, help=help)
        elif s.block is not None and any(trivia.kind == "newline" for trivia in s.block.gap):
            message = f"this `{{` must stand in the line of its `{word}`"
            self.reporter.error("E0110", message, brace, brace + 1, help="a newline ends a statement: move it up")
        return s.block is not None


def _likely(text: str, block: str) -> str | None:
    """The kind of a statement that could not be read, as far as needed to look into its block."""
    first = _FIRST_WORD.match(text)
    word = _closest(first.group()) if first is not None else ""
    where = places(word)
    return WORDS[block if block in where else where[0]][word] if where else None


def _as_meant(text: str) -> str:
    """The text with a misspelt or foreign first word replaced, for the names that it would declare."""
    first = re.match(r"([A-Za-z_]\w*)(?=[ \t]+[A-Za-z_])", text)
    if first is None or places(first.group()):
        return text
    return (_closest(first.group()) or "input") + text[first.end() :]


def _closest(word: str) -> str:
    """The known first word, of any block, that is most like this one; empty when none is."""
    if places(word):
        return word
    return suggest(word, {known for words in WORDS.values() for known in words}) or ""


def _end_of(s: Statement) -> int:
    """Where a statement ends, its block included."""
    if s.block is None:
        return s.end
    if s.block.close is not None:
        return s.block.close + 1
    last = next((i for i in reversed(s.block.items) if isinstance(i, Statement)), None)
    return _end_of(last) if last is not None else (s.block.open or s.end - 1) + 1


def _docs(scan: Scan) -> list[tuple[int, str]]:
    """Start and documentation of every statement."""
    found: list[tuple[int, str]] = []
    todo = list(scan.items)
    while todo:
        item = todo.pop()
        if isinstance(item, Statement):
            found.append((item.start, item.doc))
            todo += item.block.items if item.block is not None else []
    return found


def _with_docs(node: nodes.Stmt, docs: dict[int, str]) -> nodes.Stmt:
    content = getattr(node, "body", None) or getattr(node, "lines", None)
    if content:
        node = filled(node, tuple(_with_docs(inner, docs) for inner in content), node.span.end)
    return documented(node, docs.get(node.span.start, ""))
