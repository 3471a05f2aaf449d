"""What each distribution's log density is, as graph expressions (how one draws from it: ``draws.py``).

Arguments arrive under the names of ``frontend/distributions.py``; ``Shape`` says over which indices the variable lives.
Formulas are the textbook ones (Johnson, Kotz and Balakrishnan, *Continuous univariate distributions*), arranged so that
they lose no digits for extreme arguments: a deviation is divided by its scale before it is squared, logits forms use
log-softmax and softplus, differences of large log-gammas are expanded.
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
    """``classes``: leaf axes of a Categorical's classes; ``over``: the indices that one density covers, which are a
    Dirichlet's simplex or a MultivariateNormal's index and the second index (columns) of its matrix."""

    classes: tuple[str, ...] = ()
    over: tuple[str, ...] = ()


Density = Callable[[Pool, Node, Args, Shape], Node]


def log_density(
    pool: Pool, name: str, x: Node, args: Args, shape: Shape, *, weight: Node | None = None, inside: bool = False
) -> Node:
    """The log density of x, times ``weight``: -inf outside the support, where a weight of 0 leaves 0.

    ``inside`` says that x cannot be outside (a parameter whose domain is the support).
    """
    if name not in SUPPORT or inside:
        value = LOG_DENSITY[name](pool, x, args, shape)
        return value if weight is None else e.mul(pool, weight, value)
    support = SUPPORT[name]
    within = support.contains(pool, x, args)
    value = LOG_DENSITY[name](pool, e.select(pool, within, x, support.instead), args, shape)  # finite, so gradients are
    outside: Node = e.const(pool, -math.inf)
    if weight is not None:
        outside = e.select(pool, e.eq(pool, weight, 0), 0.0, outside)
        value = e.mul(pool, weight, value)
    return e.select(pool, e.min(pool, within, shape.over), value, outside)


# ---------------------------------------------------------------- location and scale


def _ordinary(scale: Node) -> bool:
    """A constant whose reciprocal, and the reciprocal's square, are far from the ends of the number range."""
    value = e.constant(scale)
    return value is not None and 1e-60 < value < 1e60


def _normal(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    """-z^2 / 2 - log(std) - log(2 pi) / 2 with z = (x - mean) / std."""
    deviation = e.sub(pool, x, a["mean"])
    if "precision" in a:
        weight, inverse = a["precision"], e.sqrt(pool, a["precision"])
        log_scale = e.mul(pool, -0.5, e.log(pool, a["precision"]))
    elif "var" in a:
        weight, inverse = e.recip(pool, a["var"]), e.recip(pool, e.sqrt(pool, a["var"]))
        log_scale = e.mul(pool, 0.5, e.log(pool, a["var"]))
    else:
        weight, inverse = e.pow(pool, a["std"], -2), e.recip(pool, a["std"])
        log_scale = e.log(pool, a["std"])
    if _ordinary(weight):  # one factor outside the square: a sum of squares needs no scaled copy
        square = e.mul(pool, -0.5, weight, e.pow(pool, deviation, 2))
    else:
        square = e.mul(pool, -0.5, e.pow(pool, e.mul(pool, deviation, inverse), 2))
    return e.add(pool, square, e.neg(pool, log_scale), -0.5 * LOG_2PI)


def _laplace(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    distance = e.abs_(pool, e.sub(pool, x, a["m"]))
    return e.add(
        pool, e.neg(pool, e.div(pool, distance, a["scale"])), e.neg(pool, e.log(pool, a["scale"])), -math.log(2)
    )


def _student_t(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    """c(df) - log(scale) - (df + 1)/2 log(1 + r^2) with r = |x - m| / (scale sqrt(df)).

    log(1 + r^2) is 2 log r + log(1 + r^-2) beyond r = 1, so that no square overflows in the far tail.
    """
    df = e.real(pool, a["df"])
    width = e.mul(pool, a["scale"], e.sqrt(pool, df))
    ratio = e.div(pool, e.abs_(pool, e.sub(pool, x, a["m"])), width)
    near = e.log1p(pool, e.pow(pool, ratio, 2))
    far = e.add(pool, e.mul(pool, 2.0, e.log(pool, ratio)), e.log1p(pool, e.pow(pool, e.recip(pool, ratio), 2)))
    spread = e.where(pool, e.le(pool, ratio, 1.0), near, far)
    power = e.mul(pool, -0.5, e.add(pool, df, 1.0), spread)
    return e.add(pool, _student_constant(pool, df), e.neg(pool, e.log(pool, a["scale"])), power)


_HALF_STEP = (1 / 8, -1 / 192, 1 / 640, -17 / 14336, 31 / 18432, -691 / 180224)
"""log Gamma(a + 1/2) - log Gamma(a) = log(a)/2 - sum_k c_k a^(1 - 2k) (Tricomi and Erdelyi, 1951); from a = 20 on the
first term left out is below 1e-16."""


def _student_constant(pool: Pool, df: Node) -> Node:
    """log Gamma((df+1)/2) - log Gamma(df/2) - log(df pi)/2: -log(2 pi)/2 as df grows, where the difference has no digits."""
    half = e.mul(pool, 0.5, df)
    gammas = e.sub(pool, e.lgamma(pool, e.add(pool, half, 0.5)), e.lgamma(pool, half))
    small = e.sub(pool, gammas, e.mul(pool, 0.5, e.add(pool, e.log(pool, df), math.log(math.pi))))
    inverse = e.recip(pool, half)
    square = e.mul(pool, inverse, inverse)
    series: Node = e.const(pool, _HALF_STEP[-1])
    for c in reversed(_HALF_STEP[:-1]):
        series = e.add(pool, c, e.mul(pool, square, series))
    large = e.add(pool, -0.5 * LOG_2PI, e.neg(pool, e.mul(pool, inverse, series)))
    return e.where(pool, e.lt(pool, half, 20.0), small, large)


def _uniform(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    return e.neg(pool, e.log(pool, e.sub(pool, a["high"], a["low"])))


def _spike_slab(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    """A point mass 1 - p at 0 and, with probability p, Normal(0, std) (Mitchell and Beauchamp, 1988).

    There is no Lebesgue density; this is the log density with respect to Lebesgue measure plus the unit mass at 0, which
    ranks any two weights rightly: log(1 - p) at exactly 0, log(p) + log Normal(w; 0, std) elsewhere.  As a prior of a
    learned weight it is therefore a penalty on how many weights differ from 0 and ordinary decay on those that do;
    its gradient at 0 is 0.
    """
    slab = e.add(pool, e.log(pool, a["p"]), _normal(pool, x, {"mean": e.const(pool, 0.0), "std": a["std"]}, shape))
    return e.where(pool, e.eq(pool, x, 0), e.log1p(pool, e.neg(pool, a["p"])), slab)


# ---------------------------------------------------------------- positive, in the unit interval, on the simplex


def _log_normal(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    log_x = e.log(pool, x)
    return e.sub(pool, _normal(pool, log_x, {"mean": a["m"], "std": a["std"]}, shape), log_x)


def _half_normal(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    return e.add(pool, math.log(2), _normal(pool, x, {"mean": e.const(pool, 0.0), "std": a["std"]}, shape))


def _gamma(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    """shape log(rate) - log Gamma(shape) + (shape - 1) log x - rate x."""
    tail = e.neg(pool, e.mul(pool, a["rate"], x))
    scale = e.mul(pool, a["shape"], e.log(pool, a["rate"]))
    power = e.xlogy(pool, e.sub(pool, a["shape"], 1), x)
    return e.add(pool, scale, e.neg(pool, e.lgamma(pool, a["shape"])), power, tail)


def _exponential(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    return e.sub(pool, e.log(pool, a["rate"]), e.mul(pool, a["rate"], x))


def _beta(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    """(a - 1) log x + (b - 1) log(1 - x) - log B(a, b)."""
    below = e.xlogy(pool, e.sub(pool, a["a"], 1), x)
    above = e.xlogy(pool, e.sub(pool, a["b"], 1), e.sub(pool, 1, x))
    total = e.lgamma(pool, e.add(pool, a["a"], a["b"]))
    return e.add(pool, below, above, total, e.neg(pool, e.lgamma(pool, a["a"])), e.neg(pool, e.lgamma(pool, a["b"])))


def _dirichlet(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    """Over the simplex axes as a whole: one number per entry of the other axes."""
    concentration = a["a"]
    weights = e.reduce_sum(pool, e.xlogy(pool, e.sub(pool, concentration, 1), x), shape.over)
    total = e.lgamma(pool, e.reduce_sum(pool, concentration, shape.over))
    return e.add(pool, weights, total, e.neg(pool, e.reduce_sum(pool, e.lgamma(pool, concentration), shape.over)))


# ---------------------------------------------------------------- discrete


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


# ---------------------------------------------------------------- several entries at once


def _multivariate_normal(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    """-|z|^2 / 2 - sum log diag(L) - k log(2 pi) / 2, where cov = L L^T and L z = x - mean.

    The variable's index is ``over[0]``, the matrix' columns are ``over[1]``; with precision = L L^T it is z = L^T (x -
    mean) and the determinant counts the other way round.
    """
    rows, cols = shape.over
    deviation = e.sub(pool, x, a["mean"])
    if "precision" in a:
        factor, sign = e.cholesky(pool, a["precision"], rows, cols), 1.0
        z = e.contract(pool, [factor, e.carrying(pool, deviation, [rows])], [rows])
    else:
        factor, sign = matrix_root(pool, a, shape), -1.0
        z = e.solve_triangular(pool, factor, deviation, rows, cols)
    diagonal = e.gather(pool, factor, e.label(pool, rows), cols)
    square = e.mul(pool, -0.5, e.contract(pool, [z, z], [cols]))
    constant = e.mul(pool, -0.5 * LOG_2PI, e.size(pool, rows))
    return e.add(pool, square, e.mul(pool, sign, e.reduce_sum(pool, e.log(pool, diagonal), [rows])), constant)


def matrix_root(pool: Pool, a: Args, shape: Shape) -> Node:
    """The lower triangular root L of a MultivariateNormal's covariance, given as such or as the covariance."""
    rows, cols = shape.over
    if "cov" in a:
        return e.cholesky(pool, a["cov"], rows, cols)
    below = e.le(pool, e.label(pool, cols), e.label(pool, rows))
    return e.where(pool, below, e.carrying(pool, a["scale_tril"], [rows, cols]), e.const(pool, 0.0))


# ---------------------------------------------------------------- no density


def _flat(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    return e.const(pool, 0.0)


def _gibbs(pool: Pool, x: Node, a: Args, shape: Shape) -> Node:
    return e.neg(pool, e.mul(pool, a["beta"], x))


LOG_DENSITY: dict[str, Density] = {
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
    "Flat": _flat,
    "Gibbs": _gibbs,
}


@dataclass(frozen=True, slots=True)
class Support:
    """Whether an entry is where the density is not 0, and an entry to read instead of one that is not."""

    contains: Callable[[Pool, Node, Args], Node]
    instead: float


def _between(pool: Pool, x: Node, low: e.Operand, high: e.Operand) -> Node:
    return e.minimum(pool, e.le(pool, low, x), e.le(pool, x, high))


_FROM_ZERO = Support(lambda pool, x, a: e.le(pool, 0, x), 1.0)

SUPPORT: dict[str, Support] = {
    "Uniform": Support(lambda pool, x, a: _between(pool, x, a["low"], a["high"]), 0.0),
    "LogNormal": Support(lambda pool, x, a: e.lt(pool, 0, x), 1.0),
    "HalfNormal": _FROM_ZERO,
    "Gamma": _FROM_ZERO,
    "Exponential": _FROM_ZERO,
    "Beta": Support(lambda pool, x, a: _between(pool, x, 0, 1), 0.5),
    "Dirichlet": _FROM_ZERO,
    "Poisson": _FROM_ZERO,
}
"""Where the density is not 0, ends included (that a Dirichlet's variable sums to 1 is the model's business)."""

CONFINED: dict[str, frozenset[str]] = {
    "positive": frozenset({"LogNormal", "HalfNormal", "Gamma", "Exponential"}),
    "unit": frozenset({"Beta"}),
    "simplex": frozenset({"Dirichlet"}),
}
"""Domains whose every value lies in a distribution's support."""
