"""Nodes put in the place of others."""

from __future__ import annotations

from collections.abc import Mapping

from ..graph.node import Graph, Node, Pool
from ..graph.recurrence import remake


def substituted(pool: Pool, roots: Mapping[str, Node], new: Mapping[Node, Node]) -> dict[str, Node]:
    """The roots with some nodes replaced; what reads them is made again through its constructor."""
    graph = Graph(pool, dict(roots))
    return graph.rewrite(lambda n, inputs: new.get(n) or remake(pool, n, inputs)).roots
