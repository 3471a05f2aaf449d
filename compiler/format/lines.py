"""From the tree of a spec to lines: what stands on a line of its own, how deep, and under which blank line.

Statements that the writer put on one line stay together while they fit, and so does a block ``{ .. }``; everything else
has its own line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..frontend.parse import Lossless
from ..frontend.scan import Block, Item, Statement, Trivia
from .breaks import STEP, WIDTH, width
from .spacing import Tok, spaced


@dataclass(slots=True)
class Line:
    """A line before it is broken; ``kind`` is the start symbol of the one statement on it, empty else.  A line without
    tokens is a comment.  ``block``: it opens or closes a block of several lines."""

    depth: int
    toks: list[Tok] = field(default_factory=list[Tok])
    kind: str = ""
    comment: str = ""
    blank: bool = False
    block: bool = False


class Lines:
    """Reads the lines of one parsed spec."""

    def __init__(self, parsed: Lossless) -> None:
        self.parsed = parsed
        self.text = parsed.scan.text
        self.lines: list[Line] = []
        self.ends = 0  # line ends since the last piece
        self.joins = False  # a statement may go on in the last line

    def read(self) -> list[Line]:
        """All lines."""
        self._items(self.parsed.scan.items, 0)
        return self.lines

    # ------------------------------------------------------------ pieces

    def _items(self, items: list[Item], depth: int) -> None:
        for item in items:
            if isinstance(item, Statement):
                self._statement(item, depth)
            elif item.kind == "newline":
                self.ends += 1
            elif item.kind in ("comment", "doc"):
                self._comment(item, depth)

    def _line(self, line: Line) -> None:
        """A new line; blank lines at the start of the file and of blocks go."""
        first = not self.lines or (self.lines[-1].block and self.lines[-1].depth < line.depth)
        line.blank = self.ends > 1 and not first
        self.lines.append(line)
        self.ends = 0

    def _comment(self, item: Trivia, depth: int) -> None:
        comment = self.text[item.start : item.end].rstrip()
        if self.lines and not self.ends and self.lines[-1].toks and not self.lines[-1].comment:
            self.lines[-1].comment = comment
        else:  # after a lone `;` it documents nothing, and must not begin to
            plain = item.kind == "comment" and comment.startswith("##") and comment[2:3] != "#"
            self._line(Line(depth, comment=comment[1:] if plain else comment))
        self.joins = False

    def _statement(self, s: Statement, depth: int) -> None:
        if s.block is not None and s.block.open is not None:
            self._block(s, s.block, depth)
            return
        toks, last = self._tokens(s), self.lines[-1] if self.lines else None
        joined = [Tok(";", ";"), *_apart(toks)]
        if last is not None and self.joins and not self.ends and _whole(toks) and _fits(depth, [*last.toks, *joined]):
            last.toks += joined
            last.kind = ""
            return
        self._line(Line(depth, toks, self.parsed.kinds.get(s.start, "")))
        self.joins = _whole(toks) and s.start in self.parsed.kinds

    def _block(self, s: Statement, block: Block, depth: int) -> None:
        inline = self._inline(s, block)
        if inline is not None and _fits(depth, inline):
            self._line(Line(depth, inline, self.parsed.kinds[s.start]))
        else:
            self._line(Line(depth, [*self._tokens(s), Tok("{", "{", " ")], block=True))
            self.joins = False
            self._items(block.items, depth + 1)
            self.ends = 0  # no blank line before the brace
            self._line(Line(depth, [Tok("}", "}")], block=True))
        self.joins = False

    def _inline(self, s: Statement, block: Block) -> list[Tok] | None:
        """A header with its block on one line, if the writer put it there; None else."""
        inside = [item for item in block.items if isinstance(item, Statement)]
        beside = {item.kind for item in block.items if isinstance(item, Trivia)}
        if beside & {"comment", "doc"} or (inside and "newline" in beside) or any(i.block is not None for i in inside):
            return None
        found = [*self._tokens(s), Tok("{", "{", " ")]
        for k, item in enumerate(inside):
            found += [Tok(";", ";")] if k else []
            found += _apart(self._tokens(item))
        found.append(Tok("}", "}", " " if inside else ""))
        return found if _whole(found) else None

    def _tokens(self, s: Statement) -> list[Tok]:
        kind = self.parsed.kinds.get(s.start)
        text = self.text[s.start : s.end]
        if kind is None:  # the edition
            return [Tok("word", " ".join(text.split()))]
        return spaced(kind, self.parsed.tokens(s), text)


def _apart(toks: list[Tok]) -> list[Tok]:
    """Tokens that go on in a line: with a blank before them."""
    toks[0].gap = " "
    return toks


def _whole(toks: list[Tok]) -> bool:
    return not any(tok.breaks or tok.kind == "#" for tok in toks)


def _fits(depth: int, toks: list[Tok]) -> bool:
    return STEP * depth + width(toks) <= WIDTH


# ---------------------------------------------------------------- what a layout must keep


def content(parsed: Lossless) -> list[tuple[str, ...]]:
    """Everything that a spec says: statements token by token with their documentation, braces, and comments.

    Two texts with the same content have the same nodes, but for the places and for the spelling of reported metrics.
    """
    found: list[tuple[str, ...]] = []
    scan = parsed.scan

    def walk(items: list[Item]) -> None:
        for item in items:
            text = scan.text[item.start : item.end]
            if isinstance(item, Trivia):
                if item.kind in ("comment", "doc"):
                    found.append(("#", text.rstrip().lstrip("#")))
                continue
            kind = parsed.kinds.get(item.start)
            toks = text.split() if kind is None else [t.text for t in spaced(kind, parsed.tokens(item), text)]
            found.append((kind or "", item.doc, *toks))
            if item.block is not None:
                found.append(("{",))
                walk(item.block.items)
                found.append(("}",))

    walk(scan.items)
    return found
