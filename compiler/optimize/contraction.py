"""Contraction order.

    contract(A[i,j], B[j,k], x[k], sum=jk)   ->   contract(A, contract(B, x, sum=k), sum=j)

Products of three or more factors with sums become a tree of pairs: the cheapest by multiplications, exact by dynamic
programming over subsets up to ``exact`` factors, greedy above.  Scalar factors are taken out of the sums.  Sizes that
the data decides count as ``assumed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from ..graph import expr as e
from ..graph.node import Graph, Node, Pool
from .base import settled
from .properties import PROPERTIES


@dataclass(frozen=True, slots=True)
class ContractionOrder:
    """Choose the order of every product of several factors."""

    name: ClassVar[str] = "contraction"
    requires: ClassVar[frozenset[str]] = frozenset({"flat"})
    establishes: ClassVar[frozenset[str]] = frozenset({"pairwise"})
    destroys: ClassVar[frozenset[str]] = frozenset({"flat", "sums_distributed"})
    algebraic: ClassVar[bool] = True
    moves: ClassVar[bool] = False

    exact: int = 7
    assumed: int = 128

    def run(self, graph: Graph) -> Graph:
        """The graph with pairwise contractions."""
        return settled(graph, self._once, PROPERTIES["pairwise"])

    def _once(self, graph: Graph) -> Graph:
        pool = graph.pool

        def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
            made = e.remake(pool, node, inputs)
            if made.op != "contract" or not made.attr("sum"):
                return made
            return self._order(pool, made)

        return graph.rewrite(visit)

    def _order(self, pool: Pool, node: Node) -> Node:
        scalars = [f for f in node.inputs if not f.axes]
        factors = [f for f in node.inputs if f.axes]
        sums: frozenset[str] = node.attr("sum")
        if len(factors) > 2:
            result = (
                self._exact(pool, factors, sums) if len(factors) <= self.exact else self._greedy(pool, factors, sums)
            )
        else:
            result = e.contract(pool, factors, sums)
        if not scalars:
            return result if result.dtype == node.dtype else e.real(pool, result)
        return e.mul(pool, *scalars, result)

    def _cost(self, pool: Pool, axes: frozenset[str]) -> int:
        cost = 1
        for axis in axes:
            size = pool.size(axis)
            cost *= size if isinstance(size, int) else self.assumed
        return cost

    def _exact(self, pool: Pool, factors: Sequence[Node], sums: frozenset[str]) -> Node:
        """Best tree over all subsets; ties go to the earlier split, so the result is deterministic."""
        everything = frozenset(range(len(factors)))
        best: dict[frozenset[int], tuple[int, Node]] = {}
        for k, factor in enumerate(factors):
            best[frozenset({k})] = (0, factor)
        for size in range(2, len(factors) + 1):
            for chosen in combinations(range(len(factors)), size):
                subset = frozenset(chosen)
                needed = self._needed(factors, everything - subset, sums)
                for left in _halves(chosen):
                    (cost_a, a), (cost_b, b) = best[left], best[subset - left]
                    cost = cost_a + cost_b + self._cost(pool, a.axes | b.axes)
                    if subset not in best or cost < best[subset][0]:
                        best[subset] = (cost, _pair(pool, a, b, needed))
        return best[everything][1]

    def _greedy(self, pool: Pool, factors: Sequence[Node], sums: frozenset[str]) -> Node:
        """Repeatedly the pair that is cheapest to multiply."""
        rest: list[Node] = list(factors)
        while len(rest) > 1:
            pairs = combinations(range(len(rest)), 2)
            i, j = min(pairs, key=lambda p: self._cost(pool, rest[p[0]].axes | rest[p[1]].axes))
            outside = [f for k, f in enumerate(rest) if k not in (i, j)]
            needed = frozenset[str]().union(*(f.axes for f in outside))
            made = _pair(pool, rest[i], rest[j], (rest[i].axes | rest[j].axes) - (sums - needed))
            rest = [*outside, made]
        return rest[0]

    def _needed(self, factors: Sequence[Node], outside: frozenset[int], sums: frozenset[str]) -> frozenset[str]:
        """Indices that a partial product must keep: those of the result and of the factors still to come."""
        everything = frozenset[str]().union(*(f.axes for f in factors))
        return (everything - sums).union(*(factors[k].axes for k in outside))


def _halves(chosen: tuple[int, ...]) -> list[frozenset[int]]:
    """Every way to split into two, each once: the half that holds the first factor."""
    first, rest = chosen[0], chosen[1:]
    return [frozenset({first, *extra}) for size in range(len(rest)) for extra in combinations(rest, size)]


def _pair(pool: Pool, a: Node, b: Node, needed: frozenset[str]) -> Node:
    return e.contract(pool, [a, b], (a.axes | b.axes) - needed)


PASS = ContractionOrder()
