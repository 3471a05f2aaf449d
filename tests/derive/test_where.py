"""`where` lets nothing of its unused branch into a value or a gradient."""

from __future__ import annotations

import numpy as np
import pytest

from dltc.compiler.derive.gradient import gradient
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Node, Pool
from dltc.compiler.graph.ops import OPS

X = np.array([-2.0, 0.0, 0.5, 1000.0])


def _run(pool: Pool, value: Node, leaf: Node, x: np.ndarray, **others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The value and the gradient of its sum."""
    total = e.reduce_sum(pool, value, value.axes)
    slope = gradient(pool, total, [leaf])[leaf]
    out = interpret(Graph(pool, {"y": value, "dx": slope}), Env(params={"x": x, **others}))
    return out["y"].to(sorted(value.axes)), np.broadcast_to(out["dx"].to(leaf.attr("axes")), x.shape)


def _case(build, x=X):
    pool = Pool({"i": len(x)})
    leaf = e.param(pool, "x", ("i",))
    return _run(pool, build(pool, leaf), leaf, x)


LOG = np.log(np.where(X > 0, X, 1))


@pytest.mark.parametrize(
    ("build", "value", "slope"),
    [
        (lambda p, x: e.where(p, e.gt(p, x, 0), e.log(p, x), 0.0), LOG, np.divide(X > 0, X, where=X > 0, out=0 * X)),
        (
            lambda p, x: e.where(p, e.gt(p, x, 0), e.sqrt(p, x), 0.0),
            np.sqrt(np.maximum(X, 0)),
            [0, 0, 0.5 / np.sqrt(0.5), 0.5 / np.sqrt(1000)],
        ),
        (
            lambda p, x: e.where(p, e.ne(p, x, 0), e.div(p, e.sin(p, x), x), 1.0),
            np.sinc(X / np.pi),
            [(v * np.cos(v) - np.sin(v)) / v**2 if v else 0 for v in X],
        ),
        (
            lambda p, x: e.where(p, e.lt(p, x, 10), e.exp(p, x), 0.0),
            [np.exp(-2), 1, np.exp(0.5), 0],
            [np.exp(-2), 1, np.exp(0.5), 0],
        ),
        (
            lambda p, x: e.where(p, e.gt(p, x, 0), e.pow(p, x, -0.5), 0.0),
            [0, 0, 0.5**-0.5, 1000**-0.5],
            [0, 0, -0.5 * 0.5**-1.5, -0.5 * 1000**-1.5],
        ),
        (  # nested, the outer one with more room
            lambda p, x: e.where(
                p, e.gt(p, x, -1), e.where(p, e.gt(p, x, 0), e.log(p, x), e.log(p, e.neg(p, x))), e.recip(p, x)
            ),
            [-0.5, -np.inf, np.log(0.5), np.log(1000)],
            [-0.25, -np.inf, 2, 0.001],
        ),
        (  # the unused branch through `stop` is a factor of what is differentiated
            lambda p, x: e.where(p, e.gt(p, x, 0), e.mul(p, x, e.stop(p, e.log(p, x))), 0.0),
            np.maximum(X, 0) * LOG,
            np.where(X > 0, LOG, 0),
        ),
    ],
    ids=["log", "sqrt", "sinc", "exp", "pow", "nested", "stop"],
)
def test_elementwise(build, value, slope):
    y, dx = _case(build)
    np.testing.assert_allclose(y, value, rtol=1e-12)
    np.testing.assert_allclose(dx, slope, rtol=1e-12)


def test_contraction_inside_the_branch():
    """Per row of x: log of its entries, weighted and summed, only where the row is positive."""
    pool = Pool({"i": 2, "j": 3})
    x, w = e.param(pool, "x", ("i", "j")), e.param(pool, "w", ("j",))
    low = e.min(pool, x, "j")
    value = e.where(pool, e.gt(pool, low, 0), e.contract(pool, [w, e.log(pool, x)], "j"), 0.0)
    data = np.array([[0.0, 1.0, 2.0], [1.0, 2.0, 4.0]])
    weights = np.array([1.0, 2.0, 3.0])
    y, dx = _run(pool, value, x, data, w=weights)
    np.testing.assert_allclose(y, [0, np.log(data[1]) @ weights])
    np.testing.assert_allclose(dx, [[0, 0, 0], weights / data[1]])


def test_an_axis_of_the_condition_that_the_branch_lacks():
    """The branch is used when any entry of the condition is true: it must not gain the axis."""
    pool = Pool({"i": 3})
    x = e.param(pool, "x", ())
    value = e.where(pool, e.lt(pool, e.label(pool, "i"), 0), e.log(pool, x), 2.0)
    y, dx = _run(pool, value, x, np.array(0.0))
    np.testing.assert_allclose(y, [2, 2, 2])
    assert dx == 0
    logs = [n for n in Graph(pool, {"y": value}).topological() if n.op == "log"]
    assert [n.axes for n in logs] == [frozenset()]


def test_softmax_over_an_axis_of_the_condition():
    """Every entry of a softmax reads all of them: an entry with a false condition must keep its value."""
    pool = Pool({"i": 3})
    x = e.param(pool, "x", ("i",))
    data = np.array([1.0, 2.0, 5.0])
    soft = e.softmax(pool, e.log(pool, x), "i")
    y, _ = _run(pool, e.where(pool, e.lt(pool, x, 4), soft, 0.0), x, data)
    np.testing.assert_allclose(y, [1 / 8, 2 / 8, 0])


def test_through_rename_gather_and_scatter():
    pool = Pool({"i": 3, "k": 2})
    x = e.param(pool, "x", ("i",))
    data = np.array([0.0, 1.0, 2.0])
    logs = e.log(pool, x)
    renamed = e.where(pool, e.lt(pool, 0, e.label(pool, "i'")), e.rename(pool, logs, {"i": "i'"}), 0.0)
    y, dx = _run(pool, renamed, x, data)
    np.testing.assert_allclose((y, dx), ([0, 0, np.log(2)], [0, 1, 0.5]))

    index = e.table(pool, ("k",), (0, 2), (2,), "int")
    read = e.where(pool, e.lt(pool, 0, e.label(pool, "k")), e.gather(pool, logs, index, "i"), 0.0)
    y, dx = _run(pool, read, x, data)
    np.testing.assert_allclose((y[1], dx[0], dx[2]), (np.log(2), 0, 0.5))

    spread = e.scatter(pool, e.gather(pool, logs, index, "i"), index, "i")
    y, dx = _run(pool, e.where(pool, e.lt(pool, 0, e.label(pool, "i")), spread, 0.0), x, data)
    np.testing.assert_allclose((y[2], dx[0], dx[2]), (np.log(2), 0, 0.5))


def test_matrices_are_replaced_by_the_unit_matrix():
    pool = Pool({"i": 2, "b": 2})
    x = e.param(pool, "x", ("b", "i", "i'"))
    good = e.lt(pool, 0, e.label(pool, "b"))
    data = np.stack([np.zeros((2, 2)), np.diag([2.0, 4.0])])
    y, dx = _run(pool, e.where(pool, good, e.logdet(pool, x, "i", "i'"), 0.0), x, data)
    np.testing.assert_allclose(y, [0, np.log(8)])
    np.testing.assert_allclose(dx, [np.zeros((2, 2)), np.diag([0.5, 0.25])])


def test_norm_of_zero_has_gradient_zero():
    y, dx = _case(lambda p, x: e.norm(p, x, "i"), np.zeros(3))
    assert y == 0
    np.testing.assert_array_equal(dx, [0, 0, 0])
    y, dx = _case(lambda p, x: e.norm(p, x, "i"), np.array([3.0, 4.0]))
    np.testing.assert_allclose((y, *dx), (5, 0.6, 0.8))


def test_kmax_keeps_the_largest_and_lowest_labels():
    y, dx = _case(lambda p, x: e.kmax(p, x, ("i",), 2), np.array([1.0, 3.0, 2.0, 3.0, 2.0]))
    np.testing.assert_allclose(y, [0, 3, 0, 3, 0])
    np.testing.assert_allclose(dx, [0, 1, 0, 1, 0])
    y, dx = _case(lambda p, x: e.kmax(p, e.log(p, x), ("i",), 2), np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose((y, dx), ([0, 0, np.log(2)], [0, 1, 0.5]))


def _layers(pool: Pool, x: Node, depth: int) -> Node:
    for n in range(depth):
        w = e.param(pool, f"W{n}", ("i", "i'"))
        x = e.rename(pool, e.contract(pool, [w, x], "i"), {"i'": "i"})
        centred = e.sub(pool, x, e.mean(pool, x, "i"))
        x = e.div(pool, centred, e.sqrt(pool, e.add(pool, e.var(pool, x, "i"), 1e-5)))
        x = e.kmax(pool, e.relu(pool, x), ("i",), 2)
    return x


def test_smooth_networks_are_not_copied():
    """Normalisation with an epsilon cannot misbehave, so `where` above it changes nothing below."""
    pool = Pool({"i": 4})
    deep = _layers(pool, e.param(pool, "x", ("i",)), 6)
    order = Graph(pool, {"y": deep}).topological()
    assert sum(n.op == "sqrt" for n in order) == 6
    before = len(order)
    guarded = e.where(pool, e.lt(pool, e.label(pool, "i"), 2), deep, 0.0)
    assert len(Graph(pool, {"y": guarded}).topological()) <= before + 4


def test_risky_layers_below_kmax_are_not_copied():
    """Some entry is always kept, so whatever feeds all entries is always used."""
    pool = Pool({"i": 4})
    x = e.param(pool, "x", ("i",))
    for n in range(5):
        w = e.param(pool, f"W{n}", ("i", "i'"))
        x = e.rename(pool, e.contract(pool, [w, e.exp(pool, x)], "i"), {"i'": "i"})
        x = e.kmax(pool, x, ("i",), 2)
    assert sum(n.op == "exp" for n in Graph(pool, {"y": x}).topological()) == 5


def test_a_constant_condition_takes_its_branch():
    pool = Pool({"i": 2})
    x = e.param(pool, "x", ("i",))
    assert e.where(pool, True, x, 0.0) is x
    assert e.where(pool, e.lt(pool, x, 0), x, x) is x


def test_every_singular_op_is_known_to_the_guard():
    from dltc.compiler.graph.guard import _SMOOTH

    assert _SMOOTH.keys() <= {name for name, row in OPS.items() if row.singular}
