"""The edge cases of the op table, on the interpreter and the derived gradient."""

from __future__ import annotations

import numpy as np
import pytest

from dltc.compiler.derive.gradient import gradient
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.edges import EDGES, Edge
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Pool

CASES = [(op, k) for op, edges in EDGES.items() for k in range(len(edges))]

FIXED_BY_THE_LANGUAGE = {
    "relu", "abs", "max", "min", "maximum", "minimum", "argmax", "rank", "xlogy", "where", "softmax", "logsumexp",
    "log", "pow", "mod", "floordiv", "stop",
}  # fmt: skip


def _dtype(value) -> str:
    first = value[0] if isinstance(value, tuple) else value
    return {bool: "bool", int: "int", float: "real"}[type(first)]


def _leaves(pool: Pool, edge: Edge):
    leaves = []
    for k, value in enumerate(edge.args):
        axes = ("i",) if isinstance(value, tuple) else ()
        leaves.append(e.param(pool, f"a{k}", axes, _dtype(value)))
    return leaves, {f"a{k}": np.array(v) for k, v in enumerate(edge.args)}


@pytest.mark.parametrize(("op", "number"), CASES, ids=[f"{op}-{k}" for op, k in CASES])
def test_edge(op, number):
    edge = EDGES[op][number]
    pool = Pool({"i": next((len(a) for a in edge.args if isinstance(a, tuple)), 1)})
    leaves, params = _leaves(pool, edge)
    node = pool.node(op, *leaves, **dict(edge.attrs))
    value = interpret(Graph(pool, {"y": node}), Env(params=params))["y"]
    np.testing.assert_array_equal(value.data, edge.value)
    if edge.grads is None:
        return
    total = e.real(pool, e.reduce_sum(pool, node, node.axes))
    found = gradient(pool, total, leaves)
    out = interpret(Graph(pool, {f"a{k}": found[x] for k, x in enumerate(leaves)}), Env(params=params))
    for k, expected in enumerate(edge.grads):
        if expected is not None:
            np.testing.assert_allclose(np.broadcast_to(out[f"a{k}"].data, np.shape(expected)), expected, atol=1e-15)


def test_what_the_language_fixes_has_an_edge():
    assert not FIXED_BY_THE_LANGUAGE - EDGES.keys()


@pytest.mark.parametrize(("x", "slope"), [(-1.0, 1.0), (1.0, 1.0), (2.0, 0.0), (-2.0, 0.0), (0.0, 1.0)])
def test_clip_passes_at_its_limits(x, slope):
    pool = Pool({})
    leaf = e.param(pool, "x", ())
    found = gradient(pool, e.clip(pool, leaf, -1.0, 1.0), [leaf])[leaf]
    assert interpret(Graph(pool, {"g": found}), Env(params={"x": x}))["g"].data == slope


@pytest.mark.parametrize(("u", "value", "slope"), [(2.0, 1.5, 1), (-2.0, -1.5, 1), (0.5, 0, 0), (0.2, 0, 0)])
def test_shrink(u, value, slope):
    pool = Pool({})
    leaf = e.param(pool, "x", ())
    node = e.shrink(pool, leaf, 0.5)
    found = gradient(pool, node, [leaf])[leaf]
    out = interpret(Graph(pool, {"y": node, "g": found}), Env(params={"x": u}))
    assert (out["y"].data, out["g"].data) == (value, slope)


def test_ties_over_several_axes_go_to_the_first_in_row_major_order():
    pool = Pool({"i": 2, "j": 3})
    leaf = e.param(pool, "x", ("i", "j"))
    data = np.array([[1.0, 5.0, 5.0], [5.0, 0.0, 0.0]])
    found = gradient(pool, e.max(pool, leaf, {"i", "j"}), [leaf])[leaf]
    out = interpret(Graph(pool, {"g": found}), Env(params={"x": data}))["g"].to(("i", "j"))
    np.testing.assert_array_equal(out, [[0, 1, 0], [0, 0, 0]])
