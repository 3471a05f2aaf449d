"""What a pass is: graph in, graph out, with its invariants declared.

``requires`` and ``establishes`` name invariants; the pipeline checks when it is built that every requirement is
established earlier (``compiler/pipeline.py``).  A pass works through ``Graph.rewrite``, which keeps the origins.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Protocol

from ..graph.node import Graph, Node


class Pass(Protocol):
    """One rewrite of a graph."""

    name: ClassVar[str]
    requires: ClassVar[frozenset[str]]
    establishes: ClassVar[frozenset[str]]
    moves: ClassVar[bool]
    """The result lies in another pool (bodies of scans move along)."""

    def run(self, graph: Graph) -> Graph:
        """The rewritten graph: the same roots with the same meaning."""
        ...


def uses(graph: Graph) -> Counter[Node]:
    """How many times each node is read: by nodes, and as a root."""
    count: Counter[Node] = Counter(graph.roots.values())
    for node in graph.topological():
        count.update(node.inputs)
    return count
