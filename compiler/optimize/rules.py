"""Algebraic rules as tables: one rule a line, the identity as its comment.

A rule looks at one node (its inputs are already rewritten) and returns the replacement or None.  ``STABLE`` holds the
forms that keep floating-point numbers finite and exact where the naive ones do not.
"""

from __future__ import annotations

from collections.abc import Callable

from ..graph import expr as e
from ..graph.node import Node, Pool

Rule = Callable[[Pool, Node], Node | None]


def _of(op: str, make: Callable[[Pool, Node], Node]) -> Rule:
    """A rule for nodes whose only input is an ``op``: make(pool, that input)."""

    def rule(pool: Pool, node: Node) -> Node | None:
        inner = node.inputs[0]
        return make(pool, inner) if inner.op == op else None

    return rule


def _constant(node: Node) -> float | None:
    value = e.constant(node)
    return None if value is None else float(value)


def _log_sum_exp(pool: Pool, inner: Node) -> Node:
    return e.logsumexp(pool, inner.inputs[0].inputs[0], inner.attr("sum"))


def _log_of_sum(pool: Pool, node: Node) -> Node | None:
    """log sum_i exp(x_i), the sum being a contraction of one factor."""
    inner = node.inputs[0]
    if inner.op == "contract" and len(inner.inputs) == 1 and inner.inputs[0].op == "exp" and inner.attr("sum"):
        return _log_sum_exp(pool, inner)
    return None


def _log_of_add(pool: Pool, node: Node) -> Node | None:
    """log(1 + exp x) and log(1 + x)."""
    inner = node.inputs[0]
    if inner.op != "add" or len(inner.inputs) != 2:
        return None
    for one, other in (inner.inputs, inner.inputs[::-1]):
        if _constant(one) == 1:
            return e.softplus(pool, other.inputs[0]) if other.op == "exp" else e.log1p(pool, other)
    return None


def _exp_minus_one(pool: Pool, node: Node) -> Node | None:
    """exp(x) - 1."""
    if len(node.inputs) != 2:
        return None
    for one, other in (node.inputs, node.inputs[::-1]):
        if _constant(one) == -1 and other.op == "exp":
            return e.expm1(pool, other.inputs[0])
    return None


STABLE: dict[str, tuple[Rule, ...]] = {
    "log": (
        _of("softmax", lambda p, x: e.log_softmax(p, x.inputs[0], x.attr("axes"))),  # log softmax(x) = log_softmax(x)
        _of("sigmoid", lambda p, x: e.neg(p, e.softplus(p, e.neg(p, x.inputs[0])))),  # log sigmoid(x) = -softplus(-x)
        _of("exp", lambda p, x: e.real(p, x.inputs[0])),  # log exp(x) = x
        _log_of_sum,  # log sum exp(x) = logsumexp(x)
        _log_of_add,  # log(1 + exp x) = softplus(x), log(1 + x) = log1p(x)
    ),
    "add": (_exp_minus_one,),  # exp(x) - 1 = expm1(x)
}

IDENTITIES: dict[str, tuple[Rule, ...]] = {
    "recip": (_of("recip", lambda p, x: e.real(p, x.inputs[0])),),  # 1 / (1 / x) = x
    "stop": (_of("stop", lambda p, x: x),),  # stop(stop(x)) = stop(x)
    "relu": (_of("relu", lambda p, x: x),),  # relu(relu(x)) = relu(x)
    "abs": (_of("abs", lambda p, x: x),),  # |(|x|)| = |x|
    "logical_not": (_of("logical_not", lambda p, x: x.inputs[0]),),  # not not x = x
}
