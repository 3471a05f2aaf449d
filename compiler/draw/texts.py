"""Text of a spec in a picture: data in every place it can stand."""

from __future__ import annotations

import re
from html import escape

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""Control characters, which XML has no place for, and signs that turn the writing direction."""


def text(value: str) -> str:
    """The value as content or attribute of SVG and HTML; what cannot be seen is written out (``\\u202e``)."""
    return escape(_UNSEEN.sub(lambda m: f"\\u{ord(m[0]):04x}", value), quote=True)


def number(value: float) -> str:
    """A coordinate: tenths of a pixel are enough."""
    return f"{value:.1f}".removesuffix(".0")
