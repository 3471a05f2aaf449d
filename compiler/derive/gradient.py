"""Reverse mode as graph -> graph: the one gradient function that `learn`, `infer` and rules use.

Cotangents are nodes like any other, so forward values are shared with them and one optimizer sees both.  Sharing must
run before: where two equal forward parts are one node, their cotangents are summed once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..diagnostics import InternalError
from ..graph import expr as e
from ..graph.node import Node, Pool, below
from ..graph.ops import OPS
from .through_time import through_time
from .vjp import Constant, Entry, NoGradientError, Refused
from .vjp_axes import OVER_AXES
from .vjp_elementwise import ELEMENTWISE

_LEAF = Constant("it has no operands")

GRADIENTS: dict[str, Entry] = {
    **{name: _LEAF for name, row in OPS.items() if row.arity == 0},
    **ELEMENTWISE,
    **OVER_AXES,
}
"""Every op's rule, or why it has none."""


def gradient(pool: Pool, objective: Node, wrt: Sequence[Node], holding: Collection[Node] = ()) -> dict[Node, Node]:
    """The derivative of a scalar with respect to each node of ``wrt``, which may be leaves or interior values.

    Nodes of ``holding`` count as constants.  A gradient has at most the indices of its node and lacks those along
    which it is constant; where the objective does not depend on the node it is the constant 0.

    Raises:
        InternalError: the objective is not a real scalar.
        NoGradientError: the objective depends on ``wrt`` through an op without a rule.
    """
    if objective.axes or objective.dtype != "real":
        raise InternalError(f"a gradient needs a real scalar, not {objective.type}")
    return pullback(pool, {objective: e.const(pool, 1.0)}, wrt, holding)


def pullback(
    pool: Pool, seeds: Mapping[Node, Node], wrt: Sequence[Node], holding: Collection[Node] = ()
) -> dict[Node, Node]:
    """What the cotangents ``seeds`` of some values are as cotangents of ``wrt`` (see :func:`gradient`).

    Raises:
        NoGradientError: a value depends on ``wrt`` through an op without a rule.
    """
    order = below(seeds)
    wanted, held = frozenset(wrt), frozenset(holding)
    active = _active(order, wanted, held)
    parts: dict[Node, list[Node]] = {node: [seed] for node, seed in seeds.items()}
    found: dict[Node, Node] = {}
    results: dict[Node, dict[int, Node]] = {}
    for node in reversed(order):
        if node not in active or (node not in parts and node not in results):
            continue
        with e.origin_of(pool, node):
            if node.op == "scan":
                _add(parts, through_time(pool, node, results.pop(node), active, pullback))
                continue
            cotangent = _total(pool, parts.pop(node))
            if node in wanted:
                found[node] = cotangent
            if node in held:
                continue
            if node.op == "result":
                results.setdefault(node.inputs[0], {})[node.attr("k")] = cotangent
            else:
                _add(parts, _propagate(pool, node, cotangent, active))
    return {w: found[w] if w in found else _zero(pool, w) for w in wrt}


def _add(parts: dict[Node, list[Node]], more: Iterable[tuple[Node, Node]]) -> None:
    for node, part in more:
        parts.setdefault(node, []).append(part)


def _active(order: Sequence[Node], wanted: frozenset[Node], held: frozenset[Node]) -> set[Node]:
    """The nodes through which the objective depends on something wanted."""
    active: set[Node] = set()
    for node in order:
        if node.dtype != "real" and node.op != "scan":
            continue
        through = node not in held and not isinstance(GRADIENTS[node.op], Constant)
        if node in wanted or (through and any(x in active for x in node.inputs)):
            active.add(node)
    return active


def _propagate(pool: Pool, node: Node, cotangent: Node, active: set[Node]) -> Iterator[tuple[Node, Node]]:
    """What each active input gets from this node."""
    entry = GRADIENTS[node.op]
    if isinstance(entry, Constant) or not any(x in active for x in node.inputs):
        return
    if isinstance(entry, Refused):
        raise NoGradientError(node, entry.reason)
    for k, x in enumerate(node.inputs):
        part = entry(pool, node, cotangent, k) if x in active else None
        if part is not None:
            yield x, part


def _total(pool: Pool, parts: Sequence[Node]) -> Node:
    """The sum; equal contributions (of x * x, say) are counted."""
    counts: dict[Node, int] = {}
    for part in parts:
        counts[part] = counts.get(part, 0) + 1
    return e.add(pool, *(e.mul(pool, float(n), part) for part, n in counts.items()))


def _zero(pool: Pool, node: Node) -> Node:
    with e.origin_of(pool, node):
        return e.zeros(pool)
