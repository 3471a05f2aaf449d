"""From text to a tree of blocks and statements, without losing a character.

The scanner knows brackets, strings, comments and line ends, nothing of the grammar.  Every piece of the text (blanks and
comments included) is in the tree, so that a formatter or a renamer can edit the text instead of printing the model anew;
:func:`pieces` gives the text back.  Each statement is later parsed alone, so a mistake in one hides none in another.

What is wrong with the characters themselves is found here, together with the edition line and brackets that do not
match.  Two liberties are taken: a byte order mark at the very start and blank lines before ``dlt 1`` are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ...grammar import reserved_words
from ..diagnostics import Note
from .characters import Characters
from .reporter import Reporter

EDITION = 1
LARGEST_TEXT = 2_000_000  # bytes
DEEPEST = 200

TriviaKind = Literal["bom", "space", "newline", "comment", "doc", "semicolon", "stray"]


@dataclass(frozen=True, slots=True)
class Trivia:
    """A piece of text that is no statement: blanks, line ends, comments, ``;``, a brace that closes nothing."""

    kind: TriviaKind
    start: int
    end: int


@dataclass(slots=True)
class Block:
    """``{ ... }``: ``open`` is None when the brace is missing, ``close`` when the block ends without one.

    ``gap`` is what stands between the header and the brace.
    """

    gap: list[Trivia]
    open: int | None
    items: list[Item] = field(default_factory=list["Item"])
    close: int | None = None


@dataclass(slots=True)
class Statement:
    """A statement or, with a block, its header: the text ``[start, end)`` without blanks around it.

    ``doc`` joins the ``##`` lines above it; ``broken`` says that an error inside it is already recorded.
    """

    start: int
    end: int
    doc: str
    broken: bool
    indent: int
    block: Block | None = None


Item = Trivia | Statement


@dataclass(slots=True)
class Scan:
    """The whole text as a tree.  ``edition`` is None when nothing can be said about the rest.

    ``unbalanced``: some brace is missing or too many, so that the place of a statement means little.
    """

    text: str
    items: list[Item]
    edition: int | None
    unbalanced: bool


def pieces(scan: Scan) -> Iterator[str]:
    """All pieces of the text in order; joined they are the text."""

    def walk(items: list[Item]) -> Iterator[str]:
        for item in items:
            yield scan.text[item.start : item.end]
            if isinstance(item, Statement) and item.block is not None:
                block = item.block
                yield from walk(list(block.gap))
                yield "" if block.open is None else scan.text[block.open]
                yield from walk(block.items)
                yield "" if block.close is None else scan.text[block.close]

    yield from walk(scan.items)


def scan_text(text: str, reporter: Reporter) -> Scan:
    """Cut a text into statements; what is wrong at this level is reported."""
    if text.startswith("DLT\x01"):
        message = "this is an automotive diagnostic log (DLT), not a spec"
        reporter.error("E0103", message, 0, 4, help="a spec is a text file that starts with the line `dlt 1`")
        return Scan(text, [Trivia("stray", 0, len(text))], None, False)
    if len(text) > LARGEST_TEXT or len(text.encode("utf-8", "surrogatepass")) > LARGEST_TEXT:
        message = f"a spec may have at most {LARGEST_TEXT // 1_000_000} MB"
        reporter.error("E0105", message, 0, 1, help="split it, and join the parts with `use`")
        return Scan(text, [Trivia("stray", 0, len(text))], None, False)
    scanner = _Scanner(text, reporter)
    scanner.run()
    return Scan(text, scanner.top, _edition(text, scanner.top, reporter), scanner.unbalanced)


def edition_statement(scan: Scan) -> Statement | None:
    """The statement that gives the edition, if the text has one."""
    first = next((item for item in scan.items if isinstance(item, Statement)), None)
    return first if first is not None and _EDITION_WORD.match(scan.text, first.start) else None


def _edition(text: str, items: list[Item], reporter: Reporter) -> int | None:
    """Check that the first line is ``dlt 1``; None when another edition is asked for."""
    top = next((i for i in items if not (isinstance(i, Trivia) and i.kind in ("bom", "space", "newline"))), None)
    first = next((i for i in items if isinstance(i, Statement)), None)
    if first is None or not _EDITION_WORD.match(text, first.start):
        start = first.start if first is not None else 0
        message = "the first line of a spec says its edition: `dlt 1`"
        reporter.error("E0101", message, start, min(start + 1, len(text)), help="put the line `dlt 1` at the top")
        return EDITION
    words = text[first.start : first.end].split()
    if len(words) == 2 and words[1].isdigit() and words != ["dlt", str(EDITION)] and words[0] == "dlt":
        message = f"edition {words[1][:12]} is not known to this compiler"
        help = f"this compiler reads edition {EDITION}: write `dlt {EDITION}`"
        reporter.error("E0102", message, first.start, first.end, help=help)
        return None
    if words != ["dlt", str(EDITION)] or first.block is not None:
        message = "the first line says the edition and nothing else"
        reporter.error("E0101", message, first.start, first.end, help=f"write `dlt {EDITION}` in a line of its own")
    elif top is not first:
        message = "the edition stands before everything else"
        reporter.error("E0101", message, first.start, first.end, help="move this line to the top")
    return EDITION


_EDITION_WORD = re.compile(r"dlt\b", re.IGNORECASE)
_TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
      | (?P<newline>\r?\n|\r)
      | (?P<doc>\#\#(?!\#)[^\r\n]*)
      | (?P<comment>\#[^\r\n]*)
      | (?P<string>"[^"\r\n]*")
      | (?P<quote>")
      | (?P<open>[(\[])
      | (?P<close>[)\]])
      | (?P<lbrace>\{)
      | (?P<rbrace>\})
      | (?P<semicolon>;)
      | (?P<code>[^ \t\r\n\#"()\[\]{};]+)""",
    re.VERBOSE,
)
_PAIRS = {")": "(", "]": "["}
_GOES_ON = frozenset(",([{+-*/%^<>=~:|")  # no statement ends with one of these
_NAMED_BLOCK = re.compile(r"(?:model|circuit|rule)[ \t]+[A-Za-z_]|use[ \t]+[\w\"]|extern[ \t]+op\b")
_HEADER = re.compile(
    r"(?:model|circuit|rule)[ \t]+[A-Za-z_]|(?:learn|infer|train)\Z|train[ \t]+over\b|data[ \t]+from\b"
)


class _Scanner:
    """One run over a text.  ``frames`` are the statements whose blocks are open; methods are named after tokens."""

    def __init__(self, text: str, reporter: Reporter) -> None:
        self.text, self.reporter = text, reporter
        self.top: list[Item] = []
        self.items = self.top
        self.frames: list[Statement] = []
        self.brackets: list[int] = []
        self.start = -1  # of the statement under way
        self.end = -1
        self.broken = False
        self.pending: list[Trivia] = []  # blanks that belong to the statement only if it goes on
        self.doc: list[str] = []
        self.lines_since_doc = 0
        self.line_start = 0
        self.line_has_code = False
        self.unbalanced = False
        self.suspect: Statement | None = None
        self.next_statement = re.compile(
            r"[ \t]*(?:(?:" + "|".join(sorted(reserved_words())) + r")\b"
            r"|[A-Za-z_][\w.]*'*[ \t]*(?:\[[^\]\n]*\])?[ \t]*(?:=(?!=)|~|<-|:))"
        )

    def run(self) -> None:
        at = 0
        if self.text.startswith("\ufeff"):
            self.top.append(Trivia("bom", 0, 1))
            at = 1
        characters = Characters(self.text, self.reporter)
        methods: dict[str, Callable[[int, int], bool | None]] = {
            kind: getattr(self, f"_on_{kind}") for kind in _TOKEN.groupindex
        }
        for match in _TOKEN.finditer(self.text, at):
            kind = match.lastgroup or ""
            if methods[kind](match.start(), match.end()):
                return
            if characters.suspicious and characters.check(kind, match.start(), match.end()):
                self.broken = True
        self._at_end()

    # ------------------------------------------------------------ statements

    def _code(self, start: int, end: int) -> None:
        """Something that belongs to a statement."""
        if self.start < 0:
            if self.frames and _NAMED_BLOCK.match(self.text, start):
                self._leave_implied()
            self.start, self.broken = start, False
        self.end = end
        self.line_has_code = True
        self.pending.clear()

    def _trivia(self, kind: TriviaKind, start: int, end: int) -> None:
        (self.items if self.start < 0 else self.pending).append(Trivia(kind, start, end))

    def _finish(self) -> Statement | None:
        """End the statement under way and put it, and the blanks after it, into the tree."""
        if self.start < 0:
            return None
        indent = self.start - self.line_start if self.start >= self.line_start else -1
        statement = Statement(self.start, self.end, "\n".join(self.doc), self.broken, indent)
        self.items.append(statement)
        self.items.extend(self.pending)
        self.start, self.broken = -1, False
        self.pending, self.doc, self.brackets = [], [], []
        return statement

    def _push(self, statement: Statement, block: Block) -> None:
        statement.block = block
        self.frames.append(statement)
        self.items = block.items

    def _pop(self) -> Statement:
        frame = self.frames.pop()
        block = self.frames[-1].block if self.frames else None
        self.items = block.items if block is not None else self.top
        self.doc = []
        return frame

    def _leave_implied(self) -> None:
        """A block without its brace ends where the next named block begins."""
        while self.frames and (block := self.frames[-1].block) is not None and block.open is None:
            self._pop()

    # ------------------------------------------------------------ one method per token

    def _on_space(self, start: int, end: int) -> None:
        self._trivia("space", start, end)

    def _on_comment(self, start: int, end: int) -> None:
        self._trivia("comment", start, end)

    def _on_doc(self, start: int, end: int) -> None:
        if self.start >= 0 or self.line_has_code:
            self._trivia("comment", start, end)
            return
        if self.lines_since_doc > 1:
            self.doc = []
        self.doc.append(self.text[start + 2 : end].removeprefix(" ").rstrip())
        self.lines_since_doc = 0
        self._trivia("doc", start, end)

    def _on_newline(self, start: int, end: int) -> None:
        if not self.brackets:
            gap, self.pending = self.pending, []
            ended = self._finish()
            implied = len(self.frames) < DEEPEST and ended is not None
            if ended is not None and implied and _HEADER.match(self.text[ended.start : ended.end]):
                self._push(ended, Block(gap, None))
            else:
                self.items.extend(gap)
        elif self.text[self.end - 1] not in _GOES_ON and self.next_statement.match(self.text, end):
            self._unclosed("the statement ends", self.end - 1)
            self._finish()
        self._trivia("newline", start, end)
        self.line_start, self.line_has_code = end, False
        self.lines_since_doc += 1

    def _on_semicolon(self, start: int, end: int) -> None:
        if self.brackets:
            self._unclosed("the statement ends", start)
        self._finish()
        self.line_has_code = True
        self._trivia("semicolon", start, end)

    def _on_code(self, start: int, end: int) -> None:
        self._code(start, end)

    def _on_string(self, start: int, end: int) -> None:
        self._code(start, end)

    def _on_quote(self, start: int, end: int) -> None:
        self._code(start, end)
        help = "a text ends in the line where it begins"
        self._spoil("E0107", 'this text has no closing `"`', start, end, help)

    def _on_open(self, start: int, end: int) -> None:
        self._code(start, end)
        self.brackets.append(start)
        if len(self.frames) + len(self.brackets) > DEEPEST and not self.broken:
            self._too_deep(start)

    def _on_close(self, start: int, end: int) -> None:
        self._code(start, end)
        closer = self.text[start]
        wanted = _PAIRS[closer]
        if any(self.text[bracket] == wanted for bracket in self.brackets[-DEEPEST:]):
            while self.text[self.brackets[-1]] != wanted:
                self._unclosed(f"`{closer}` stands", start)
                self.brackets.pop()
            self.brackets.pop()
            return
        notes = [self.reporter.note("this one is open", b, b + 1) for b in self.brackets[-1:]]
        help = f"remove it, or write the `{wanted}` that it closes"
        self._spoil("E0108", f"this `{closer}` closes nothing", start, end, help, notes)

    def _on_lbrace(self, start: int, end: int) -> bool:
        """Open a block; True when the nesting is too deep to go on."""
        if self.brackets:
            self._unclosed("a block begins", start)
        if len(self.frames) >= DEEPEST:
            self._code(start, len(self.text))
            self._too_deep(start)
            self._finish()
            self.unbalanced = True
            return True
        frame = self.frames[-1] if self.frames else None
        block = frame.block if frame is not None else None
        if self.start < 0 and block is not None and block.open is None and not _statements(block.items):
            block.gap.extend(item for item in block.items if isinstance(item, Trivia))
            block.items.clear()
            block.open = start  # the brace stands on a line after its header
        else:
            if self.start < 0:
                self._code(start, start)  # a block without a header
            gap, self.pending = self.pending, []
            header = self._finish()
            assert header is not None
            self._push(header, Block(gap, start))
        self.line_has_code = True
        return False

    def _on_rbrace(self, start: int, end: int) -> None:
        first_in_line = not self.line_has_code
        if self.brackets:
            self._unclosed("the block ends", start)
        self._finish()
        self.line_has_code = True
        if not self.frames:
            self.reporter.error("E0108", "this `}` closes nothing", start, end, help="remove it")
            self.unbalanced = True
            self._trivia("stray", start, end)
            return
        if first_in_line and self.suspect is None:
            self._compare_indents(start - self.line_start)
        block = self._pop().block
        if block is not None:
            block.close = start

    def _compare_indents(self, indent: int) -> None:
        """A brace that stands under an outer header probably closes that one: the inner block was forgotten."""
        inner, outer = self.frames[-1], self.frames[:-1]
        if inner.indent not in (-1, indent) and any(frame.indent == indent for frame in outer):
            self.suspect = inner

    def _at_end(self) -> None:
        if self.brackets:
            self._unclosed("the file ends", self.end - 1)
        self._finish()
        opened = [f for f in self.frames if f.block is not None and f.block.open is not None]
        if opened:
            frame = self.suspect or opened[-1]
            place = frame.block.open if frame.block is not None and frame.block.open is not None else frame.start
            message = "this block is not closed"
            self.reporter.error("E0107", message, place, place + 1, label="opened here", help="write the missing `}`")
            self.unbalanced = True

    # ------------------------------------------------------------ errors

    def _unclosed(self, event: str, at: int) -> None:
        bracket = self.brackets[-1]
        opened = self.text[bracket]
        notes = [self.reporter.note(f"{event} here while it is open", at, at + 1)]
        help = f"write the missing `{')' if opened == '(' else ']'}`"
        self._spoil("E0107", f"this `{opened}` is not closed", bracket, bracket + 1, help, notes)

    def _too_deep(self, at: int) -> None:
        help = "give parts of it names of their own"
        self._spoil("E0106", f"brackets are nested more than {DEEPEST} deep", at, at + 1, help)

    def _spoil(self, code: str, message: str, start: int, end: int, help: str, notes: list[Note] | None = None) -> None:
        """Report an error inside the statement under way, the first one only, and give the statement up."""
        if not self.broken:
            self.reporter.error(code, message, start, end, help=help, notes=notes or [])
        self.broken = True


def _statements(items: list[Item]) -> bool:
    return any(isinstance(item, Statement) for item in items)
