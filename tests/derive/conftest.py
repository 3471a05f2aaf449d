"""Shared by the tests of derived gradients: comparison with central differences of the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from dltc.compiler.derive.gradient import gradient
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Node, Pool

sys.path[:0] = [str(Path(__file__).parent.parent)]  # the shared tolerances become importable

STEP = 1e-5  # truncation ~ STEP^2, rounding ~ 1e-16 / STEP: both far below the tolerance
TOLERANCE = 2e-6


def values_of(pool: Pool, roots: Mapping[str, Node], params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Roots given by path, each over its parameter's declared axes (or as it is)."""
    out = interpret(Graph(pool, dict(roots)), Env(params=params))
    return {name: value.to(value.axes) for name, value in out.items()}


def differences(pool: Pool, objective: Node, params: Mapping[str, np.ndarray], path: str) -> np.ndarray:
    """Central differences of the objective along every entry of a parameter."""
    result = np.zeros(np.shape(params[path]))
    for place in np.ndindex(result.shape):
        ends = []
        for sign in (1, -1):
            moved = np.array(params[path], dtype=float)
            moved[place] += sign * STEP
            ends.append(float(values_of(pool, {"y": objective}, {**params, path: moved})["y"]))
        result[place] = (ends[0] - ends[1]) / (2 * STEP)
    return result


def derived(pool: Pool, objective: Node, leaves: Mapping[str, Node], params: Mapping[str, np.ndarray]) -> dict:
    """The derived gradients, evaluated and broadcast to their parameters' shapes."""
    found = gradient(pool, objective, list(leaves.values()))
    out = interpret(Graph(pool, {path: found[leaf] for path, leaf in leaves.items()}), Env(params=params))
    for leaf in leaves.values():
        assert found[leaf].axes <= leaf.axes
        assert found[leaf].dtype == "real"
    return {p: np.broadcast_to(v.to(leaves[p].attr("axes")), np.shape(params[p])) for p, v in out.items()}


@pytest.fixture(scope="session")
def check_gradient() -> Callable[[Pool, Node, Mapping[str, Node], Mapping[str, np.ndarray]], None]:
    def check(pool, objective, leaves, params):
        for path, value in derived(pool, objective, leaves, params).items():
            expected = differences(pool, objective, params, path)
            scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
            np.testing.assert_allclose(value, expected, rtol=0, atol=TOLERANCE * scale, err_msg=path)

    return check


@pytest.fixture(scope="session")
def evaluate_gradient():
    return derived
