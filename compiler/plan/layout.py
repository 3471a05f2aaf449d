"""Layout: the order of a value's axes in memory.

One total order of all indices decides every layout (replicas first, then the batch), so that operands of elementwise operations line up
without copies.  The order follows the declarations: ``W[hid, pix]`` wants hid before pix.  Where declarations
contradict each other the earlier one wins; the other tensor is then read through a transposed view.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..graph.node import BATCH, REPLICA


@dataclass(frozen=True)
class Layout:
    """Sorts indices; those that no declaration mentions come last, by name."""

    rank: dict[str, int]

    def order(self, axes: Iterable[str]) -> tuple[str, ...]:
        """The axes in memory order."""
        return tuple(sorted(axes, key=lambda a: (self.rank.get(a, len(self.rank)), a)))


def layout(declared: Sequence[Sequence[str]]) -> Layout:
    """A total order that respects as many declared orders as possible, the earlier ones first."""
    after: dict[str, list[str]] = {BATCH: []}
    for axes in declared:
        for axis in axes:
            after.setdefault(axis, [])
    for axes in declared:
        for a, b in pairwise(axes):
            if not _reaches(after, b, a):
                after[a].append(b)
    order: list[str] = []
    seen: set[str] = set()
    for root in reversed(after):  # reverse post-order of a depth-first walk is a topological order
        stack = [(root, False)]
        while stack:
            axis, done = stack.pop()
            if done:
                order.append(axis)
            elif axis not in seen:
                seen.add(axis)
                stack.append((axis, True))
                stack.extend((b, False) for b in after[axis])
    order.reverse()
    order.remove(BATCH)
    return Layout({axis: k for k, axis in enumerate([REPLICA, BATCH, *order])})


def _reaches(after: dict[str, list[str]], start: str, goal: str) -> bool:
    stack, seen = [start], set[str]()
    while stack:
        axis = stack.pop()
        if axis == goal:
            return True
        if axis not in seen:
            seen.add(axis)
            stack.extend(after[axis])
    return False
