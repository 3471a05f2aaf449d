"""Axes whose size is the alphabet of a text: declared without one, labelled by a column of `data from text(..)`."""

from __future__ import annotations

from collections.abc import Mapping

from ..diagnostics import Findings
from . import nodes as syntax
from .check import choose
from .datasets import TEXT_COLUMNS
from .parse import parse_text


def axes_of_text(text: str, name: str, model: str | None, overrides: Mapping[str, str]) -> dict[str, str]:
    """The axes of a spec that have no size and hold the characters of a text, each with the path of that text.

    The compiler reads no data: who calls it gives the sizes, as with `--set`.

    Args:
        text: the spec.
        name: what it is called in places.
        model: which of its models; else the main one.
        overrides: what is set already.
    """
    ignored = Findings()  # its mistakes are found when it is compiled
    file = parse_text(text, name, ignored)
    decl = choose(file, model, ignored)
    body = decl.body if decl is not None else ()
    others = {s.name for s in file.body if isinstance(s, syntax.ModelDecl)}
    labels = {s.target.name: s.kind.name for s in body if isinstance(s, syntax.InputDecl) and s.kind is not None}
    unsized = {i.name for s in body if isinstance(s, syntax.AxisDecl) for i in s.items if i.value is None}
    found: dict[str, str] = {}
    for block in (s for s in body if isinstance(s, syntax.DataBlock)):
        path = next((a.value.value for a in block.source.args if isinstance(a.value, syntax.Text)), None)
        if block.source.name == "text" and "text" not in others and path is not None:
            held = {labels.get(name) for name in _text_inputs(block)}
            found |= {axis: path for axis in sorted(unsized - overrides.keys()) if axis in held}
    return found


def _text_inputs(block: syntax.DataBlock) -> list[str]:
    """The inputs that are a column of the text as it stands."""
    lines = [line for line in block.lines if isinstance(line, syntax.DataColumn)]
    return [x.name for x in lines if isinstance(x.value, syntax.Name) and x.value.name in TEXT_COLUMNS]
