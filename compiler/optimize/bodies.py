"""Passes inside recurrences.

    scan(body)   ->   scan(pass(body))

A body is a graph like any other: each pass runs on it as it does on the graph that holds it, inner recurrences first.
"""

from __future__ import annotations

from ..graph import expr as e
from ..graph.node import Graph, Node
from .base import Pass


def everywhere(p: Pass, graph: Graph) -> Graph:
    """The graph after a pass that ran on it and on the bodies of its scans."""
    pool = graph.pool
    if p.moves or not pool.loops:
        return p.run(graph)

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op != "scan":
            return e.remake(pool, node, inputs)
        body: Graph = node.attr("body")
        return pool.node("scan", *inputs, **{**dict(node.attrs), "body": everywhere(p, body)})

    return p.run(graph.rewrite(visit))
