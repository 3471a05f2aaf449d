"""Sums of many terms are added in groups: a line that a person can read, and an expression that no parser runs out of
stack on.

add(x1, .., x100)  ->  add(add(x1, .., x12), .., add(x97, .., x100))
"""

from __future__ import annotations

from ..graph.node import Graph, Node

MOST = 12
"""Terms in one sum."""


def split(graph: Graph) -> Graph:
    """The graph with no sum of more than ``MOST`` terms."""
    pool = graph.pool

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        while node.op == "add" and len(inputs) > MOST:
            groups = [list(inputs[k : k + MOST]) for k in range(0, len(inputs), MOST)]
            inputs = tuple(pool.node("add", *group) if len(group) > 1 else group[0] for group in groups)
        return node if inputs == node.inputs else pool.node(node.op, *inputs, **dict(node.attrs))

    return graph.rewrite(visit)
