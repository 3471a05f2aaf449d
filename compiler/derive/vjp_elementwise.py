"""Gradient rules of contractions and elementwise ops.

A cotangent of an operand is summed over the node's indices that the operand lacks (it was broadcast along them); the
sum and all factors are one contraction, so nothing larger than the operands need ever be stored.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

from ..graph import expr as e
from ..graph.node import Node, Pool
from .vjp import Constant, Entry, Refused, Rule

Derivative = Callable[[Pool, Node, Node], Node]
"""``derivative(pool, node, x)``: dy/dx of y = node; it may read the value y itself."""


def _chain(derivative: Derivative) -> Rule:
    """The rule of an elementwise op of one operand."""

    def rule(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
        return e.mul(pool, cotangent, derivative(pool, node, node.inputs[0]))

    return rule


def _fit(pool: Pool, node: Node, k: int, *factors: Node) -> Node:
    """The product of factors, summed over what the k-th operand was broadcast along."""
    return e.contract(pool, factors, node.axes - node.inputs[k].axes)


def _contract(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """The cotangent times all other factors, summed over whatever this factor does not carry."""
    others = node.inputs[:k] + node.inputs[k + 1 :]
    return e.contract(pool, [cotangent, *others], (node.axes | node.attr("sum")) - node.inputs[k].axes)


def _add(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return _fit(pool, node, k, cotangent)


def _pow(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """y x^(y-1), 0 for y = 0; and x^y log x, 0 where x = 0 and y >= 0 (0^0 = 1 is taken as constant in y there)."""
    x, y = node.inputs
    if k == 0:
        slope = e.mul(pool, y, e.pow(pool, x, e.sub(pool, y, 1)))
        return _fit(pool, node, 0, cotangent, e.select(pool, e.eq(pool, y, 0), e.zeros(pool), slope))
    flat = e.minimum(pool, e.eq(pool, x, 0), e.le(pool, 0, y))
    return _fit(pool, node, 1, cotangent, node, e.log(pool, e.select(pool, flat, 1.0, x)))


def _xlogy(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """log y and x / y; both 0 where x = 0 and y <= 0."""
    x, y = node.inputs
    empty = e.minimum(pool, e.eq(pool, x, 0), e.le(pool, y, 0))
    inside = e.select(pool, empty, 1.0, y)
    if k == 0:
        return _fit(pool, node, 0, cotangent, e.log(pool, inside))
    return _fit(pool, node, 1, cotangent, x, e.recip(pool, inside))


def _minimum(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    x, y = node.inputs
    return _fit(pool, node, k, cotangent, e.le(pool, x, y) if k == 0 else e.lt(pool, y, x))


def _maximum(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    x, y = node.inputs
    return _fit(pool, node, k, cotangent, e.le(pool, y, x) if k == 0 else e.lt(pool, x, y))


def _where(pool: Pool, node: Node, cotangent: Node, k: int) -> Node | None:
    """Selected, not multiplied by the condition: a bad cotangent of one branch stays out of the other."""
    condition, zero = node.inputs[0], e.zeros(pool)
    if k == 0:
        return None
    taken = e.select(pool, condition, *((cotangent, zero) if k == 1 else (zero, cotangent)))
    return _fit(pool, node, k, taken)


def _mod(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """x - y floor(x / y), the quotient being locally constant."""
    if k == 0:
        return _fit(pool, node, 0, cotangent)
    return _fit(pool, node, 1, e.neg(pool, cotangent), e.floordiv(pool, *node.inputs))


def _gelu(pool: Pool, node: Node, x: Node) -> Node:
    """x Phi(x) has the derivative Phi(x) + x phi(x)."""
    below = e.mul(pool, 0.5, e.add(pool, 1.0, e.erf(pool, e.mul(pool, 1 / sqrt(2), x))))
    density = e.mul(pool, 1 / sqrt(2 * pi), e.exp(pool, e.mul(pool, -0.5, x, x)))
    return e.add(pool, below, e.mul(pool, x, density))


def _real(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return cotangent


_DERIVATIVES: dict[str, Derivative] = {
    "recip": lambda p, y, x: e.mul(p, -1.0, y, y),
    "exp": lambda p, y, x: y,
    "log": lambda p, y, x: e.recip(p, x),
    "log1p": lambda p, y, x: e.recip(p, e.add(p, 1.0, x)),
    "expm1": lambda p, y, x: e.exp(p, x),
    "sqrt": lambda p, y, x: e.mul(p, 0.5, e.recip(p, y)),
    "abs": lambda p, y, x: e.sign(p, x),
    "relu": lambda p, y, x: e.lt(p, 0, x),
    "gelu": _gelu,
    "sigmoid": lambda p, y, x: e.mul(p, y, e.sub(p, 1.0, y)),
    "tanh": lambda p, y, x: e.sub(p, 1.0, e.mul(p, y, y)),
    "softplus": lambda p, y, x: e.sigmoid(p, x),
    "sin": lambda p, y, x: e.cos(p, x),
    "cos": lambda p, y, x: e.neg(p, e.sin(p, x)),
    "erf": lambda p, y, x: e.mul(p, 2 / sqrt(pi), e.exp(p, e.neg(p, e.mul(p, x, x)))),
    "lgamma": lambda p, y, x: e.digamma(p, x),
    "digamma": lambda p, y, x: e.trigamma(p, x),
}

_FLAT = Constant("it is piecewise constant")
_DISCRETE = Constant("its value is not a real number")

ELEMENTWISE: dict[str, Entry] = {
    **{name: _chain(derivative) for name, derivative in _DERIVATIVES.items()},
    "contract": _contract,
    "add": _add,
    "pow": _pow,
    "xlogy": _xlogy,
    "minimum": _minimum,
    "maximum": _maximum,
    "where": _where,
    "mod": _mod,
    "real": _real,
    "sign": _FLAT,
    "floordiv": _FLAT,
    "lt": _DISCRETE,
    "le": _DISCRETE,
    "eq": _DISCRETE,
    "ne": _DISCRETE,
    "logical_not": _DISCRETE,
    "stop": Constant("`stop` says so"),
    "gamma": Refused("a gamma draw is made by rejection; only its density has a derivative"),
    "poisson": _DISCRETE,
    "trigamma": Refused("polygamma of order 2 is no op; nothing in the language needs it"),
}
