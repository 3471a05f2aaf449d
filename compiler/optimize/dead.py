"""Dead nodes.

    a pool with everything ever made   ->   a pool with what the roots read, and nothing else

Interning never forgets a node.  After this pass the pool, its origins included, holds exactly the program, so that
counts, tables and drawings are of what runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..graph.node import Graph, Pool


@dataclass(frozen=True, slots=True)
class Dead:
    """Copy what is alive into a fresh pool."""

    name: ClassVar[str] = "dead"
    requires: ClassVar[frozenset[str]] = frozenset()
    establishes: ClassVar[frozenset[str]] = frozenset({"no_dead_nodes"})
    destroys: ClassVar[frozenset[str]] = frozenset()
    algebraic: ClassVar[bool] = True
    moves: ClassVar[bool] = True

    def run(self, graph: Graph) -> Graph:
        """The same graph in a pool of its own."""
        fresh = Pool({axis: size for axis, size in graph.pool.axes.items() if axis != "batch"})
        return fresh.adopt(graph)


PASS = Dead()
