"""Each pass on a small graph: what it makes of it, that the meaning stays, that origins survive, that twice is once."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest

from dltc.compiler.diagnostics import Span
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Node, Pool
from dltc.compiler.optimize.base import uses

SIZES = {"i": 3, "j": 4, "k": 5}
HERE = Span("case.dlt", 0, 1)


def pool() -> Pool:
    return Pool(dict(SIZES))


def leaf(p: Pool, name: str, *axes: str) -> Node:
    return e.param(p, name, axes)


def run(name: str, graph: Graph) -> Graph:
    return import_module(f"dltc.compiler.optimize.{name}").PASS.run(graph)


def build(make: Callable[[Pool], Node]) -> Graph:
    p = pool()
    with p.origin([HERE]):
        return Graph(p, {"y": make(p)})


def values(graph: Graph) -> np.ndarray:
    """The root on fixed random leaves, in alphabetical axis order."""
    rng = np.random.default_rng(0)
    leaves = sorted({(n.attr("path"), n.attr("axes")) for n in graph.topological() if n.op == "param"})
    params = {path: rng.uniform(0.2, 1.5, [SIZES[a.rstrip("'")] for a in axes]) for path, axes in leaves}
    labeled = interpret(graph, Env(params=params))["y"]
    order = tuple(sorted(graph.roots["y"].axes))
    return np.asarray(labeled.to(order).data if hasattr(labeled.to(order), "data") else labeled.to(order))


def ops(graph: Graph) -> list[str]:
    return sorted(n.op for n in graph.topological() if n.op not in ("param", "const"))


CASES: dict[str, tuple[str, Callable[[Pool], Node], list[str]]] = {
    "log of softmax": ("stable", lambda p: e.log(p, e.softmax(p, leaf(p, "a", "i"), ["i"])), ["log_softmax"]),
    "log of sigmoid": (
        "stable",
        lambda p: e.log(p, e.sigmoid(p, leaf(p, "a", "i"))),
        ["contract", "contract", "softplus"],
    ),
    "log of exp": ("stable", lambda p: e.log(p, e.exp(p, leaf(p, "a", "i"))), []),
    "log of 1 + exp": ("stable", lambda p: e.log(p, e.add(p, 1.0, e.exp(p, leaf(p, "a", "i")))), ["softplus"]),
    "log of 1 + x": ("stable", lambda p: e.log(p, e.add(p, 1.0, leaf(p, "a", "i"))), ["log1p"]),
    "exp - 1": ("stable", lambda p: e.add(p, -1.0, e.exp(p, leaf(p, "a", "i"))), ["expm1"]),
    "log of sum of exp": (
        "stable",
        lambda p: e.log(p, e.reduce_sum(p, e.exp(p, leaf(p, "a", "i")), ["i"])),
        ["logsumexp"],
    ),
    "nested sums": (
        "share",
        lambda p: e.add(p, leaf(p, "a", "i"), e.add(p, leaf(p, "b", "i"), leaf(p, "c", "i"))),
        ["add"],
    ),
    "equal terms": ("share", lambda p: p.node("add", leaf(p, "a", "i"), leaf(p, "a", "i")), ["contract"]),
    "nested products": (
        "share",
        lambda p: e.mul(p, leaf(p, "a", "i"), e.mul(p, leaf(p, "b", "i"), leaf(p, "c", "i"))),
        ["contract"],
    ),
    "constant under a sum": (
        "sums",
        lambda p: e.reduce_sum(p, e.add(p, 2.0, e.mul(p, leaf(p, "a", "i"), leaf(p, "b", "i"))), ["i"]),
        ["add", "contract", "contract"],
    ),
    "reciprocal twice": ("constants", lambda p: p.node("recip", p.node("recip", leaf(p, "a", "i"))), []),
    "relu twice": ("constants", lambda p: p.node("relu", p.node("relu", leaf(p, "a", "i"))), ["relu"]),
    "chain of matrices": (
        "contraction",
        lambda p: e.contract(p, [leaf(p, "A", "i", "j"), leaf(p, "B", "j", "k"), leaf(p, "x", "k")], ["j", "k"]),
        ["contract", "contract"],
    ),
    "scalar out of a sum": (
        "contraction",
        lambda p: e.contract(p, [leaf(p, "s"), leaf(p, "A", "i", "j"), leaf(p, "x", "j")], ["j"]),
        ["contract", "contract"],
    ),
    "nothing to do": ("dead", lambda p: e.exp(p, leaf(p, "a", "i")), ["exp"]),
}


@pytest.mark.parametrize("case", CASES)
def test_before_and_after(case: str) -> None:
    name, make, expected = CASES[case]
    before = build(make)
    after = run(name, before)
    assert ops(after) == expected
    np.testing.assert_allclose(values(after), values(before), rtol=1e-13)
    again = run(name, after)
    assert again.digest() == after.digest()
    assert all(after.pool.origins(n) == {HERE} for n in after.topological())


def test_contraction_order_takes_the_cheap_side_first() -> None:
    """A (B x) rather than (A B) x: the product of two matrices never appears."""
    graph = run("contraction", build(CASES["chain of matrices"][1]))
    inner = next(n for n in graph.topological() if n.op == "contract")
    assert inner.axes == {"j"}


def test_greedy_order_equals_the_meaning() -> None:
    """More factors than the exact search takes."""

    def make(p: Pool) -> Node:
        chain = [
            leaf(p, f"M{n}", *pair)
            for n, pair in enumerate([("i", "j"), ("j", "k"), ("k", "i'"), ("i'", "j'"), ("j'", "k'")])
        ]
        chain += [leaf(p, f"v{n}", axis) for n, axis in enumerate(["k'", "j", "k", "i'"])]
        return e.contract(p, chain, ["j", "k", "i'", "j'", "k'"])

    before = build(make)
    after = run("contraction", before)
    assert all(len(n.inputs) <= 2 for n in after.topological() if n.op == "contract")
    np.testing.assert_allclose(values(after), values(before), rtol=1e-12)


def test_shared_parts_stay_shared() -> None:
    """A sum that two nodes read is not copied into either."""

    def make(p: Pool) -> Node:
        shared = e.add(p, leaf(p, "a", "i"), leaf(p, "b", "i"))
        return e.mul(p, e.exp(p, shared), e.add(p, shared, leaf(p, "c", "i")))

    graph = run("share", build(make))
    count = uses(graph)
    assert any(n.op == "add" and count[n] == 2 for n in graph.topological())


def test_dead_forgets_what_nobody_reads() -> None:
    graph = build(lambda p: e.exp(p, leaf(p, "a", "i")))
    graph.pool.node("relu", next(iter(graph.roots.values())))
    fresh = run("dead", graph)
    assert len(fresh.pool._nodes) == len(fresh.topological())
    assert fresh.digest() == graph.digest()
