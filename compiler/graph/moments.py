"""Mean and variance of every prior per entry, of the distribution as written: a domain that restricts it changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

from . import expr as e
from .densities import Args, Shape
from .node import Node, Pool

Moment = Callable[[Pool, Args, Shape], Node]


def _argument(name: str) -> Moment:
    return lambda pool, a, shape: a[name]


def _square(pool: Pool, x: Node, factor: float = 1.0) -> Node:
    return e.mul(pool, factor, e.pow(pool, x, 2))


def _normal(pool: Pool, a: Args, shape: Shape) -> Node:
    if "precision" in a:
        return e.recip(pool, a["precision"])
    return a["var"] if "var" in a else _square(pool, a["std"])


def _multivariate(pool: Pool, a: Args, shape: Shape) -> Node:
    """The diagonal of the covariance."""
    rows, cols = shape.over
    if "scale_tril" in a:
        return e.contract(pool, [a["scale_tril"], a["scale_tril"]], [cols])
    cov = e.inverse(pool, a["precision"], rows, cols) if "precision" in a else a["cov"]
    return e.contract(pool, [cov, e.eq(pool, e.label(pool, rows), e.label(pool, cols))], [cols])


def _student(pool: Pool, a: Args, shape: Shape) -> Node:
    """scale^2 df / (df - 2); infinite up to df = 2."""
    wide = e.sub(pool, a["df"], 2)
    spread = e.div(pool, e.mul(pool, _square(pool, a["scale"]), a["df"]), e.where(pool, e.lt(pool, 0, wide), wide, 1.0))
    return e.where(pool, e.lt(pool, 0, wide), spread, e.const(pool, math.inf))


def _log_mean(pool: Pool, a: Args, shape: Shape) -> Node:
    return e.exp(pool, e.add(pool, a["m"], _square(pool, a["std"], 0.5)))


def _log_var(pool: Pool, a: Args, shape: Shape) -> Node:
    """mean^2 (exp(std^2) - 1)."""
    return e.mul(pool, e.expm1(pool, _square(pool, a["std"])), _square(pool, _log_mean(pool, a, shape)))


def _beta_mean(pool: Pool, a: Args, shape: Shape) -> Node:
    return e.div(pool, a["a"], e.add(pool, a["a"], a["b"]))


def _beta_var(pool: Pool, a: Args, shape: Shape) -> Node:
    return _share(pool, _beta_mean(pool, a, shape), e.add(pool, a["a"], a["b"]))


def _dirichlet_total(pool: Pool, a: Args, shape: Shape) -> Node:
    return e.reduce_sum(pool, a["a"], shape.over)


def _dirichlet_mean(pool: Pool, a: Args, shape: Shape) -> Node:
    return e.div(pool, a["a"], _dirichlet_total(pool, a, shape))


def _share(pool: Pool, mean: Node, total: Node) -> Node:
    """m (1 - m) / (1 + total)."""
    return e.div(pool, e.mul(pool, mean, e.sub(pool, 1.0, mean)), e.add(pool, total, 1.0))


def _uniform_var(pool: Pool, a: Args, shape: Shape) -> Node:
    return _square(pool, e.sub(pool, a["high"], a["low"]), 1 / 12)


MEAN: dict[str, Moment] = {
    "Normal": _argument("mean"),
    "MultivariateNormal": _argument("mean"),
    "Laplace": _argument("m"),
    "StudentT": _argument("m"),
    "SpikeSlab": lambda pool, a, shape: e.const(pool, 0.0),
    "Uniform": lambda pool, a, shape: e.mul(pool, 0.5, e.add(pool, a["low"], a["high"])),
    "LogNormal": _log_mean,
    "HalfNormal": lambda pool, a, shape: e.mul(pool, math.sqrt(2 / math.pi), a["std"]),
    "Gamma": lambda pool, a, shape: e.div(pool, a["shape"], a["rate"]),
    "Exponential": lambda pool, a, shape: e.recip(pool, a["rate"]),
    "Beta": _beta_mean,
    "Dirichlet": _dirichlet_mean,
}
"""All priors but Flat, which has none."""

VAR: dict[str, Moment] = {
    "Normal": _normal,
    "MultivariateNormal": _multivariate,
    "Laplace": lambda pool, a, shape: _square(pool, a["scale"], 2.0),
    "StudentT": _student,
    "SpikeSlab": lambda pool, a, shape: e.mul(pool, a["p"], _square(pool, a["std"])),
    "Uniform": _uniform_var,
    "LogNormal": _log_var,
    "HalfNormal": lambda pool, a, shape: _square(pool, a["std"], 1 - 2 / math.pi),
    "Gamma": lambda pool, a, shape: e.div(pool, a["shape"], _square(pool, a["rate"])),
    "Exponential": lambda pool, a, shape: e.pow(pool, a["rate"], -2),
    "Beta": _beta_var,
    "Dirichlet": lambda pool, a, shape: _share(pool, _dirichlet_mean(pool, a, shape), _dirichlet_total(pool, a, shape)),
    "Flat": lambda pool, a, shape: e.const(pool, math.inf),
}


def _inverse(var: Moment) -> Moment:
    return lambda pool, a, shape: e.recip(pool, var(pool, a, shape))


PRECISION: dict[str, Moment] = {
    **{name: _inverse(var) for name, var in VAR.items()},
    "Normal": lambda pool, a, shape: a["precision"] if "precision" in a else e.recip(pool, _normal(pool, a, shape)),
    "Flat": lambda pool, a, shape: e.const(pool, 0.0),
}

MOMENTS: dict[str, dict[str, Moment]] = {"prior.mean": MEAN, "prior.var": VAR, "prior.precision": PRECISION}


def tempered(name: str, moment: Node, power: Node, pool: Pool) -> Node:
    """A moment of Normal(..)^power, which is a normal of precision power / var (the front end admits no other)."""
    if name == "prior.mean":
        return moment
    return e.mul(pool, power, moment) if name == "prior.precision" else e.div(pool, moment, power)
