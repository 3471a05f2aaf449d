"""Gradients through recurrences, against central differences of the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from dltc.compiler.derive.gradient import gradient
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Node, Pool
from dltc.compiler.graph.recurrence import Open, Past, closed

STEP = 1e-6
NEAR = 1e-7
"""Central differences of float64 at that step."""


@pytest.fixture
def pool() -> Pool:
    return Pool({"t": 5, "hid": 3})


def check(pool: Pool, objective: Node, params: dict[str, np.ndarray], inputs: dict[str, np.ndarray]) -> None:
    """Every entry of every parameter's derivative."""
    leaves = {n.attr("path"): n for n in Graph(pool, {"": objective}).topological() if n.op == "param"}
    assert leaves.keys() == params.keys()
    found = gradient(pool, objective, list(leaves.values()))
    graph = Graph(pool, {path: found[leaf] for path, leaf in leaves.items()})
    values = interpret(graph, Env(inputs=inputs, params=params))
    for path, leaf in leaves.items():
        ours = values[path].expand(leaf.attr("axes"), params[path].shape)
        for index in np.ndindex(params[path].shape):
            ends = []
            for sign in (1, -1):
                moved = {p: v.copy() for p, v in params.items()}
                moved[path][index] += sign * STEP
                ends.append(interpret(Graph(pool, {"": objective}), Env(inputs=inputs, params=moved))[""].data.item())
            assert ours[index] == pytest.approx((ends[0] - ends[1]) / (2 * STEP), abs=NEAR, rel=NEAR), (path, index)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lag", [1, 2])
def test_a_recurrent_layer(pool, reverse, lag):
    """Gradients for the matrix of the loop, one that feeds it, and the start."""
    x, b = e.input(pool, "x", ("t", "hid")), e.param(pool, "B", ("hid", "hid'"))
    a, start = e.param(pool, "A", ("hid", "hid'")), e.param(pool, "s", ("hid",))
    hole = e.hole(pool, "h", ("batch", "hid"))
    past = e.contract(pool, [a, e.rename(pool, hole, {"hid": "hid'"})], "hid'")
    fed = e.contract(pool, [b, e.rename(pool, x, {"hid": "hid'"})], "hid'")
    form = Open("t", reverse, {"h": e.tanh(pool, e.add(pool, past, fed))}, {hole: Past(0, lag, start)})
    h = closed(pool, form)["h"]
    objective = e.contract(pool, [h, h, h], ("batch", "t", "hid"))
    rng = np.random.default_rng(0)
    params = {"A": rng.normal(size=(3, 3)), "B": rng.normal(size=(3, 3)), "s": rng.normal(size=3)}
    check(pool, objective, params, {"x": rng.normal(size=(2, 5, 3))})


def test_what_does_not_depend_on_the_past_is_computed_outside(pool):
    x, b = e.input(pool, "x", ("t", "hid")), e.param(pool, "B", ("hid", "hid'"))
    hole = e.hole(pool, "h", ("batch", "hid"))
    fed = e.contract(pool, [b, e.rename(pool, x, {"hid": "hid'"})], "hid'")
    h = closed(pool, Open("t", False, {"h": e.add(pool, e.tanh(pool, hole), fed)}, {hole: Past(0, 1, e.zeros(pool))}))[
        "h"
    ]
    body = h.inputs[0].attr("body")
    assert [n.op for n in body.topological()].count("contract") == 0
    assert fed in h.inputs[0].inputs


def test_two_results_and_an_unread_one(pool):
    """p reads q's past and the other way round; the objective reads p alone, weighted differently at every label."""
    w, v = e.param(pool, "w", ("t",)), e.param(pool, "v", ())
    p, q = e.hole(pool, "p", ()), e.hole(pool, "q", ())
    roots = {"p": e.sin(pool, e.add(pool, p, e.mul(pool, v, q))), "q": e.mul(pool, w, p)}
    form = Open("t", False, roots, {p: Past(0, 1, e.const(pool, 0.3)), q: Past(1, 2, v)})
    objective = e.contract(pool, [closed(pool, form)["p"], e.label(pool, "t", 1)], "t")
    rng = np.random.default_rng(1)
    check(pool, objective, {"w": rng.normal(size=5), "v": np.array(0.7)}, {})


def test_a_family_along_the_axis(pool):
    """Depth: a matrix per label."""
    w = e.param(pool, "W", ("t", "hid", "hid'"))
    x = e.param(pool, "x", ("hid",))
    hole = e.hole(pool, "z", ("hid",))
    z = e.tanh(pool, e.contract(pool, [w, e.rename(pool, hole, {"hid": "hid'"})], "hid'"))
    z = closed(pool, Open("t", False, {"z": z}, {hole: Past(0, 1, x)}))["z"]
    last = e.gather(pool, z, e.sub(pool, e.size(pool, "t"), 1), "t")
    rng = np.random.default_rng(2)
    params = {"W": rng.normal(size=(5, 3, 3)), "x": rng.normal(size=3)}
    check(pool, e.contract(pool, [last, last], "hid"), params, {})
