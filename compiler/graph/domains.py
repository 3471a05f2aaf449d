"""Draws from a prior put onto their parameter's domain, and the signs that a domain freezes."""

from __future__ import annotations

from collections.abc import Callable

from ..frontend.distributions import DISTRIBUTIONS
from ..frontend.model import Param
from . import expr as e
from .draws import RESTRICTED
from .node import Node, Pool


def _folded(pool: Pool, x: Node, param: Param) -> Node:
    """Reflected at 0 and 1 until it lies between them, as ``positive`` reflects at 0."""
    return e.abs_(pool, e.sub(pool, e.mod(pool, e.add(pool, x, 1.0), 2.0), 1.0))


def _signed(pool: Pool, x: Node, param: Param) -> Node:
    """|x| with the sign of the sum of its label's draws."""
    return e.mul(pool, signs(pool, x, param), e.abs_(pool, x)) if param.over else x


def _rescaled(pool: Pool, x: Node, param: Param) -> Node:
    return e.div(pool, x, e.norm(pool, x, param.over))


ONTO: dict[str, Callable[[Pool, Node, Param], Node]] = {
    "unit": _folded,
    "signed": _signed,
    "unit_norm": _rescaled,
    "orthogonal": lambda pool, x, param: e.polar(pool, x, *param.over),
}
"""What becomes of a draw on the real line, where the distribution has no restriction of its own."""


def onto(pool: Pool, x: Node, param: Param, distribution: str) -> Node:
    """A draw as a value of the parameter."""
    inside = DISTRIBUTIONS[distribution].support == param.domain or distribution in RESTRICTED.get(param.domain, {})
    return x if inside or param.domain not in ONTO else ONTO[param.domain](pool, x, param)


def signs(pool: Pool, x: Node, param: Param) -> Node:
    """1 or -1 per label of the domain's axis: the sign of its entries' sum; without an axis, of every entry."""
    rest = frozenset(param.tensor.leaves) - frozenset(param.over) if param.over else ()
    return e.sign(pool, e.reduce_sum(pool, x, rest))
