"""Which characters a spec may contain.

Code is ASCII.  Comments and texts may hold any character except those that change how a reader or another program sees
the line: control characters (a bare carriage return in a comment would end the comment in generated Python), line
separators, signs that turn the writing direction, and halves of surrogate pairs.
"""

from __future__ import annotations

import re
import unicodedata

from .reporter import Reporter

_PLAIN = re.compile(r"(?:[\t\n\x20-\x7e]|\r\n)*")
_NEVER = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]+"
)
_NOT_IN_CODE = re.compile(r"[^\t\n\r\x20-\x7e]+")
_IN_ASCII = {
    "×": "*",
    "·": "*",
    "⋅": "*",
    "∗": "*",
    "÷": "/",
    "∕": "/",
    "−": "-",
    "–": "-",
    "—": "-",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≡": "==",
    "∼": "~",
    "∞": "inf",
    "√": "sqrt",
    "²": "^2",
    "³": "^3",
    "½": "1/2",
    "′": "'",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "„": '"',
    "…": "..",
    "，": ",",
    "；": ";",
    "：": ":",
    "（": "(",
    "）": ")",
    "\u00a0": "an ordinary space",
    "\u202f": "an ordinary space",
}
_LETTERS = "αalpha βbeta γgamma δdelta εepsilon ζzeta ηeta θtheta ιiota κkappa λlambda μmu νnu ξxi πpi ρrho σsigma τtau"
_MORE_LETTERS = "υupsilon φphi χchi ψpsi ωomega µmu ∆Delta ΔDelta ΣSigma ΩOmega ΦPhi ∑sum ∏prod"
_SPELLED = {word[0]: word[1:] for word in re.findall(r"\S+", f"{_LETTERS} {_MORE_LETTERS}")}
_BARE_RETURN = "a carriage return without a line feed is no line end"


class Characters:
    """The check of one text.  ``suspicious`` is False for nearly every text, and then nothing need be checked."""

    def __init__(self, text: str, reporter: Reporter) -> None:
        self.suspicious = _PLAIN.fullmatch(text) is None
        self._text = text
        self._reporter = reporter
        self._returns = 0

    def check(self, kind: str, start: int, end: int) -> bool:
        """Check one token of the scanner; True when the statement it belongs to is spoilt."""
        if kind == "newline":
            self._newline(start, end)
            return False
        pattern = _NEVER if kind in ("comment", "doc", "string") else _NOT_IN_CODE
        found = False
        for match in pattern.finditer(self._text, start, end):
            found = True
            message, help = _explain(match.group())
            self._reporter.error("E0104", message, match.start(), match.end(), help=help)
        return found and kind not in ("comment", "doc")

    def _newline(self, start: int, end: int) -> None:
        """Files whose lines all end in a bare carriage return get one error, not one per line."""
        if self._text[start:end] != "\r":
            return
        self._returns += 1
        if self._returns == 1:
            self._reporter.error("E0104", _BARE_RETURN, start, end, help="save the file with LF or CRLF line ends")


def _explain(run: str) -> tuple[str, str]:
    """Message and fix for a run of characters; one that cannot be seen is named, never printed."""
    first = run[0]
    number = f"U+{ord(first):04X}"
    title = unicodedata.name(first, "a control character")
    if first == "\ufeff":
        return f"a byte order mark ({number}) stands inside the text", "remove it"
    if _NEVER.match(first):
        return f"a spec may not contain {number} ({title})", "remove it"
    ascii_text = _IN_ASCII.get(first)
    if ascii_text is not None:
        shown = f"`{first}` ({number} {title})" if first.isprintable() else f"{number} ({title})"
        return f"{shown} is not part of the language", f"write {_quoted(ascii_text)}"
    spelled = "".join(_SPELLED.get(c, "") for c in run)
    fix = f"write `{spelled}`" if spelled else "names consist of the letters a-z and A-Z, digits and `_`"
    shown = f"`{run[:20]}`" if run.isprintable() else f"{number} ({title})"
    return f"{shown} is not ASCII: outside comments and texts only ASCII is allowed", fix


def _quoted(text: str) -> str:
    return text if text.startswith("an ") else f"`{text}`"
