"""The constructors: local algebra, dtypes, axes that are missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dltc.compiler.graph import expr as e
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Pool


@pytest.fixture
def pool() -> Pool:
    return Pool({"i": 3, "j": 4, "t": "t"})


def _value(pool, node, **params):
    return interpret(Graph(pool, {"y": node}), Env(params=params, sizes={"t": 5, "batch": 2}))["y"]


def test_sums(pool):
    x = e.param(pool, "x", ("i",))
    assert e.add(pool) is e.const(pool, 0)
    assert e.add(pool, x) is x
    assert e.add(pool, x, 0) is x
    assert e.add(pool, 1, 2.5) is e.const(pool, 3.5)
    assert e.add(pool, True, True) is e.const(pool, 2)
    assert e.sub(pool, 3, 1) is e.const(pool, 2)
    whole = e.label(pool, "i")
    assert e.add(pool, whole, 0.0).dtype == "real"
    assert e.add(pool, whole, 1).dtype == "int"


def test_products(pool):
    x, y = e.param(pool, "x", ("i",)), e.param(pool, "y", ("j",))
    assert e.mul(pool) is e.const(pool, 1)
    assert e.mul(pool, x, 1) is x
    assert e.mul(pool, 2, 3.0) is e.const(pool, 6.0)
    assert e.mul(pool, e.label(pool, "i"), 1.0).dtype == "real"
    assert e.neg(pool, e.neg(pool, x)) is x
    assert e.mul(pool, 2, e.mul(pool, 3, x)) is e.mul(pool, 6.0, x)
    product = e.mul(pool, x, y)
    assert product in e.mul(pool, product, y).inputs  # existing products keep their identity
    assert e.div(pool, 1, 4) is e.const(pool, 0.25)
    assert e.mul(pool, 0, x).op == "contract"  # 0 * inf is NaN: not for a constructor to decide


def test_bools_are_numbers_in_arithmetic(pool):
    flag = e.lt(pool, e.label(pool, "i"), 2)
    assert flag.dtype == "bool"
    assert e.add(pool, flag, flag).dtype == "int"
    assert e.mul(pool, flag, flag).dtype == "int"
    assert e.reduce_sum(pool, flag, "i").dtype == "int"
    assert e.maximum(pool, flag, flag).dtype == "bool"
    assert e.max(pool, flag, "i").dtype == "bool"
    assert e.mean(pool, flag, "i").dtype == "real"
    assert e.recip(pool, flag).dtype == "real"


def test_summing_over_an_axis_that_nothing_carries_counts_it(pool):
    x = e.param(pool, "x", ("i",))
    assert e.reduce_sum(pool, x, {"j"}) is e.mul(pool, 4.0, x)
    assert e.reduce_sum(pool, 2, {"i", "j"}) is e.const(pool, 24)
    over_data = e.contract(pool, [x], {"i", "t"})
    assert _value(pool, over_data, x=[1.0, 2.0, 3.0]).data == 30
    assert _value(pool, pool.node("contract", x, sum=frozenset({"j"})), x=[1.0, 2.0, 3.0]).data.tolist() == [4, 8, 12]


def test_sizes(pool):
    assert e.size(pool, "i", "j") is e.const(pool, 12)
    assert e.size(pool) is e.const(pool, 1)
    assert e.size(pool, "t'") is e.size(pool, "t")
    assert _value(pool, e.size(pool, "t", "j", "batch")).data == 40


def test_a_sum_over_a_scattered_axis_is_what_was_scattered(pool):
    index = e.table(pool, ("j",), (0, 1, 1, 2), (4,), "int")
    x = e.param(pool, "x", ("j",))
    assert e.reduce_sum(pool, e.scatter(pool, x, index, "i"), "i") is e.reduce_sum(pool, x, "j")
    kept = e.scatter(pool, x, index, "i", keep="j")
    assert e.reduce_sum(pool, kept, "i") is x
    y = e.param(pool, "y", ("j",))
    assert e.contract(pool, [kept, y], {"i", "j"}) is e.contract(pool, [x, y], {"j"})
    weighted = e.contract(pool, [kept, e.param(pool, "w", ("i",))], {"i"})
    assert any(n.op == "scatter" for n in weighted.inputs)


def test_constants_fold_only_to_finite_values(pool):
    assert e.exp(pool, 1) is e.const(pool, math.e)
    assert e.sqrt(pool, -1).op == "sqrt"
    assert e.log(pool, 0).op == "log"
    assert e.exp(pool, 1000).op == "exp"
    assert e.recip(pool, 0).op == "recip"
    assert e.abs_(pool, -2) is e.const(pool, 2)
    assert e.add(pool, math.inf, -math.inf).op == "add"
    assert e.lt(pool, 1, 2) is e.const(pool, True)
    assert e.logical_not(pool, True) is e.const(pool, False)
    assert e.floordiv(pool, -7, 2) is e.const(pool, -4)
    assert e.mod(pool, -7, 3) is e.const(pool, 2)


def test_powers(pool):
    x, n = e.param(pool, "x", ("i",)), e.label(pool, "i")
    assert e.pow(pool, x, 2) is e.mul(pool, x, x)
    assert e.pow(pool, x, 1) is x
    assert e.pow(pool, x, 0) is e.const(pool, 1.0)
    assert e.pow(pool, n, 3).dtype == "int"
    assert e.pow(pool, n, -1).dtype == "real"
    assert e.pow(pool, 2, 10) is e.const(pool, 1024)
    assert e.pow(pool, 2, -1) is e.const(pool, 0.5)
    assert e.pow(pool, 0, 0) is e.const(pool, 1)
    assert e.pow(pool, -2.0, 3) is e.const(pool, -8.0)
    assert e.pow(pool, -2.0, 0.5).op == "pow"


def test_conditions_may_be_numbers(pool):
    x = e.param(pool, "x", ("i",))
    both = e.mul(pool, e.lt(pool, 0, x), e.lt(pool, x, 2))
    assert both.dtype == "int"
    np.testing.assert_array_equal(_value(pool, e.where(pool, both, x, -1.0), x=[-3.0, 1.0, 5.0]).data, [-1, 1, -1])
    assert e.logical_not(pool, both).dtype == "bool"


def test_idempotent_ops_and_stop(pool):
    x = e.param(pool, "x", ("i",))
    assert e.relu(pool, e.relu(pool, x)) is e.relu(pool, x)
    assert e.stop(pool, e.stop(pool, x)) is e.stop(pool, x)
    assert e.stop(pool, e.const(pool, 1.0)) is e.const(pool, 1.0)
    assert e.real(pool, x) is x
    assert e.logical_not(pool, e.logical_not(pool, e.lt(pool, x, 0))) is e.lt(pool, x, 0)
    assert e.gt(pool, x, 0) is e.lt(pool, 0, x)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max", 2),
        ("min", 2),
        ("prod", 16),
        ("logsumexp", 2 + math.log(4)),
        ("softmax", 0.25),
        ("log_softmax", -math.log(4)),
    ],
)
def test_reductions_of_what_is_constant_along_the_axis(pool, name, expected):
    node = getattr(e, name)(pool, 2.0, "j")
    np.testing.assert_allclose(_value(pool, node).data, expected)
    assert getattr(e, name)(pool, e.param(pool, "x", ("i",)), {"i", "j"}).axes <= {"i"}


def test_moves_of_what_is_constant_along_the_axis(pool):
    x = e.param(pool, "x", ("i",))
    assert e.gather(pool, x, 0, "j") is x
    assert e.rename(pool, x, {"j": "j'"}) is x
    assert e.rename(pool, x, {"i": "i"}) is x
    assert e.argmax(pool, x, "j") is e.const(pool, 0)
    np.testing.assert_array_equal(_value(pool, e.cumsum(pool, 2, "j")).data, [2, 4, 6, 8])
    np.testing.assert_array_equal(_value(pool, e.revcumsum(pool, 2, "j")).data, [8, 6, 4, 2])
    assert e.gather(pool, x, e.label(pool, "i'"), "i") is e.rename(pool, x, {"i": "i'"})


def test_remake_uses_the_constructors(pool):
    x = e.param(pool, "x", ("i",))
    assert e.remake(pool, e.max(pool, x, "i"), [e.const(pool, 2.0)]) is e.const(pool, 2.0)
    assert e.remake(pool, e.exp(pool, x), [e.const(pool, 0.0)]) is e.const(pool, 1.0)
    assert e.remake(pool, e.contract(pool, [x, x], "i"), [e.const(pool, 1.0)] * 2) is e.const(pool, 3.0)
    swapped = e.rename(pool, x, {"i": "i'"})
    assert e.remake(pool, swapped, [e.const(pool, 2.0)]) is e.const(pool, 2.0)
    assert e.remake(pool, swapped, [x]) is swapped


def test_a_lone_string_is_one_axis(pool):
    long = Pool({"hid": 3})
    assert e.reduce_sum(long, e.param(long, "x", ("hid",)), "hid").axes == frozenset()


def test_axes_in_declared_order(pool):
    assert e.in_order(pool, {"t", "j'", "i", "j", "batch"}) == ["batch", "i", "j", "j'", "t"]
    assert e.fresh("i", {"i", "i'"}) == "i''"
