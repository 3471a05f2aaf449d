"""Sums of sums.

    sum[i](a + b[i] + c[i] * c[i])   ->   n * a + sum[i](b) + sum[i](c * c)

Done where a term lacks a summed index: what is constant need not be added up entry by entry, and what remains is often
a contraction with an operation of its own (a dot product).  Only sums that nobody else reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..graph import expr as e
from ..graph.node import Graph, Node
from .base import settled, uses
from .properties import PROPERTIES, constant_along


@dataclass(frozen=True, slots=True)
class Sums:
    """Distribute a sum over an addition with a term that is constant along it."""

    name: ClassVar[str] = "sums"
    requires: ClassVar[frozenset[str]] = frozenset({"constants_folded"})
    establishes: ClassVar[frozenset[str]] = frozenset({"sums_distributed"})
    destroys: ClassVar[frozenset[str]] = frozenset({"flat", "pairwise"})
    algebraic: ClassVar[bool] = True
    moves: ClassVar[bool] = False

    def run(self, graph: Graph) -> Graph:
        """The graph with sums distributed."""
        return settled(graph, self._once, PROPERTIES["sums_distributed"])

    def _once(self, graph: Graph) -> Graph:
        count = uses(graph)
        pool = graph.pool

        def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
            made = e.remake(pool, node, inputs)
            if not constant_along(made) or count[node.inputs[0]] != 1:
                return made
            return e.add(pool, *(e.contract(pool, [term], made.attr("sum")) for term in made.inputs[0].inputs))

        return graph.rewrite(visit)


PASS = Sums()
