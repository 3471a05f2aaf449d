"""What a gradient rule is, and the ways in which an op can have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..graph.node import Node, Pool

Rule = Callable[[Pool, Node, Node, int], Node | None]
"""``rule(pool, node, cotangent, k)``: the cotangent of the k-th input, or None where it is zero.

The cotangent may lack indices of the node (it is constant along them); the result has at most the input's indices.
Only asked for inputs through which the objective depends on something wanted.
"""


@dataclass(frozen=True, slots=True)
class Constant:
    """The derivative is zero (almost) everywhere, and the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """There is a derivative but no rule, and the reason: asking for it raises :class:`NoGradientError`."""

    reason: str


class NoGradientError(Exception):
    """A gradient was asked for through an op that has no rule: ``node`` and ``reason`` are for a diagnostic."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(f"no gradient through `{node.op}`: {reason}")
        self.node = node
        self.reason = reason


Entry = Rule | Constant | Refused
