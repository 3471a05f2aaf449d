"""Stable log and exp forms.

    log(softmax(x)), log(1 + exp(x)), log(sum exp(x))   ->   log_softmax(x), softplus(x), logsumexp(x)

In exact arithmetic nothing changes; in floating point the right sides are finite wherever the result is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..graph import expr as e
from ..graph.node import Graph, Node
from .rules import STABLE, rewritten


@dataclass(frozen=True, slots=True)
class Stable:
    """Rewrite logs and exponentials of each other."""

    name: ClassVar[str] = "stable"
    requires: ClassVar[frozenset[str]] = frozenset()
    establishes: ClassVar[frozenset[str]] = frozenset({"stable_forms"})
    destroys: ClassVar[frozenset[str]] = frozenset()
    algebraic: ClassVar[bool] = False
    moves: ClassVar[bool] = False

    def run(self, graph: Graph) -> Graph:
        """The graph in stable forms."""
        pool = graph.pool

        def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
            made = e.remake(pool, node, inputs)
            return rewritten(pool, made, STABLE) or made

        return graph.rewrite(visit)


PASS = Stable()
