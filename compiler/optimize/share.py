"""Sharing modulo commutativity and associativity.

    (a + b) + c, c + (b + a)                ->   add(a, b, c), once
    contract(contract(a, b), c, sum=i)      ->   contract(a, b, c, sum=i)
    add(x, x, y)                            ->   add(2 * x, y)

Interning makes equal nodes one, and commutative operands are sorted; this pass removes the nesting that hides equal
sums and products from it.  Only what is read once is merged into its reader: a shared part stays shared.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from ..graph import expr as e
from ..graph.node import Graph, Node, Pool
from .base import settled, uses
from .properties import PROPERTIES, mergeable


@dataclass(frozen=True, slots=True)
class Share:
    """Flatten nested sums and products that nobody else reads."""

    name: ClassVar[str] = "share"
    requires: ClassVar[frozenset[str]] = frozenset({"constants_folded"})
    establishes: ClassVar[frozenset[str]] = frozenset({"flat"})
    destroys: ClassVar[frozenset[str]] = frozenset({"sums_distributed", "pairwise"})
    algebraic: ClassVar[bool] = True
    moves: ClassVar[bool] = False

    def run(self, graph: Graph) -> Graph:
        """The graph with flat sums and products."""
        return settled(graph, self._once, PROPERTIES["flat"])

    def _once(self, graph: Graph) -> Graph:
        count = uses(graph)
        single: set[Node] = {n for n in count if count[n] == 1}
        pool = graph.pool
        private: set[Node] = set()  # new nodes that stand for parts read once

        def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
            made = e.remake(pool, node, inputs)
            if made.op == "add":  # remaking may simplify: a product of one factor is that factor
                made = _flat_sum(pool, made, private)
            elif made.op == "contract":
                made = _flat_product(pool, made, private)
            if node in single:
                private.add(made)
            return made

        return graph.rewrite(visit)


def _flat_sum(pool: Pool, node: Node, private: set[Node]) -> Node:
    terms: list[Node] = []
    for term in node.inputs:
        inner = term.op == "add" and term in private and term.dtype == node.dtype
        terms += term.inputs if inner else (term,)
    if len(terms) == len(node.inputs) and len(set(terms)) == len(terms):
        return node
    count = Counter(terms)
    return e.add(pool, *(t if k == 1 else e.mul(pool, k, t) for t, k in count.items()))


def _flat_product(pool: Pool, node: Node, private: set[Node]) -> Node:
    """Merge factors that are products themselves, one after the other."""
    if not any(factor.op == "contract" and factor in private for factor in node.inputs):
        return node
    factors: list[Node] = []
    spans = set(pool.origins(node))
    sums: frozenset[str] = node.attr("sum")
    for factor in node.inputs:
        if factor not in private or not mergeable(node, factor, sums):
            factors.append(factor)
            continue
        factors += factor.inputs
        sums |= factor.attr("sum")
        spans |= pool.origins(factor)
    if factors == [*node.inputs] and sums == node.attr("sum"):
        return node
    with pool.origin(spans):
        return e.contract(pool, factors, sums)


PASS = Share()
