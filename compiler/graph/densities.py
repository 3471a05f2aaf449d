"""What each distribution means: its log density and how a prior is drawn, as graph expressions.

Arguments arrive under the names of ``frontend/distributions.py``; ``Shape`` says over which indices the variable lives.
Formulas are the textbook ones; logits forms use log-softmax and softplus, so that they are finite for any logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import expr as e
from .node import Node, Pool

LOG_2PI = math.log(2 * math.pi)

Args = Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Shape:
    """``classes``: leaf axes of a Categorical's classes; ``over``: leaf axes of a Dirichlet's simplex."""

    classes: tuple[str, ...] = ()
    over: tuple[str, ...] = ()


def _normal(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    deviation = e.sub(pool, x, a["mean"])
    if "precision" in a:
        weight, log_scale = a["precision"], e.mul(pool, -0.5, e.log(pool, a["precision"]))
    elif "var" in a:
        weight, log_scale = e.recip(pool, a["var"]), e.mul(pool, 0.5, e.log(pool, a["var"]))
    else:
        weight, log_scale = e.pow(pool, a["std"], -2), e.log(pool, a["std"])
    square = e.mul(pool, -0.5, weight, e.pow(pool, deviation, 2))
    return e.add(pool, square, e.neg(pool, log_scale), -0.5 * LOG_2PI)


def _laplace(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    distance = e.abs_(pool, e.sub(pool, x, a["m"]))
    return e.add(
        pool, e.neg(pool, e.div(pool, distance, a["scale"])), e.neg(pool, e.log(pool, a["scale"])), -math.log(2)
    )


def _log_normal(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    log_x = e.log(pool, x)
    return e.sub(pool, _normal(pool, log_x, {"mean": a["m"], "std": a["std"]}, shape), log_x)


def _dirichlet(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    """Over the simplex axes as a whole: one number per entry of the other axes."""
    concentration = a["a"]
    weights = e.reduce_sum(pool, e.xlogy(pool, e.sub(pool, concentration, 1), x), shape.over)
    total = e.lgamma(pool, e.reduce_sum(pool, concentration, shape.over))
    return e.add(pool, weights, total, e.neg(pool, e.reduce_sum(pool, e.lgamma(pool, concentration), shape.over)))


def _bernoulli(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    if "logits" in a:
        return e.sub(pool, e.mul(pool, x, a["logits"]), e.softplus(pool, a["logits"]))
    yes = e.xlogy(pool, x, a["p"])
    return e.add(pool, yes, e.xlogy(pool, e.sub(pool, 1, x), e.sub(pool, 1, a["p"])))


def _categorical(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    if "logits" in a:
        return pick(pool, e.log_softmax(pool, a["logits"], shape.classes), x, shape.classes)
    return e.log(pool, pick(pool, a["p"], x, shape.classes))


def pick(pool: Pool, x: Node, label: Node, axes: tuple[str, ...]) -> Node:
    """x at a label of (possibly a product of) axes, row-major."""
    for axis in reversed(axes[1:]):
        size = e.size(pool, axis)
        x = e.gather(pool, x, e.mod(pool, label, size), axis)
        label = e.floordiv(pool, label, size)
    return e.gather(pool, x, label, axes[0])


def _poisson(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    return e.add(
        pool, e.xlogy(pool, x, a["rate"]), e.neg(pool, a["rate"]), e.neg(pool, e.lgamma(pool, e.add(pool, x, 1)))
    )


def _flat(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    return e.const(pool, 0.0)


def _gibbs(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    return e.neg(pool, e.mul(pool, a["beta"], x))


LOG_DENSITY: dict[str, Callable[[Pool, Node, Args, Shape], Node]] = {
    "Normal": _normal,
    "Laplace": _laplace,
    "LogNormal": _log_normal,
    "Dirichlet": _dirichlet,
    "Bernoulli": _bernoulli,
    "Categorical": _categorical,
    "Poisson": _poisson,
    "Flat": _flat,
    "Gibbs": _gibbs,
}


# ---------------------------------------------------------------- draws


def _draw_normal(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    z = e.sample(pool, "normal", path, axes)
    if "precision" in a:
        std = e.recip(pool, e.sqrt(pool, a["precision"]))
    else:
        std = a["std"] if "std" in a else e.sqrt(pool, a["var"])
    return e.add(pool, a["mean"], e.mul(pool, std, z))


def _draw_laplace(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """The inverse distribution function of a uniform draw u: m - scale * sign(u - 1/2) * log(1 - 2|u - 1/2|)."""
    centred = e.sub(pool, e.sample(pool, "uniform", path, axes), 0.5)
    size = e.log1p(pool, e.mul(pool, -2.0, e.abs_(pool, centred)))
    return e.sub(pool, a["m"], e.mul(pool, a["scale"], e.sign(pool, centred), size))


def _draw_log_normal(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    return e.exp(pool, _draw_normal(pool, path, axes, {"mean": a["m"], "std": a["std"]}, shape))


def _draw_dirichlet(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """Normalised gamma draws."""
    return e.normalize(pool, e.gamma_draw(pool, path, axes, a["a"]), shape.over)


DRAW: dict[str, Callable[[Pool, str, tuple[str, ...], Args, Shape], Node]] = {
    "Normal": _draw_normal,
    "Laplace": _draw_laplace,
    "LogNormal": _draw_log_normal,
    "Dirichlet": _draw_dirichlet,
}
"""Priors that a parameter can be drawn from (the others need an ``init``)."""
