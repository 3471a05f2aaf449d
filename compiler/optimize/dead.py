"""Dead nodes.

    a pool with everything ever made   ->   a pool with what the roots read, and nothing else

Interning never forgets a node.  After this pass the pool, its origins included, holds exactly the program, so that
counts, tables and drawings are of what runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..graph.node import Graph, Node, Pool


@dataclass(frozen=True, slots=True)
class Dead:
    """Copy what is alive into a fresh pool."""

    name: ClassVar[str] = "dead"
    requires: ClassVar[frozenset[str]] = frozenset()
    establishes: ClassVar[frozenset[str]] = frozenset({"no_dead_nodes"})

    def run(self, graph: Graph) -> Graph:
        """The same graph in a pool of its own."""
        fresh = Pool({axis: size for axis, size in graph.pool.axes.items() if axis != "batch"})
        new: dict[Node, Node] = {}
        for node in graph.topological():
            with fresh.origin(graph.pool.origins(node)):
                new[node] = fresh.node(node.op, *(new[i] for i in node.inputs), **dict(node.attrs))
            if node in graph.pool.hints:
                fresh.hints.setdefault(new[node], graph.pool.hints[node])
        return Graph(fresh, {name: new[node] for name, node in graph.roots.items()})


PASS = Dead()
