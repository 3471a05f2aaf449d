"""Windows (language, 4.7): x[2*row + dr], 0 outside the axis.

Where the position is a sum of labels times whole numbers it becomes the op ``window``, which convolutions are made of;
a factor that only the data knows, or an index that x carries already, leaves a gather and a mask, which mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import expr as e
from .node import Node, Pool


def read_window(pool: Pool, x: Node, position: Node, axis: str) -> Node:
    """x along ``axis`` at a position that may lie outside; there it is 0."""
    parts = _affine(position)
    indices = [index for index, _ in parts[0]] if parts is not None else []
    if parts is None or len(set(indices)) < len(indices) or set(indices) & (x.axes - {axis}):
        return _masked(pool, x, position, axis)
    return e.window(pool, x, axis, parts[0], parts[1])


def within(pool: Pool, position: Node, axis: str) -> Node:
    """Whether a position lies on its axis."""
    return e.minimum(pool, e.le(pool, 0, position), e.lt(pool, position, e.size(pool, axis)))


def _masked(pool: Pool, x: Node, position: Node, axis: str) -> Node:
    """The same through a gather inside the axis and a mask."""
    last = e.sub(pool, e.size(pool, axis), 1)
    outside = e.maximum(pool, e.lt(pool, position, 0), e.lt(pool, last, position))
    read = e.gather(pool, e.carrying(pool, x, [axis]), e.maximum(pool, e.minimum(pool, position, last), 0), axis)
    zero = {"real": 0.0, "int": 0, "bool": False}[x.dtype]
    return e.select(pool, outside, zero, read)


def _affine(position: Node) -> tuple[list[tuple[str, int]], int] | None:
    """The labels of a position with their factors, and the rest, if it is whole numbers all through."""
    terms: list[tuple[str, int]] = []
    offset = 0
    for part in position.inputs if position.op == "add" else (position,):
        value = e.constant(part)
        if value is not None:
            offset += int(value)
            continue
        factors: Sequence[Node] = part.inputs if part.op == "contract" and not part.attr("sum") else (part,)
        numbers = [e.constant(f) for f in factors if f.op == "const"]
        labels = [f for f in factors if f.op == "label"]
        if len(labels) != 1 or len(numbers) + 1 != len(factors) or numbers == [0]:
            return None
        factor = 1
        for number in numbers:
            factor *= int(number or 0)
        terms.append((labels[0].attr("index"), factor))
        offset += factor * labels[0].attr("low")
    return (terms, offset) if terms else None
