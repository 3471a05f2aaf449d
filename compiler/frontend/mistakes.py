"""Why a statement could not be read, in plain language.

Reading stops at the first token that cannot go on; what could have stood there instead is known.  The words for it come,
in this order, from: reserved words used as names, words close to one that is allowed here, the table of malformed
snippets (``grammar/syntax_errors.toml``), and what kind of thing is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...grammar import HERE, Mistake, mistake_table, reserved_words
from ..diagnostics import did_you_mean
from .statements import places

_TOKEN = re.compile(
    r"\"[^\"\n]*\"?|[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_]\w*)*'*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
    r"|\|>|//|<=|>=|==|!=|\.\.|<-|->|\S"
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_WINDOW = 200  # how far around the place patterns look
_MOST_CHOICES = 8


@dataclass(frozen=True, slots=True)
class Expected:
    """What could have stood where reading stopped."""

    value: bool  # a value: a number, a name, a call, a parenthesis
    name: bool  # a name, perhaps as a value
    more: bool  # an operator: the value before is complete
    end: bool  # the end of the statement
    words: frozenset[str]  # keywords
    signs: frozenset[str]  # brackets, commas and signs that are no operators

    @property
    def kind(self) -> str:
        """The class that a row of the table may ask for."""
        return "value" if self.value else "more" if self.more else "other"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A diagnostic without its file; ``start`` and ``end`` count from the start of the statement."""

    code: str
    message: str
    help: str | None
    start: int
    end: int
    label: str = ""


def explain(text: str, at: int, start: str, expected: Expected) -> Explanation:
    """Say what is wrong at ``at`` in a statement that was read as ``start``."""
    word = _WORD.match(text, at)
    found = _by_row(text, at, start, expected, keyword=True)
    if found is None and word is not None:
        found = _reserved(text, at, word.group(), expected) or _misspelt(at, word.group(), expected)
    return found or _by_row(text, at, start, expected, keyword=False) or _missing(text, at, expected)


def _by_row(text: str, at: int, start: str, expected: Expected, *, keyword: bool) -> Explanation | None:
    """What the first row of the table says that fits."""
    inside = _bracket(text, at)
    low = max(0, at - _WINDOW)
    window = text[low:at] + HERE + text[at : at + _WINDOW]
    for row in mistake_table().rows:
        if row.keyword != keyword or (row.starts and start not in row.starts):
            continue
        if row.inside not in (None, inside) or row.wants not in (None, expected.kind):
            continue
        match = row.pattern.search(window)
        if match is not None:
            return _from_row(row, match, text, at, low)
    return None


def _reserved(text: str, at: int, word: str, expected: Expected) -> Explanation | None:
    """A reserved word where a name is expected; but ``a + init 0`` lacks a value, ``a = 1 axis b`` a new line."""
    if word not in reserved_words():
        return None
    if not expected.name:
        if not places(word) or not expected.end:
            return _missing(text, at, expected)
        help = "put it on a new line, or a `;` before it"
        return Explanation("E0110", "a new statement begins here, in the same line", help, at, at + len(word))
    rest = text[at + len(word) :].lstrip()
    before = text[:at].rstrip()
    end = at + len(word)
    if (
        before.endswith((")", ",", "+", "-", "*", "/", "^", "%", "<", ">", "~"))
        and expected.value
        and rest[:1].isalnum()
    ):
        shown = before[-1]
        return Explanation(
            "E0110", f"nothing stands between `{shown}` and `{word}`", "write the missing value", at, end
        )
    return Explanation("E0113", f"`{word}` is a reserved word, not a name", "choose another name", at, end)


def _misspelt(at: int, word: str, expected: Expected) -> Explanation | None:
    if len(word) < 3 or not expected.words:
        return None
    longer = sorted(w for w in expected.words if len(w) > 2 and (word.startswith(w) or w.startswith(word)))
    help = did_you_mean(longer[0] if longer else word, expected.words)
    if help is None:
        return None
    return Explanation("E0110", f"`{word}` is not a word that can stand here", help, at, at + len(word))


def _from_row(row: Mistake, match: re.Match[str], text: str, at: int, low: int) -> Explanation:
    """The row's words, with its groups filled in and the caret where its group ``mark`` or the token is."""
    token = _TOKEN.match(text, at)
    groups = {name: (value or "").replace(HERE, "") for name, value in match.groupdict().items()}
    start, end = at, token.end() if token is not None else at
    if groups.get("mark"):
        start, end = (low + p - (1 if p > at - low else 0) for p in match.span("mark"))
        end = start + len(text[start:end].rstrip())
    start, end = _visible(text, start, end)
    return Explanation("E0110", row.message.format(**groups), row.help.format(**groups), start, end)


def _visible(text: str, start: int, end: int) -> tuple[int, int]:
    """At the end of a statement the caret goes under its last token."""
    if start < end:
        return start, end
    last = start
    for match in _TOKEN.finditer(text, max(0, start - _WINDOW), start):
        last = match.start()
    return (last, start) if last < start else (start, start)


def _bracket(text: str, at: int) -> str:
    """The innermost bracket open at a place, or ``none``."""
    opened: list[str] = []
    for match in re.finditer(r"\"[^\"\n]*\"|#[^\n]*|[()\[\]]", text[:at]):
        sign = match.group()
        if sign in "([":
            opened.append(sign)
        elif sign in ")]" and opened:
            opened.pop()
    return opened[-1] if opened else "none"


def _missing(text: str, at: int, expected: Expected) -> Explanation:
    """No row fits: say what stands there and what kind of thing should."""
    match = _TOKEN.match(text, at)
    token = match.group() if match is not None else ""
    start, end = _visible(text, at, at + len(token))
    if expected.value:
        wanted = "a value"
    elif expected.name:
        wanted = "a name"
    else:
        wanted = ""
    before = text[start:end].strip()
    shown = token if len(token) <= 30 else token[:27] + "..."
    if not token:
        message = f"{wanted or 'something'} is missing after `{before}`"
        return Explanation("E0110", message, _choices(expected), start, end, "the statement ends here")
    if wanted:
        return Explanation("E0110", f"`{shown}` stands where {wanted} is expected", _choices(expected), start, end)
    return Explanation("E0110", f"`{shown}` cannot stand here", _choices(expected), start, end)


def _choices(expected: Expected) -> str | None:
    """What may stand here, when that is little enough to be read."""
    choices = [f"`{w}`" for w in sorted(expected.words)] + [f"`{s}`" for s in sorted(expected.signs)]
    if expected.value:
        choices = ["a value", *choices]
    elif expected.name:
        choices = ["a name", *choices]
    if expected.more:
        choices = ["an operator", *choices]
    if expected.end:
        choices.append("the end of the statement")
    if not choices or len(choices) > _MOST_CHOICES:
        return None
    if len(choices) == 1:
        return f"here stands {choices[0]}"
    return f"here may stand {', '.join(choices[:-1])} or {choices[-1]}"
