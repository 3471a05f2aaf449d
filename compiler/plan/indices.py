"""Which computed indices need a check at run time: all but those that certainly lie on their axis.

E[tok[t], d]                 a label of that axis: checked with the inputs
x[(i + 1) % size(row)]       a remainder by the size
x[n - 1]                     may lie anywhere: torch would count -1 from the end
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..graph.bounds import Interval, bounds
from ..graph.node import Node, Pool, base, below


def unproven(pool: Pool, order: Iterable[Node], ranges: Mapping[str, Interval]) -> frozenset[Node]:
    """The gathers among nodes (inputs before users) whose index may leave its axis; ``ranges`` are those of inputs."""
    order = list(order)
    gathers = [node for node in order if node.op == "gather"]
    if not gathers:
        return frozenset()
    known: dict[Node, Interval] = {
        node: ranges[node.attr("name")] for node in order if node.op == "input" and node.attr("name") in ranges
    }
    interval = bounds(pool, below([g.inputs[1] for g in gathers]), known)
    return frozenset(g for g in gathers if not _inside(pool, g.inputs[1], g.attr("axis"), interval))


def _inside(pool: Pool, index: Node, axis: str, interval: Mapping[Node, Interval]) -> bool:
    low, high = interval[index]
    size = pool.size(axis)
    if low >= 0 and high <= (size - 1 if isinstance(size, int) else 0):
        return True
    match index.op:
        case "where":
            return all(_inside(pool, x, axis, interval) for x in index.inputs[1:])
        case "rename" | "stop":
            return _inside(pool, index.inputs[0], axis, interval)
        case "maximum" if low >= 0:  # max(label - 1, 0)
            return all(_below(pool, x, axis, interval) for x in index.inputs)
        case "minimum" if low >= 0:  # min(label + 1, size - 1)
            return any(_below(pool, x, axis, interval) for x in index.inputs)
        case "mod":
            return _is_size(index.inputs[1], axis)
        case "add":  # last: size(t) - 1
            rest = [x for x in index.inputs if not _is_size(x, axis)]
            return len(index.inputs) == 2 and len(rest) == 1 and interval[rest[0]] == (-1.0, -1.0)
        case "label":
            return index.attr("low") == 0 and pool.size(index.attr("index")) == size
        case "argmax":
            return pool.size(index.attr("axis")) == size
        case _:
            return False


def _below(pool: Pool, index: Node, axis: str, interval: Mapping[Node, Interval]) -> bool:
    """Is the index certainly less than the size, however low it may be?  Labels of such an axis are, and what lies
    before one, or before the size."""
    if index.op == "const":
        return interval[index][1] <= 0
    if index.op == "label":
        return index.attr("low") == 0 and pool.size(index.attr("index")) == pool.size(axis)
    if index.op != "add" or len(index.inputs) != 2:
        return False
    for anchor, other in (index.inputs, index.inputs[::-1]):
        most = interval[other][1]
        if (_is_size(anchor, axis) and most <= -1) or (
            anchor.op == "label" and most <= 0 and _below(pool, anchor, axis, interval)
        ):
            return True
    return False


def _is_size(x: Node, axis: str) -> bool:
    """The size of the axis, or each example's own length along it."""
    return (x.op == "size" and x.attr("axis") == base(axis)) or (x.op == "input" and x.attr("name") == base(axis))
