"""`seeds K`: K runs as one program, by construction.

A value's type is a set of axes.  Whatever differs between runs (parameters, states, inputs, draws) gets one axis more;
everything computed from it carries that axis along, and what depends on none of it is computed once, as before.  Draws
are keyed by the element within a replica and by the seed of its own: replica r is the run with seed S + r.
"""

from __future__ import annotations

from typing import Any

from ..graph.node import REPLICA, Graph, Node, Pool
from ..graph.ops import OPS

_OWN = frozenset({"param", "state", "input", *(name for name, row in OPS.items() if row.kind == "sample")})
"""Leaves (and draws) that each replica has for itself."""


def replicated(graph: Graph) -> Graph:
    """The graph with the axis of the replicas, whose size the pool knows."""
    return graph.rewrite(lambda node, inputs: _carried(graph, node, inputs))


def _carried(graph: Graph, node: Node, inputs: tuple[Node, ...]) -> Node:
    """One node on inputs that may carry the axis."""
    attrs: dict[str, Any] = dict(node.attrs)
    if node.op in _OWN:
        return graph.pool.node(node.op, *inputs, **{**attrs, "axes": (REPLICA, *attrs["axes"])})
    if inputs == node.inputs:
        return node
    if node.op == "scatter" and REPLICA in inputs[1].axes:
        return graph.pool.node("scatter", *inputs, **{**attrs, "keep": attrs["keep"] | {REPLICA}})
    if node.op == "scan":
        return graph.pool.node("scan", *inputs, **{**attrs, "body": _body(graph.pool, node, inputs)})
    return graph.rebuild(node, inputs)


def _body(pool: Pool, scan: Node, inputs: tuple[Node, ...]) -> Graph:
    """A scan's body with the axis on every hole whose binding carries it: what is fed back may, once its start or
    anything else that it reads does, so the holes are found by going round until none is added."""
    body: Graph = scan.attr("body")
    holes: set[str] = set()

    def visit(node: Node, new: tuple[Node, ...]) -> Node:
        if node.op == "hole" and node.attr("name") in holes:
            attrs: dict[str, Any] = dict(node.attrs)
            return pool.node("hole", **{**attrs, "axes": (REPLICA, *attrs["axes"])})
        return _carried(body, node, new)

    while True:
        made = body.rewrite(visit)
        roots = list(made.roots.values())
        found = {str(row[1]) for row in scan.attr("bind") if any(REPLICA in x.axes for x in _bound(row, inputs, roots))}
        if found <= holes:
            return made
        holes |= found


def _bound(row: tuple[Any, ...], inputs: tuple[Node, ...], roots: list[Node]) -> list[Node]:
    """What a hole is bound to (see the row of ``scan`` in the table of ops)."""
    match row:
        case ("past" | "at", _, int(k), _, int(start)):
            return [roots[k], inputs[start]]
        case ("readers", _, int(k), _):
            return [roots[k]]
        case (_, _, int(k)):
            return [inputs[k]]
        case _:
            return []
