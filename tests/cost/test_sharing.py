"""The sharing factor against closed forms."""

from __future__ import annotations

from fractions import Fraction
from math import log2

import pytest

from dltc.compiler.cost.sharing import exact, log2_of, readable, sharing
from dltc.compiler.graph.node import Graph, Pool


def doubling(depth: int) -> Graph:
    """x_0 an input, x_k+1 = x_k / x_k (kept apart by an operation that nothing simplifies)."""
    pool = Pool({})
    node = pool.node("input", name="x", axes=(), dtype="real")
    for _ in range(depth):
        node = pool.node("pow", node, node)
    return Graph(pool, {"value x": node})


@pytest.mark.parametrize("depth", [0, 1, 10, 64, 1000])
def test_a_chain_that_doubles_has_two_to_the_depth_leaves(depth: int) -> None:
    found = sharing(doubling(depth))
    assert found.leaves == 2**depth
    assert found.tree == 2 ** (depth + 1) - 1
    assert (found.nodes, found.edges, found.depth) == (depth + 1, 2 * depth, depth + 1)
    assert found.factor == Fraction(2 ** (depth + 1) - 1, depth + 1)


def test_fibonacci() -> None:
    """x_k = x_k-1 + x_k-2: the tree of the naive recursion."""
    pool = Pool({})
    nodes = [pool.node("input", name=n, axes=(), dtype="real") for n in "ab"]
    for _ in range(2, 90):
        nodes.append(pool.node("pow", nodes[-1], nodes[-2]))
    a, b = 1, 1
    for _ in range(2, 90):
        a, b = b, a + b
    found = sharing(Graph(pool, {"value x": nodes[-1]}))
    assert found.leaves == b
    assert found.tree == 2 * b - 1


def test_a_tree_has_factor_one_and_every_root_is_written_out() -> None:
    pool = Pool({})
    x, y = (pool.node("input", name=n, axes=(), dtype="real") for n in "xy")
    both = pool.node("pow", x, y)
    assert sharing(Graph(pool, {"value a": both})).factor == 1
    twice = sharing(Graph(pool, {"value a": both, "value b": both, "value c": x}))
    assert (twice.nodes, twice.tree) == (3, 7)
    assert sharing(Graph(pool, {})).factor == 1


def test_numbers_of_any_size_have_a_text() -> None:
    """Python itself refuses to write integers of more than 4300 digits."""
    huge = 10**12000
    assert exact(huge) == "1" + "0" * 12000
    assert log2_of(huge) == pytest.approx(12000 * log2(10))
    assert log2_of(10) == pytest.approx(log2(10))
    assert readable(1234567) == "1,234,567"
    assert readable(2**100) == "1.27e+30"
