"""What passes establish, require and destroy: each property of a graph with the nodes that break it.

Passes declare properties by name and the pipeline's order is checked on the names alone (``order.py``); here is what the
names mean, so that a claim can be tested on graphs and can be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import isfinite

from ..graph import expr as e
from ..graph.node import Graph, Node, Pool, everywhere
from .base import uses
from .rules import IDENTITIES, STABLE, rewritten


def _scratch(graph: Graph) -> Pool:
    """A pool to try constructors in: nodes know no pool, and the graph's own must not grow."""
    return Pool({axis: size for axis, size in graph.pool.axes.items() if axis != "batch"})


def _unfolded(graph: Graph) -> list[Node]:
    """Sums and products with a neutral or with two constant operands, functions of constants, undone inverses."""
    pool = _scratch(graph)

    def wrong(node: Node) -> bool:
        constants = [x.attr("value") for x in node.inputs if x.op == "const"]
        if node.op in ("add", "contract"):
            neutral = 0 if node.op == "add" else 1
            merged = len(constants) > 1 and all(map(isfinite, constants))
            return merged or (neutral in constants and len(node.inputs) > 1)
        if len(node.inputs) == 1 and constants and not node.attrs:
            return e.unary(pool, node.op, node.inputs[0]).op == "const"
        return rewritten(pool, node, IDENTITIES) is not None

    return [node for node in graph.topological() if wrong(node)]


def _unstable(graph: Graph) -> list[Node]:
    """Nodes that a stable form would replace."""
    pool = _scratch(graph)
    return [node for node in graph.topological() if rewritten(pool, node, STABLE) is not None]


def constant_along(node: Node) -> bool:
    """A real sum over an addition, some term of which lacks a summed index."""
    if node.op != "contract" or len(node.inputs) != 1 or node.inputs[0].op != "add" or node.dtype != "real":
        return False
    sums: frozenset[str] = node.attr("sum")
    return bool(sums) and not all(sums <= term.axes for term in node.inputs[0].inputs)


def _undistributed(graph: Graph) -> list[Node]:
    count = uses(graph)
    return [node for node in graph.topological() if constant_along(node) and count[node.inputs[0]] == 1]


def mergeable(node: Node, factor: Node, sums: frozenset[str]) -> bool:
    """Whether a product that sums over ``sums`` may take in the factors of a product among its factors: the indices
    summed in there occur nowhere else in it."""
    if factor.op != "contract" or factor.dtype != node.dtype:
        return False
    inner: frozenset[str] = factor.attr("sum")
    if inner and not sums and len(node.inputs) > 1:
        return False  # the loop over the inner indices would go around the other factors, too
    return not inner & sums.union(*(f.axes for f in node.inputs if f is not factor))


def _nested(graph: Graph) -> list[Node]:
    """Sums in sums and products in products that nobody else reads, and terms that occur twice."""
    count = uses(graph)

    def wrong(node: Node) -> bool:
        if node.op == "add":
            inner = any(x.op == "add" and count[x] == 1 and x.dtype == node.dtype for x in node.inputs)
            return inner or max(Counter(node.inputs).values()) > 1
        return node.op == "contract" and any(
            count[x] == 1 and mergeable(node, x, node.attr("sum")) for x in node.inputs
        )

    return [node for node in graph.topological() if wrong(node)]


def _unpaired(graph: Graph) -> list[Node]:
    """Products under a sum with more than two factors, or with a factor that does not belong under the sum."""
    return [
        node
        for node in graph.topological()
        if node.op == "contract" and node.attr("sum") and (len(node.inputs) > 2 or not all(x.axes for x in node.inputs))
    ]


def _dead(graph: Graph) -> list[Node]:
    alive = set(everywhere(graph))
    return [node for node in graph.pool.nodes() if node not in alive]


PROPERTIES: dict[str, Callable[[Graph], list[Node]]] = {
    "constants_folded": _unfolded,
    "stable_forms": _unstable,
    "sums_distributed": _undistributed,
    "flat": _nested,
    "pairwise": _unpaired,
    "no_dead_nodes": _dead,
}
"""Name -> the nodes of a graph that break the property: none where it holds.  The outermost graph is looked at; passes
run on the bodies of scans as on graphs of their own."""
