"""A step stops before it writes: which further number beside the objective says that its gradients are finite.

Where forward values are finite, their derivatives are too, but for a few operations: sqrt at 0, a power below 1, a
quotient.  Only where the gradients pass one of these is there something to look at, and one number per parameter will
do: the sum of a gradient's entries is finite only if all are.  It is taken apart so that no gradient has to be stored:

    sum[o, i](sum[batch](c[batch, o] * x[batch, i]))  =  sum[batch](sum[o](c) * sum[i](x))
"""

from __future__ import annotations

from collections.abc import Iterable

from ..graph import expr as e
from ..graph.node import BATCH, Node, Pool, below

SINGULAR = frozenset({"recip", "pow", "log", "sqrt", "xlogy", "digamma", "trigamma", "lgamma", "inverse"})
"""Operations whose value may be infinite where their operand is finite."""

_RUN = frozenset({"const", "size", "step", "examples", "training"})


def checksum(pool: Pool, objective: Node, statistics: Iterable[Node]) -> Node | None:
    """A number that is finite when the statistics are; None where they are whenever the objective is.

    Terms of a gradient that no example enters (those of priors) are left out: they are finite where the log density is.
    """
    found = list(statistics)
    forward = set(below([objective]))
    backward = below(found, lambda n: n in forward)
    varying = _varying(below(found))
    if not any(node.op in SINGULAR and node in varying for node in backward):
        return None
    parts = [part for node in found for part in _summed(pool, node)]
    return e.real(pool, e.add(pool, *parts)) if parts else None


def _varying(order: Iterable[Node]) -> set[Node]:
    """The nodes that read more than numbers of the run (sizes, the step, constants); operands come first."""
    found: set[Node] = set()
    for node in order:
        if any(x in found for x in node.inputs) or (not node.inputs and node.op not in _RUN):
            found.add(node)
    return found


def _summed(pool: Pool, node: Node) -> list[Node]:
    """Sums of all entries, one for each term that depends on the examples."""
    if node.op == "add":
        return [part for x in node.inputs for part in _summed(pool, x)]
    if node.op == "contract":
        whole = node.attr("sum") | node.axes
        return [e.contract(pool, node.inputs, whole)] if BATCH in whole else []
    return [e.reduce_sum(pool, node, node.axes)] if node.inputs else []
