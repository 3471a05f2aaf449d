"""Random compositions of smooth ops: derived gradient against central differences."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Pool

SIZES = {"i": 2, "j": 3, "u": 1}
AXES = list(SIZES)

UNARY = ["tanh", "sin", "cos", "sigmoid", "softplus", "erf", "gelu"]
REDUCE = ["logsumexp", "softmax", "log_softmax", "mean", "reduce_sum", "var", "prod"]


def _tame(pool, x):
    """Keep values in a range where differences are accurate and no pole is near."""
    return e.tanh(pool, x)


def _leaves(draw, pool):
    leaves, params = {}, {}
    for k in range(draw(st.integers(1, 3))):
        axes = draw(st.lists(st.sampled_from(AXES), unique=True, max_size=3))
        leaves[f"p{k}"] = e.param(pool, f"p{k}", axes)
        shape = [SIZES[a] for a in axes]
        count = int(np.prod(shape))
        values = draw(st.lists(st.integers(-15, 15), min_size=count, max_size=count))
        params[f"p{k}"] = np.array(values, dtype=float).reshape(shape) / 10 + 0.037
    return leaves, params


def _positive(pool, x):
    return e.add(pool, 0.5, e.softplus(pool, x))


def _masked(pool, x, y, axis):
    """A `where` whose unused branch has a pole."""
    mask = e.lt(pool, e.label(pool, axis), 1)
    return e.where(pool, mask, e.log(pool, _positive(pool, x)), e.mul(pool, x, y))


def _grow(draw, pool, nodes):
    x, y = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
    axes = draw(st.sets(st.sampled_from(AXES), min_size=1))
    axis = draw(st.sampled_from(AXES))
    index = e.table(pool, ("j",), draw(st.tuples(*[st.integers(0, SIZES[axis] - 1)] * 3)), (3,), "int")
    kind = draw(st.integers(0, 11))
    if kind <= 1:
        return getattr(e, draw(st.sampled_from(UNARY)))(pool, x)
    if kind <= 3:
        return _tame(pool, getattr(e, draw(st.sampled_from(REDUCE)))(pool, x, axes))
    if kind <= 5:
        return _tame(pool, e.contract(pool, [x, y], axes))
    if kind == 6:
        return e.add(pool, x, y)
    if kind == 7:
        return _tame(pool, e.div(pool, x, _positive(pool, y)))
    if kind == 8:
        return _tame(pool, e.pow(pool, _positive(pool, x), y))
    if kind == 9:
        return _tame(pool, e.cumsum(pool, x, axis))
    if kind == 10:
        return e.gather(pool, x, index, axis)
    return _masked(pool, x, y, axis)


@st.composite
def graphs(draw):
    pool = Pool(SIZES)
    leaves, params = _leaves(draw, pool)
    nodes = list(leaves.values())
    for _ in range(draw(st.integers(1, 7))):
        nodes.append(_grow(draw, pool, nodes))
    total = e.real(pool, e.reduce_sum(pool, nodes[-1], nodes[-1].axes))
    return pool, total, leaves, params


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(graphs())
def test_random_graphs(check_gradient, case):
    check_gradient(*case)
