"""Recurrences in the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from dltc.compiler.diagnostics import InternalError
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Pool


@pytest.fixture
def pool() -> Pool:
    return Pool({"t": 5, "hid": 3})


def test_a_recurrent_layer(pool):
    x, a = e.input(pool, "x", ("t", "hid")), e.param(pool, "A", ("hid", "hid'"))
    h, w, now = e.hole(pool, "h", ("batch", "hid")), e.hole(pool, "A", ("hid", "hid'")), None
    now = e.hole(pool, "x", ("batch", "hid"))
    inside = e.rename(pool, e.contract(pool, [w, e.rename(pool, h, {"hid": "hid'"})], "hid'"), {})
    body = {"h": e.tanh(pool, e.add(pool, inside, now))}
    bind = [("past", "h", 0, 1, 2), ("const", "A", 1), ("each", "x", 0)]
    (y,) = e.scan(pool, [x, a, e.const(pool, 0.0)], body, bind, "t")
    rng = np.random.default_rng(0)
    xs, weights = rng.normal(size=(2, 5, 3)), rng.normal(size=(3, 3))
    out = interpret(Graph(pool, {"y": y}), Env(inputs={"x": xs}, params={"A": weights}))["y"].to(("batch", "t", "hid"))
    state = np.zeros((2, 3))
    for t in range(5):
        state = np.tanh(state @ weights.T + xs[:, t])
        np.testing.assert_allclose(out[:, t], state)


def _fibonacci(pool, reverse):
    bind = [("past", "a", 0, 1, 0), ("past", "b", 0, 2, 0)]
    body = {"f": e.add(pool, e.hole(pool, "a", (), "int"), e.hole(pool, "b", (), "int"))}
    (f,) = e.scan(pool, [e.const(pool, 1)], body, bind, "t", reverse=reverse)
    return interpret(Graph(pool, {"f": f}), Env())["f"].data


def test_two_labels_back_and_backward(pool):
    np.testing.assert_array_equal(_fibonacci(pool, False), [2, 3, 5, 8, 13])
    np.testing.assert_array_equal(_fibonacci(pool, True), [13, 8, 5, 3, 2])


def test_several_results_that_read_each_other(pool):
    holes = [e.hole(pool, n, ()) for n in ("p", "q")]
    body = {"p": e.add(pool, holes[0], holes[1]), "q": e.mul(pool, 2.0, holes[1])}
    bind = [("past", "p", 0, 1, 0), ("past", "q", 1, 1, 1)]
    p, q = e.scan(pool, [e.const(pool, 0.0), e.const(pool, 1.0)], body, bind, "t")
    out = interpret(Graph(pool, {"p": p, "q": q}), Env())
    np.testing.assert_array_equal(out["q"].data, [2, 4, 8, 16, 32])
    np.testing.assert_array_equal(out["p"].data, [1, 3, 7, 15, 31])


def test_a_tree(pool):
    """d[n] = d[(n - 1) // 2] + 1, the depth of the nodes of a binary heap."""
    parent = e.floordiv(pool, e.sub(pool, e.label(pool, "t"), 1), 2)
    bind = [("at", "d", 0, 0, 1)]
    (d,) = e.scan(pool, [parent, e.const(pool, 0)], {"d": e.add(pool, e.hole(pool, "d", (), "int"), 1)}, bind, "t")
    np.testing.assert_array_equal(interpret(Graph(pool, {"d": d}), Env())["d"].data, [1, 2, 2, 3, 3])


def test_equal_scans_are_one_node(pool):
    def make():
        body = {"f": e.add(pool, e.hole(pool, "a", ()), 1.0)}
        return next(e.scan(pool, [e.const(pool, 0.0)], body, [("past", "a", 0, 1, 0)], "t"))

    assert make() is make()


def test_bodies_that_make_no_sense(pool):
    w, start = e.param(pool, "w", ("hid",)), e.const(pool, 0.0)
    hole = e.hole(pool, "a", ())
    wrong = [
        ({"f": e.add(pool, hole, w)}, [("past", "a", 0, 1, 0)]),  # reads the outside
        ({"f": hole}, []),  # not bound
        ({"f": hole}, [("past", "a", 0, 0, 0)]),  # reads itself
        ({"f": hole}, [("const", "a", 1)]),  # more indices than the hole
        ({"f": hole}, [("magic", "a", 0)]),
        ({}, []),
    ]
    for body, bind in wrong:
        with pytest.raises(InternalError):
            list(e.scan(pool, [start, w], body, bind, "t"))
