"""The interval analysis is sound, and sharp where the guards of `where` rely on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dltc.compiler.graph import expr as e
from dltc.compiler.graph.bounds import _RULES, bounds
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Pool
from dltc.compiler.graph.ops import OPS


def _interval(pool, node):
    return bounds(pool, Graph(pool, {"": node}).topological())[node]


@pytest.fixture
def pool() -> Pool:
    return Pool({"i": 3, "t": "t"})


def test_what_normalisation_relies_on(pool):
    x = e.param(pool, "x", ("i",))
    spread = e.sqrt(pool, e.add(pool, e.var(pool, x, "i"), 1e-5))
    low, _ = _interval(pool, spread)
    assert low > 0
    assert _interval(pool, e.recip(pool, spread))[1] < np.inf
    assert _interval(pool, e.contract(pool, [x, x], "i")) == (0, np.inf)
    assert _interval(pool, e.exp(pool, e.neg(pool, e.mul(pool, x, x))))[1] == 1


def test_a_condition_narrows_its_branch(pool):
    x = e.param(pool, "x", ("i",))
    assert _interval(pool, e.select(pool, e.lt(pool, 0, x), x, 1.0))[0] > 0
    assert _interval(pool, e.select(pool, e.le(pool, 2, x), x, 3.0)) == (2, np.inf)
    assert _interval(pool, e.select(pool, e.lt(pool, x, 10), x, 1.0))[1] < 10
    assert _interval(pool, e.select(pool, e.lt(pool, 0, x), e.neg(pool, x), 1.0))[0] == -np.inf


def test_rules_are_for_ops():
    assert not _RULES.keys() - OPS.keys()


UNARY = [name for name in _RULES if OPS[name].arity == 1 and not OPS[name].attrs] + ["neg"]
BINARY = ["add", "mul", "minimum", "maximum", "pow", "sub"]


@st.composite
def expressions(draw):
    pool = Pool({"i": 2})
    nodes = [
        e.param(pool, "x", ("i",)),
        e.const(pool, draw(st.sampled_from([-2.0, 0.0, 0.5, 3.0]))),
        e.label(pool, "i"),
    ]
    for _ in range(draw(st.integers(1, 6))):
        x, y = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        name = draw(st.sampled_from([*UNARY, *BINARY, "sum"]))
        name = {"abs": "abs_"}.get(name, name)
        if name == "sum":
            nodes.append(e.reduce_sum(pool, x, "i"))
        else:
            nodes.append(getattr(e, name)(pool, x) if name in UNARY or name == "abs_" else getattr(e, name)(pool, x, y))
    return pool, nodes[-1], draw(st.lists(st.floats(-3, 3), min_size=2, max_size=2))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(expressions())
def test_values_lie_inside(case):
    pool, node, x = case
    low, high = _interval(pool, node)
    value = interpret(Graph(pool, {"y": node}), Env(params={"x": np.array(x)}))["y"].data
    inside = value[~np.isnan(value)] if value.ndim else np.array([v for v in [float(value)] if v == v])
    slack = 1e-9 * max(1.0, float(np.max(np.abs(inside[np.isfinite(inside)]), initial=0)))
    assert np.all(inside >= low - slack)
    assert np.all(inside <= high + slack)
