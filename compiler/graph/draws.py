"""How each distribution is drawn from: keyed draws of the graph (``sample``, ``gamma``, ``poisson``), transformed.

A draw at a path is a pure function of (seed, path, element, step).  A second independent draw for the same variable has
the path with ``~`` and a word of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from . import expr as e
from .densities import Args, Shape, matrix_root
from .node import Node, Pool

TINY = 1.2e-38
"""The least positive draw: above 0 in single precision too (a Gamma of small shape is often below any number)."""

Draw = Callable[[Pool, str, tuple[str, ...], Args, Shape], Node]


def draw(pool: Pool, name: str, path: str, axes: tuple[str, ...], args: Args, shape: Shape, domain: str) -> Node:
    """A draw over ``axes``, inside the domain: a prior on the real line is restricted to it, not renormalised."""
    within = RESTRICTED.get(domain, {}).get(name, DRAW[name])
    return within(pool, path, axes, args, shape)


def _std(pool: Pool, a: Args) -> Node:
    """The standard deviation of a Normal however it is given."""
    if "precision" in a:
        return e.recip(pool, e.sqrt(pool, a["precision"]))
    return a["std"] if "std" in a else e.sqrt(pool, a["var"])


def _normal(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    z = e.sample(pool, "normal", path, axes)
    return e.add(pool, a["mean"], e.mul(pool, _std(pool, a), z))


def _laplace(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """The inverse distribution function of a uniform draw u: m - scale * sign(u - 1/2) * log(1 - 2|u - 1/2|)."""
    centred = e.sub(pool, e.sample(pool, "uniform", path, axes), 0.5)
    size = e.log1p(pool, e.mul(pool, -2.0, e.abs_(pool, centred)))
    return e.sub(pool, a["m"], e.mul(pool, a["scale"], e.sign(pool, centred), size))


def _student_t(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """m + scale * z / sqrt(g / (df/2)), z normal and g ~ Gamma(df/2, 1): its mixture of Normals."""
    half = e.mul(pool, 0.5, a["df"])
    mixing = e.sqrt(pool, e.div(pool, e.maximum(pool, e.gamma_draw(pool, path, axes, half), TINY), half))
    z = e.sample(pool, "normal", path, axes)  # lane 0, which the gamma draw leaves alone
    return e.add(pool, a["m"], e.mul(pool, a["scale"], e.div(pool, z, mixing)))


def _spike_slab(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """The slab where a uniform draw is below p, else exactly 0."""
    chosen = e.lt(pool, e.sample(pool, "uniform", f"{path}~slab", axes), a["p"])
    slab = e.mul(pool, a["std"], e.sample(pool, "normal", path, axes))
    return e.select(pool, chosen, slab, 0.0)


def _uniform(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    return _between(pool, path, axes, a["low"], a["high"])


def _between(pool: Pool, path: str, axes: tuple[str, ...], low: e.Operand, high: e.Operand) -> Node:
    u = e.sample(pool, "uniform", path, axes)
    return e.add(pool, e.mul(pool, low, e.sub(pool, 1.0, u)), e.mul(pool, high, u))


def _log_normal(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    return e.exp(pool, _normal(pool, path, axes, {"mean": a["m"], "std": a["std"]}, shape))


def _half_normal(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    return e.mul(pool, a["std"], e.abs_(pool, e.sample(pool, "normal", path, axes)))


def _gamma(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    return e.maximum(pool, e.div(pool, e.gamma_draw(pool, path, axes, a["shape"]), a["rate"]), TINY)


def _exponential(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """-log(u) / rate."""
    u = e.sample(pool, "uniform", path, axes)
    return e.maximum(pool, e.neg(pool, e.div(pool, e.log(pool, u), a["rate"])), TINY)


def _log_gamma(pool: Pool, path: str, axes: tuple[str, ...], shape: Node) -> Node:
    """The log of a Gamma(shape, 1) draw, finite however small the shape: log g + log(u) / shape with g ~ Gamma(shape + 1)
    (Marsaglia and Tsang, 2000, section 6)."""
    whole = e.gamma_draw(pool, path, axes, e.add(pool, shape, 1.0))
    boost = e.div(pool, e.log(pool, e.sample(pool, "uniform", f"{path}~boost", axes)), shape)
    return e.add(pool, e.log(pool, whole), boost)


def _beta(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """g / (g + h) of two gamma draws, from their logs."""
    first, second = _log_gamma(pool, path, axes, a["a"]), _log_gamma(pool, f"{path}~second", axes, a["b"])
    return e.sigmoid(pool, e.sub(pool, first, second))


def _dirichlet(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """Normalised gamma draws, from their logs."""
    return e.softmax(pool, _log_gamma(pool, path, axes, a["a"]), shape.over)


def _bernoulli(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    p = a["p"] if "p" in a else e.sigmoid(pool, a["logits"])
    return e.lt(pool, e.sample(pool, "uniform", path, axes), p)


def _categorical(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """The number of classes whose cumulative weight is at most u times the total, row-major over a product of axes."""
    weights = e.softmax(pool, a["logits"], shape.classes) if "logits" in a else a["p"]
    weights = e.carrying(pool, e.real(pool, weights), shape.classes)
    reached: Node = e.const(pool, 0.0)
    for k, axis in enumerate(shape.classes):  # what lies before the label's row, then before its place in the row
        row = e.reduce_sum(pool, weights, shape.classes[k + 1 :])
        upto = e.cumsum(pool, row, axis)
        reached = e.add(pool, reached, upto if k == len(shape.classes) - 1 else e.sub(pool, upto, row))
    level = e.mul(pool, e.sample(pool, "uniform", path, axes), e.reduce_sum(pool, weights, shape.classes))
    passed = e.reduce_sum(pool, e.le(pool, reached, level), shape.classes)
    return e.minimum(pool, passed, e.sub(pool, e.size(pool, *shape.classes), 1))


def _poisson(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    return e.poisson_draw(pool, path, axes, a["rate"])


def _multivariate_normal(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
    """mean + L z with cov = L L^T; from a precision P = L L^T it is mean + L^-T z."""
    rows, cols = shape.over
    z = e.sample(pool, "normal", path, axes)
    if "precision" in a:
        factor = e.rename(pool, e.cholesky(pool, a["precision"], rows, cols), {rows: cols, cols: rows})
        spread = e.rename(pool, e.solve_triangular(pool, factor, z, rows, cols, upper=True), {cols: rows})
    else:
        spread = e.contract(pool, [matrix_root(pool, a, shape), e.rename(pool, z, {rows: cols})], [cols])
    return e.add(pool, a["mean"], spread)


DRAW: dict[str, Draw] = {
    "Normal": _normal,
    "MultivariateNormal": _multivariate_normal,
    "Laplace": _laplace,
    "StudentT": _student_t,
    "SpikeSlab": _spike_slab,
    "Uniform": _uniform,
    "LogNormal": _log_normal,
    "HalfNormal": _half_normal,
    "Gamma": _gamma,
    "Exponential": _exponential,
    "Beta": _beta,
    "Dirichlet": _dirichlet,
    "Bernoulli": _bernoulli,
    "Categorical": _categorical,
    "Poisson": _poisson,
}
"""Everything that can be drawn (Flat and Gibbs cannot: they need an ``init``)."""


# ---------------------------------------------------------------- restricted to a domain


def _folded(plain: Draw) -> Draw:
    """|x|: the restriction to x > 0 of what is symmetric about 0."""

    def make(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
        return e.abs_(pool, plain(pool, path, axes, a, shape))

    return make


def _uniform_within(least: float, most: float) -> Draw:
    def make(pool: Pool, path: str, axes: tuple[str, ...], a: Args, shape: Shape) -> Node:
        low = e.maximum(pool, a["low"], least)
        return _between(pool, path, axes, low, e.minimum(pool, a["high"], most) if most < math.inf else a["high"])

    return make


RESTRICTED: dict[str, dict[str, Draw]] = {
    "positive": {
        "Normal": _folded(_normal),
        "Laplace": _folded(_laplace),
        "StudentT": _folded(_student_t),
        "Uniform": _uniform_within(0.0, math.inf),
    },
    "unit": {"Uniform": _uniform_within(0.0, 1.0)},
}
