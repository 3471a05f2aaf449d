"""Log densities against SciPy, gradients against central differences, draws against distribution functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dltc.compiler.derive.gradient import gradient
from dltc.compiler.frontend.distributions import DISTRIBUTIONS
from dltc.compiler.graph import expr as e
from dltc.compiler.graph import philox
from dltc.compiler.graph.densities import LOG_DENSITY, SUPPORT, Shape, log_density
from dltc.compiler.graph.draws import DRAW, draw
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Pool
from dltc.runtime.random import Draw

DENSITY = 1e-10  # relative to the value where that is large: roundings of a few operations, lgamma's among them
SLOPE = 1e-5  # against central differences


def evaluate(name: str, x: Any, args: dict[str, Any], shape: Shape | None = None, weight: float | None = None):
    """The log density and its derivatives by x and the arguments, all 0-dim or over i (and i')."""
    pool = Pool({"i": max(np.size(x), 1)})
    axes = {0: (), 1: ("i",), 2: ("i", "i'")}
    given_ = {"x": x, **args}
    leaves = {k: e.param(pool, k, axes[np.ndim(v)]) for k, v in given_.items()}
    w = e.const(pool, weight) if weight is not None else None
    own = {k: v for k, v in leaves.items() if k != "x"}
    node = e.real(pool, log_density(pool, name, leaves["x"], own, shape or Shape(), weight=w))
    total = e.reduce_sum(pool, node, node.axes)
    slopes = gradient(pool, total, list(leaves.values()))
    roots = {"value": node, **{f"d {k}": slopes[leaf] for k, leaf in leaves.items()}}
    found = interpret(Graph(pool, roots), Env(params={k: np.asarray(v, float) for k, v in given_.items()}))
    return {k: v.data for k, v in found.items()}


SCALARS: dict[str, tuple[tuple[str, ...], Callable[..., Any], tuple[str, ...]]] = {
    # name -> (arguments, SciPy's distribution, what each argument is: a place, a scale, a shape)
    "Normal": (("mean", "std"), lambda m, s: stats.norm(m, s), ("place", "scale")),
    "Laplace": (("m", "scale"), lambda m, s: stats.laplace(m, s), ("place", "scale")),
    "StudentT": (("m", "scale", "df"), lambda m, s, df: stats.t(df, m, s), ("place", "scale", "shape")),
    "LogNormal": (("m", "std"), lambda m, s: stats.lognorm(s, scale=math.exp(m)), ("place", "spread")),
    "HalfNormal": (("std",), lambda s: stats.halfnorm(scale=s), ("scale",)),
    "Gamma": (("shape", "rate"), lambda a, b: stats.gamma(a, scale=1 / b), ("shape", "scale")),
    "Exponential": (("rate",), lambda b: stats.expon(scale=1 / b), ("scale",)),
    "Beta": (("a", "b"), lambda a, b: stats.beta(a, b), ("shape", "shape")),
    "Uniform": (("low", "high"), lambda low, high: stats.uniform(low, high - low), ("place", "above")),
}


def _close(found: float, expected: float, tolerance: float) -> None:
    if not math.isfinite(expected):
        assert found == expected
    else:
        assert abs(found - expected) <= tolerance * max(1.0, abs(expected)), (found, expected)


@st.composite
def points(draw_: st.DrawFn) -> tuple[str, float, list[float]]:
    """A distribution, arguments over many orders of magnitude, and a quantile, a far tail or any point."""
    name = draw_(st.sampled_from(sorted(SCALARS)))
    args: list[float] = []
    for kind in SCALARS[name][2]:
        size = 10 ** draw_(st.floats(-6, 5))
        match kind:
            case "place":
                args.append(draw_(st.floats(-5, 5)))
            case "above":
                args.append(args[-1] + size)
            case "scale":
                args.append(10 ** draw_(st.floats(-100, 100)) if draw_(st.booleans()) else size)
            case "spread":
                args.append(10 ** draw_(st.floats(-2, 1)))
            case _:
                args.append(max(size, 1e-3))
    law = SCALARS[name][1](*args)
    x = float(law.ppf(draw_(st.floats(1e-9, 1 - 1e-9))))
    if draw_(st.booleans()):
        x = x + draw_(st.floats(-50, 50)) * float(args[-1] if SCALARS[name][2][-1] == "scale" else 1.0)
    return name, x if math.isfinite(x) else 0.5, args


@settings(max_examples=300, deadline=None, derandomize=True)
@given(points())
def test_density_is_scipys(point: tuple[str, float, list[float]]) -> None:
    name, x, args = point
    names, law, _ = SCALARS[name]
    found = evaluate(name, x, dict(zip(names, args, strict=True)))
    expected = float(law(*args).logpdf(x))
    if name == "LogNormal":  # SciPy takes the scale's logarithm back
        m, s = args
        expected = float(stats.norm(m, s).logpdf(math.log(x))) - math.log(x) if x > 0 else -math.inf
    _close(float(found["value"]), expected, DENSITY)
    if math.isfinite(expected):
        for key in found:
            assert np.isfinite(found[key]).all(), key


@pytest.mark.parametrize("df", [1e-3, 0.5, 1.0, 7.3, 39.9, 40.1, 1e3, 1e6, 1e10, 1e15, 1e200])
@pytest.mark.parametrize("z", [0.0, 1e-9, 0.7, 3.0, 1e3, 1e12, 1e200])
def test_student_t_up_to_the_normal_and_far_out(df: float, z: float) -> None:
    """The reference is the integral's closed form in 50 digits."""
    import mpmath  # comes with torch

    with mpmath.workdps(250):
        v, y = mpmath.mpf(df), mpmath.mpf(z)
        expected = mpmath.loggamma((v + 1) / 2) - mpmath.loggamma(v / 2) - mpmath.log(v * mpmath.pi) / 2
        expected -= (v + 1) / 2 * mpmath.log1p(y * y / v)
        expected = float(expected)
    found = evaluate("StudentT", z, {"m": 0.0, "scale": 1.0, "df": df})
    if math.isfinite(expected):
        _close(float(found["value"]), expected, DENSITY)


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_tiny_and_huge_scales_keep_value_and_gradient(scale: float) -> None:
    for key in ("std", "var", "precision"):
        given_ = {"std": scale, "var": scale**2, "precision": scale**-2}[key]
        found = evaluate("Normal", 1.5 * scale, {"mean": 0.0, key: given_})
        _close(float(found["value"]), float(stats.norm(0, 1).logpdf(1.5)) - math.log(scale), DENSITY)
        assert np.isfinite(found["d x"])


OUTSIDE = {
    "Uniform": ({"low": -1.0, "high": 2.0}, (-1.1, 2.1), (-1.0, 2.0)),
    "LogNormal": ({"m": 0.0, "std": 1.0}, (0.0, -1.0), (1e-300,)),
    "HalfNormal": ({"std": 1.0}, (-1e-9, -3.0), (0.0,)),
    "Gamma": ({"shape": 1.0, "rate": 2.0}, (-1e-9, -3.0), (0.0,)),
    "Exponential": ({"rate": 2.0}, (-1e-9,), (0.0,)),
    "Beta": ({"a": 1.0, "b": 1.0}, (-0.1, 1.1), (0.0, 1.0)),
    "Poisson": ({"rate": 2.0}, (-1.0,), (0.0,)),
    "Dirichlet": ({"a": np.array([1.0, 1.0])}, (np.array([-0.1, 1.1]),), (np.array([0.0, 1.0]),)),
}


@pytest.mark.parametrize("name", SUPPORT)
def test_outside_the_support(name: str) -> None:
    """-inf, with gradients that are numbers; 0 where the weight of the statement is 0; the ends belong to it."""
    args, outside, ends = OUTSIDE[name]
    shape = Shape(over=("i",)) if name == "Dirichlet" else Shape()
    for x in outside:
        found = evaluate(name, x, args, shape)
        assert found["value"] == -math.inf
        assert all(np.isfinite(v).all() for k, v in found.items() if k.startswith("d "))
        assert evaluate(name, x, args, shape, weight=0.0)["value"] == 0
    for x in ends:
        found = evaluate(name, x, args, shape)
        assert np.isfinite(found["value"])


def test_spike_and_slab() -> None:
    """log(1 - p) at 0, the slab elsewhere; certainty either way rules the other out."""
    args = {"p": 0.3, "std": 2.0}
    assert evaluate("SpikeSlab", 0.0, args)["value"] == pytest.approx(math.log(0.7), abs=1e-15)
    _close(float(evaluate("SpikeSlab", 1.3, args)["value"]), math.log(0.3) + stats.norm(0, 2).logpdf(1.3), DENSITY)
    assert evaluate("SpikeSlab", 0.0, args)["d x"] == 0
    assert evaluate("SpikeSlab", 1.3, args)["d p"] == pytest.approx(1 / 0.3)
    assert evaluate("SpikeSlab", 0.0, {"p": 1.0, "std": 2.0})["value"] == -math.inf
    assert np.isfinite(evaluate("SpikeSlab", 1.0, {"p": 1.0, "std": 2.0})["value"])


@pytest.mark.parametrize("given_as", ["cov", "precision", "scale_tril"])
@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
def test_multivariate_normal(given_as: str, condition: float) -> None:
    rng = np.random.default_rng(3)
    q, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    cov = (q * np.geomspace(1, 1 / condition, 4)) @ q.T
    cov = (cov + cov.T) / 2
    x, mean = rng.normal(size=4), rng.normal(size=4)
    root = np.linalg.cholesky(cov)
    matrix = {"cov": cov, "precision": np.linalg.inv(cov), "scale_tril": root + np.triu(rng.normal(size=(4, 4)), 1)}
    z = np.linalg.solve(root, x - mean)
    expected = -0.5 * z @ z - np.log(np.diag(root)).sum() - 2 * math.log(2 * math.pi)
    found = evaluate("MultivariateNormal", x, {"mean": mean, given_as: matrix[given_as]}, Shape(over=("i", "i'")))
    _close(float(found["value"]), float(expected), max(DENSITY, 1e-14 * condition))  # how well the matrix is known


def test_multivariate_normal_that_is_none() -> None:
    args = {"mean": np.zeros(2), "cov": np.array([[1.0, 2.0], [2.0, 1.0]])}
    assert np.isnan(evaluate("MultivariateNormal", np.ones(2), args, Shape(over=("i", "i'")))["value"])


def _slope(name: str, args: dict[str, Any], key: str, shape: Shape) -> np.ndarray[Any, Any]:
    """Central differences along every entry of one argument."""
    value = np.asarray(args[key], float)
    slope = np.zeros(value.shape)
    for place in np.ndindex(value.shape):
        ends: list[float] = []
        for sign in (1, -1):
            moved = value.copy()
            moved[place] += sign * 1e-6
            all_ = {**args, key: moved}
            ends.append(float(evaluate(name, all_["x"], {k: v for k, v in all_.items() if k != "x"}, shape)["value"]))
        slope[place] = (ends[0] - ends[1]) / 2e-6
    return slope


@pytest.mark.parametrize("name", [*SCALARS, "SpikeSlab", "cov", "precision", "scale_tril"])
def test_gradients_are_central_differences(name: str) -> None:
    shape = Shape()
    if name in ("cov", "precision", "scale_tril"):
        matrix = np.array([[1.5, 0.2], [0.2, 0.8]])
        args = {"x": np.array([0.3, -0.9]), "mean": np.array([0.1, 0.2]), name: matrix}
        name, shape = "MultivariateNormal", Shape(over=("i", "i'"))
    elif name == "SpikeSlab":
        args = {"x": 0.7, "p": 0.3, "std": 1.2}
    else:
        wanted = {"place": -0.2, "scale": 0.7, "spread": 0.7, "shape": 2.3, "above": 1.9}
        args = {"x": 0.4} | {n: wanted[k] for n, k in zip(SCALARS[name][0], SCALARS[name][2], strict=True)}
    found = evaluate(name, args["x"], {k: v for k, v in args.items() if k != "x"}, shape)
    for key in args:
        np.testing.assert_allclose(
            np.broadcast_to(found[f"d {key}"], np.shape(args[key])),
            _slope(name, args, key, shape),
            atol=SLOPE,
            rtol=SLOPE,
        )


def test_tables_agree() -> None:
    assert LOG_DENSITY.keys() == DISTRIBUTIONS.keys()
    assert DRAW.keys() == DISTRIBUTIONS.keys() - {"Flat", "Gibbs"}
    assert SUPPORT.keys() <= DISTRIBUTIONS.keys()


# ---------------------------------------------------------------- draws

MANY = 4000


def drawn(name: str, args: dict[str, float], domain: str = "real") -> np.ndarray[Any, Any]:
    pool = Pool({"i": MANY, "k": 3})
    axes = ("i",)
    nodes = {k: e.const(pool, v) for k, v in args.items()}
    node = draw(pool, name, "W", axes, nodes, Shape(), domain)
    return interpret(Graph(pool, {"y": node}), Env(seed=5, step=0))["y"].data


@pytest.mark.parametrize(
    ("name", "args", "law"),
    [
        ("StudentT", {"m": 1.0, "scale": 2.0, "df": 3.0}, stats.t(3, 1, 2)),
        ("StudentT", {"m": 0.0, "scale": 1.0, "df": 0.7}, stats.t(0.7)),
        ("HalfNormal", {"std": 2.0}, stats.halfnorm(scale=2)),
        ("Gamma", {"shape": 2.5, "rate": 3.0}, stats.gamma(2.5, scale=1 / 3)),
        ("Gamma", {"shape": 0.4, "rate": 3.0}, stats.gamma(0.4, scale=1 / 3)),
        ("Exponential", {"rate": 3.0}, stats.expon(scale=1 / 3)),
        ("Beta", {"a": 2.0, "b": 0.5}, stats.beta(2, 0.5)),
        ("Uniform", {"low": -1.0, "high": 3.0}, stats.uniform(-1, 4)),
    ],
)
def test_draws_have_their_distribution(name: str, args: dict[str, float], law: Any) -> None:
    """Kolmogorov and Smirnov, at one seed chosen in advance."""
    assert stats.kstest(drawn(name, args), law.cdf).pvalue > 1e-3


def test_draws_on_a_domain_are_inside() -> None:
    assert (drawn("Uniform", {"low": -1.0, "high": 3.0}, "positive") >= 0).all()
    assert (drawn("Gamma", {"shape": 1e-3, "rate": 1.0}, "positive") > 0).all()


def test_spike_and_slab_draws() -> None:
    found = drawn("SpikeSlab", {"p": 0.3, "std": 2.0})
    assert abs((found != 0).mean() - 0.3) < 4 * math.sqrt(0.21 / MANY)
    assert stats.kstest(found[found != 0], stats.norm(0, 2).cdf).pvalue > 1e-3


def test_bernoulli_and_categorical_draws() -> None:
    assert abs(drawn("Bernoulli", {"p": 0.3}).mean() - 0.3) < 4 * math.sqrt(0.21 / MANY)
    pool = Pool({"i": MANY, "k": 3})
    p = e.table(pool, ("k",), (0.5, 0.0, 0.5), (3,), "real")
    node = draw(pool, "Categorical", "W", ("i",), {"p": p}, Shape(classes=("k",)), "real")
    found = interpret(Graph(pool, {"y": node}), Env(seed=5, step=0))["y"].data
    assert set(found.tolist()) == {0, 2}
    assert abs((found == 0).mean() - 0.5) < 4 * math.sqrt(0.25 / MANY)


@pytest.mark.parametrize("rate", [0.0, 0.3, 9.9, 10.0, 47.0, 1e5])
def test_poisson_draws(rate: float) -> None:
    """Mean and variance are the rate; interpreter and runtime draw the same counts."""
    found = philox.poisson(3, "L", np.full(MANY, rate), 1)
    assert abs(found.mean() - rate) <= 4 * math.sqrt(rate / MANY)
    assert abs(found.var() - rate) <= 6 * rate * math.sqrt(2 / MANY) + 4 * math.sqrt(rate / MANY)
    assert np.array_equal(Draw(3, 1).poisson("L", rate, [MANY]).numpy(), found)


@pytest.mark.parametrize("rate", [-1.0, math.inf, math.nan])
def test_no_poisson_draw(rate: float) -> None:
    assert philox.poisson(3, "L", np.array([rate]), 1) == [-1]
    assert Draw(3, 1).poisson("L", rate, [1]).tolist() == [-1]


@pytest.mark.parametrize("given_as", ["cov", "precision", "scale_tril"])
def test_multivariate_normal_draws(given_as: str) -> None:
    root = np.array([[1.0, 0.0], [0.8, 0.5]])
    cov = root @ root.T
    matrix = {"cov": cov, "precision": np.linalg.inv(cov), "scale_tril": root}[given_as]
    pool = Pool({"i": 2, "n": MANY})
    args = {"mean": e.const(pool, 1.0), given_as: e.param(pool, "C", ("i", "i'"))}
    node = draw(pool, "MultivariateNormal", "W", ("n", "i"), args, Shape(over=("i", "i'")), "real")
    found = interpret(Graph(pool, {"y": node}), Env(seed=5, step=0, params={"C": matrix}))["y"].to(("n", "i"))
    np.testing.assert_allclose(np.cov(found.T), cov, atol=0.1)
    np.testing.assert_allclose(found.mean(0), 1.0, atol=0.08)
