"""Constant folding and the identities of 0 and 1, by making every node again from its new inputs.

    add(2, 3, x), contract(x, 1), recip(recip(x))   ->   add(5, x), x, x

The smart constructors of ``graph/expr.py`` know these identities; interior nodes change under other passes, so they
are asked again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..graph import expr as e
from ..graph.node import Graph, Node, Pool
from .rules import IDENTITIES, rewritten


@dataclass(frozen=True, slots=True)
class Constants:
    """Fold constants."""

    name: ClassVar[str] = "constants"
    requires: ClassVar[frozenset[str]] = frozenset()
    establishes: ClassVar[frozenset[str]] = frozenset({"constants_folded"})
    destroys: ClassVar[frozenset[str]] = frozenset()
    algebraic: ClassVar[bool] = True
    moves: ClassVar[bool] = False

    def run(self, graph: Graph) -> Graph:
        """The graph with constant parts computed."""
        pool: Pool = graph.pool

        def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
            known = "const" in [x.op for x in inputs]
            made = e.anew(pool, node, inputs) if known else e.remake(pool, node, inputs)
            return rewritten(pool, made, IDENTITIES) or made

        return graph.rewrite(visit)


PASS = Constants()
