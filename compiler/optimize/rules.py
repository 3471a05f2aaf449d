"""Algebraic rules as tables: one rule a row, the identity as its comment.

A rule looks at one node (its inputs are already rewritten) and returns the replacement or None.  ``STABLE`` holds the
forms that keep floating-point numbers finite and exact where the naive ones do not: identities of the functions, true of
real numbers alone.  ``IDENTITIES`` hold in every field and every order, so they are also checked without rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..graph import expr as e
from ..graph.node import Node, Pool


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: for nodes of ``op``, ``apply`` makes the replacement, or None where the rule does not fit."""

    name: str
    op: str
    apply: Callable[[Pool, Node], Node | None]


Rules = dict[str, tuple[Rule, ...]]


def rewritten(pool: Pool, node: Node, rules: Rules) -> Node | None:
    """What the first rule that fits makes of the node; None when none does."""
    if node.op not in rules:
        return None
    for rule in rules[node.op]:
        hit = rule.apply(pool, node)
        if hit is not None:
            return hit
    return None


def _table(rows: Iterable[Rule]) -> Rules:
    """The rows by the op that they look at, in order."""
    table: Rules = {}
    for row in rows:
        table[row.op] = (*table.get(row.op, ()), row)
    return table


def _of(outer: str, inner: str, make: Callable[[Pool, Node], Node]) -> Rule:
    """A rule for an ``outer`` whose only input is an ``inner``: make(pool, that input)."""

    def apply(pool: Pool, node: Node) -> Node | None:
        found = node.inputs[0]
        return make(pool, found) if found.op == inner else None

    return Rule(f"{outer} of {inner}", outer, apply)


def _log_of_sum_exp(pool: Pool, node: Node) -> Node | None:
    """The sum is a contraction of one factor."""
    inner = node.inputs[0]
    if inner.op == "contract" and len(inner.inputs) == 1 and inner.inputs[0].op == "exp" and inner.attr("sum"):
        return e.logsumexp(pool, inner.inputs[0].inputs[0], inner.attr("sum"))
    return None


def _beside(node: Node, value: int) -> Node | None:
    """The other term of a sum of two, one of which is the constant."""
    if node.op != "add" or len(node.inputs) != 2:
        return None
    for one, other in (node.inputs, node.inputs[::-1]):
        if e.constant(one) == value:
            return other
    return None


def _log_of_one_and_exp(pool: Pool, node: Node) -> Node | None:
    other = _beside(node.inputs[0], 1)
    return e.softplus(pool, other.inputs[0]) if other is not None and other.op == "exp" else None


def _log_of_one_and(pool: Pool, node: Node) -> Node | None:
    other = _beside(node.inputs[0], 1)
    return e.log1p(pool, other) if other is not None else None


def _exp_minus_one(pool: Pool, node: Node) -> Node | None:
    other = _beside(node, -1)
    return e.expm1(pool, other.inputs[0]) if other is not None and other.op == "exp" else None


def _minus_softplus_of_minus(pool: Pool, x: Node) -> Node:
    return e.neg(pool, e.softplus(pool, e.neg(pool, x)))


STABLE: Rules = _table(
    (
        # log softmax(x) = log_softmax(x)
        _of("log", "softmax", lambda p, x: e.log_softmax(p, x.inputs[0], x.attr("axes"))),
        # log sigmoid(x) = -softplus(-x)
        _of("log", "sigmoid", lambda p, x: _minus_softplus_of_minus(p, x.inputs[0])),
        # log exp(x) = x
        _of("log", "exp", lambda p, x: e.real(p, x.inputs[0])),
        # log sum exp(x) = logsumexp(x)
        Rule("log of a sum of exp", "log", _log_of_sum_exp),
        # log(1 + exp x) = softplus(x)
        Rule("log of 1 + exp", "log", _log_of_one_and_exp),
        # log(1 + x) = log1p(x)
        Rule("log of 1 + x", "log", _log_of_one_and),
        # exp(x) - 1 = expm1(x)
        Rule("exp - 1", "add", _exp_minus_one),
    )
)

IDENTITIES: Rules = _table(
    (
        # 1 / (1 / x) = x
        _of("recip", "recip", lambda p, x: e.real(p, x.inputs[0])),
        # stop(stop(x)) = stop(x)
        _of("stop", "stop", lambda p, x: x),
        # relu(relu(x)) = relu(x)
        _of("relu", "relu", lambda p, x: x),
        # |(|x|)| = |x|
        _of("abs", "abs", lambda p, x: x),
        # not not x = x
        _of("logical_not", "logical_not", lambda p, x: x.inputs[0]),
    )
)
