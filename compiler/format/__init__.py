"""``dltc fmt``: one layout for every spec.

    text --parse--> tree of all pieces --lines--> rows of tokens --breaks--> --align--> text

The tree of the scanner is edited, the model is never printed anew: numbers, parentheses, the case of names, comments and
the grouping by blank lines stay as written.  What is decided here: indentation, blanks between tokens, what stands in
columns, where a long line breaks.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..diagnostics import Findings, InternalError
from ..frontend.parse import parse_lossless
from .align import aligned
from .breaks import WIDTH
from .lines import Lines, content


@dataclass(frozen=True, slots=True)
class Formatted:
    """A formatted spec; ``text`` is None where syntax errors leave the file as it is."""

    text: str | None
    findings: Findings


def format_text(text: str, name: str = "<text>") -> Formatted:
    """The canonical layout of a spec, with every line end ``\\n``.  Formatting twice changes nothing more.

    Raises:
        InternalError: the result would not read as the same statements and comments (a fault of this package).
    """
    findings = Findings()
    parsed = parse_lossless(text, name, findings)
    if findings.errors:
        return Formatted(None, findings)
    lines = Lines(parsed)
    result = "".join(f"{row}\n" for row in aligned(lines.read()))
    again = parse_lossless(result, name, Findings())
    if content(parsed) != content(again):
        raise InternalError(f"formatting {name} would change what it says")
    return Formatted(result, findings)


__all__ = ["WIDTH", "Formatted", "format_text"]
