"""The field: every row of the table of algebraic rules holds exactly, as do the passes on random graphs; what is wrong by
1e-30 is found; what holds of real numbers alone is no identity."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dltc.compiler.graph import expr as e
from dltc.compiler.graph.field import residues_of, shortened
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Node, Pool
from dltc.compiler.graph.ops import OPS
from dltc.compiler.optimize.rules import IDENTITIES, STABLE, Rule, rewritten
from dltc.compiler.pipeline import PASSES, load_passes

SIZES = {"i": 3, "j": 2, "k": 2}
Make = Callable[[Pool, Node], Node]


def equal(one: Graph, other: Graph, seed: int = 1) -> bool:
    """Are all roots of two graphs the same in the field?"""
    for name, node in one.roots.items():
        a, b = residues_of(one, {}, seed, {})[node][0], residues_of(other, {}, seed, {})[other.roots[name]][0]
        axes = tuple(sorted({*a.axes, *b.axes}))
        if np.any(a.to(axes) != b.to(axes)):
            return False
    return True


def leaf(p: Pool, name: str, *axes: str) -> Node:
    return e.param(p, name, axes)


def random_graph(p: Pool, rng: Random, nodes: int) -> Node:
    """A value of sums, products, contractions, quotients, powers and functions, built of bare nodes."""
    made = [leaf(p, "a", "i"), leaf(p, "b", "i", "j"), leaf(p, "c", "j", "k"), leaf(p, "s"), e.const(p, 3.0)]
    made += [e.const(p, rng.choice([1.0, 0.1, -0.7, 2, 0.0])), e.input(p, "x", ("i",))]
    for _ in range(nodes):
        some = [rng.choice(made) for _ in range(rng.randint(2, 4))]
        if some[0].op == "const":  # no constant is computed from constants alone: the constructors see to that
            some[0] = made[0]
        axes = sorted({a for x in some for a in x.axes if a != "batch"})
        sums = frozenset(rng.sample(axes, rng.randint(0, min(2, len(axes)))))
        match rng.choice(
            ("add", "add", "contract", "contract", "sum", "recip", "pow", "tanh", "relu", "rename", "where")
        ):
            case "add":
                node = p.node("add", *some)
            case "contract":
                node = p.node("contract", *some, sum=sums)
            case "sum":
                node = p.node("contract", p.node("add", *some), sum=sums)
            case "pow":
                node = p.node("pow", some[0], e.const(p, rng.choice([2, 3, -1])))
            case "rename" if "i" in some[0].axes and "i'" not in some[0].axes:
                node = e.rename(p, some[0], {"i": "i'"})
            case "where":
                node = p.node("where", p.node("lt", *some[:2]), some[0], some[-1])
            case "rename":
                node = some[0]
            case name:
                node = p.node(name, some[0])
        if len(node.axes) < 5:
            made.append(node)
    return p.node("add", *made[-4:])


# rules

INSTANCES: dict[str, Make] = {
    "log of softmax": lambda p, x: p.node("log", p.node("softmax", x, axes=frozenset({"i"}))),
    "log of sigmoid": lambda p, x: p.node("log", p.node("sigmoid", x)),
    "log of exp": lambda p, x: p.node("log", p.node("exp", x)),
    "log of a sum of exp": lambda p, x: p.node("log", p.node("contract", p.node("exp", x), sum=frozenset({"i"}))),
    "log of 1 + exp": lambda p, x: p.node("log", p.node("add", e.const(p, 1.0), p.node("exp", x))),
    "log of 1 + x": lambda p, x: p.node("log", p.node("add", e.const(p, 1.0), x)),
    "exp - 1": lambda p, x: p.node("add", e.const(p, -1.0), p.node("exp", x)),
    "recip of recip": lambda p, x: p.node("recip", p.node("recip", x)),
    "stop of stop": lambda p, x: p.node("stop", p.node("stop", x)),
    "relu of relu": lambda p, x: p.node("relu", p.node("relu", x)),
    "abs of abs": lambda p, x: p.node("abs", p.node("abs", x)),
    "logical_not of logical_not": lambda p, x: p.node("logical_not", p.node("logical_not", p.node("lt", x, x))),
}
"""What each rule is for, of any x over i."""


def rows(table: dict[str, tuple[Rule, ...]]) -> list[Rule]:
    return [rule for found in table.values() for rule in found]


def test_every_rule_has_an_instance() -> None:
    assert {rule.name for rule in rows(IDENTITIES) + rows(STABLE)} == INSTANCES.keys()


def applied(rule: Rule, seed: int) -> tuple[Graph, Graph]:
    """An instance of a rule, and what it makes of it."""
    p = Pool(dict(SIZES))
    x = p.node("add", leaf(p, "a", "i"), e.reduce_sum(p, random_graph(p, Random(seed), 6), ["j", "k", "i'", "batch"]))
    before = INSTANCES[rule.name](p, x)
    table: dict[str, tuple[Rule, ...]] = {rule.op: (rule,)}
    after = rewritten(p, before, table)
    assert after is not None and after is not before
    return Graph(p, {"y": before}), Graph(p, {"y": after})


@pytest.mark.parametrize("rule", rows(IDENTITIES), ids=lambda rule: rule.name)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_every_identity_holds_exactly(rule: Rule, seed: int) -> None:
    one, other = applied(rule, seed)
    assert residues_of(one, {"batch": 2}, seed, {})[one.roots["y"]][0].data.any()
    assert _same(one, other, seed)


def _same(one: Graph, other: Graph, seed: int) -> bool:
    values = [residues_of(g, {"batch": 2}, seed, {})[g.roots["y"]][0] for g in (one, other)]
    axes = tuple(sorted({a for v in values for a in v.axes}))
    return bool(np.all(values[0].to(axes) == values[1].to(axes)))


@pytest.mark.parametrize("rule", rows(STABLE), ids=lambda rule: rule.name)
def test_what_is_true_of_real_numbers_alone_is_no_identity(rule: Rule) -> None:
    """The functions are unknown to the field: it can say no."""
    assert not _same(*applied(rule, 3), 3)


# passes


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**9))
def test_algebraic_passes_are_exact_on_random_graphs(seed: int) -> None:
    """Each pass alone and all in order; where constants are folded, on short ones."""
    p = Pool(dict(SIZES))
    graph = shortened(Graph(p, {"y": random_graph(p, Random(seed), 9)}))
    now = graph
    for p_ in load_passes():
        if p_.algebraic:
            assert _same(graph, p_.run(graph), seed), p_.name
            after = p_.run(now)
            assert _same(now, after, seed), p_.name
            now = after


def test_which_passes_claim_algebra() -> None:
    assert [p.name for p in load_passes() if not p.algebraic] == ["stable"]
    assert len(PASSES) == 7


def test_a_wrong_identity_that_floats_cannot_tell() -> None:
    """a + 1e-30 b is a, says float64 to the last digit; the field does not."""
    p = Pool(dict(SIZES))
    a, b = leaf(p, "a", "i"), leaf(p, "b", "i")
    one = Graph(p, {"y": a})
    other = Graph(p, {"y": e.add(p, a, e.mul(p, 1e-30, b))})
    env = Env(params={"a": np.ones(3), "b": np.full(3, 2.0)})
    assert np.array_equal(interpret(one, env)["y"].data, interpret(other, env)["y"].data)
    assert not equal(one, other)


WRONG: dict[str, tuple[Make, Make]] = {
    "x + y = y": (lambda p, x: p.node("add", x, leaf(p, "b", "i")), lambda p, x: leaf(p, "b", "i")),
    "x y = x + y": (lambda p, x: e.mul(p, x, leaf(p, "b", "i")), lambda p, x: e.add(p, x, leaf(p, "b", "i"))),
    "sum x x = sum x sum x": (
        lambda p, x: e.contract(p, [x, x], ["i"]),
        lambda p, x: e.pow(p, e.reduce_sum(p, x, ["i"]), 2),
    ),
    "n x = x": (lambda p, x: e.reduce_sum(p, leaf(p, "s"), ["i"]), lambda p, x: leaf(p, "s")),
    "sin x = sin 2 x": (lambda p, x: e.sin(p, x), lambda p, x: e.sin(p, e.mul(p, 2.0, x))),
    "x / y = y / x": (lambda p, x: e.div(p, x, leaf(p, "b", "i")), lambda p, x: e.div(p, leaf(p, "b", "i"), x)),
    "x < y = y < x": (
        lambda p, x: e.real(p, e.lt(p, x, leaf(p, "b", "i"))),
        lambda p, x: e.real(p, e.lt(p, leaf(p, "b", "i"), x)),
    ),
    "branches": (
        lambda p, x: p.node("where", e.lt(p, x, 0.0), x, leaf(p, "b", "i")),
        lambda p, x: p.node("where", e.lt(p, x, 0.0), leaf(p, "b", "i"), x),
    ),
    "another place": (
        lambda p, x: e.gather(p, x, e.const(p, 0), "i"),
        lambda p, x: e.gather(p, x, e.const(p, 1), "i"),
    ),
    "max of another": (lambda p, x: e.max(p, x, ["i"]), lambda p, x: e.max(p, e.mul(p, 2.0, x), ["i"])),
    "cumsum backwards": (lambda p, x: e.cumsum(p, x, "i"), lambda p, x: e.revcumsum(p, x, "i")),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_identities_are_refused(case: str) -> None:
    p = Pool(dict(SIZES))
    before, after = (make(p, leaf(p, "a", "i")) for make in WRONG[case])
    assert not equal(Graph(p, {"y": before}), Graph(p, {"y": after}))


RIGHT: dict[str, tuple[Make, Make]] = {
    "gathers by label are renames": (
        lambda p, x: p.node("gather", x, e.label(p, "i'"), axis="i"),
        lambda p, x: e.rename(p, x, {"i": "i'"}),
    ),
    "a scattered sum": (
        lambda p, x: p.node("contract", p.node("scatter", x, e.mod(p, e.label(p, "i"), 2), axis="j", keep=frozenset()),
                            sum=frozenset({"j"})),
        lambda p, x: e.reduce_sum(p, x, ["i"]),
    ),
    "fold of a window sums": (
        lambda p, x: e.reduce_sum(p, e.fold(p, e.mul(p, x, leaf(p, "c", "j")), "k", [("i", 1), ("j", 1)], -1), ["k"]),
        lambda p, x: e.add(p, *(e.mul(p, e.gather(p, x, e.const(p, a), "i"), e.gather(p, leaf(p, "c", "j"), e.const(p, b), "j"))
                                for a in range(3) for b in range(2) if 0 <= a + b - 1 < 2)),
    ),
    "a product along an axis": (
        lambda p, x: e.prod(p, x, ["i"]),
        lambda p, x: e.mul(p, *(e.gather(p, x, e.const(p, k), "i") for k in range(3))),
    ),
    "a running sum": (
        lambda p, x: e.gather(p, e.cumsum(p, x, "i"), e.const(p, 2), "i"),
        lambda p, x: e.gather(p, e.revcumsum(p, x, "i"), e.const(p, 0), "i"),
    ),
    "x / x": (lambda p, x: e.div(p, x, x), lambda p, x: e.const(p, 1.0)),
    "cubes": (lambda p, x: p.node("pow", x, e.const(p, 3)), lambda p, x: e.mul(p, x, x, x)),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_right_identities_hold(case: str) -> None:
    p = Pool(dict(SIZES))
    before, after = (make(p, leaf(p, "a", "i")) for make in RIGHT[case])
    assert equal(Graph(p, {"y": before}), Graph(p, {"y": after}))


def test_idempotent_functions_are() -> None:
    p = Pool(dict(SIZES))
    x = leaf(p, "a", "i")
    for name, row in OPS.items():
        if "idempotent" in row.laws and row.arity == 1:
            assert equal(Graph(p, {"y": p.node(name, x)}), Graph(p, {"y": p.node(name, p.node(name, x))})), name
    assert not equal(Graph(p, {"y": p.node("sin", x)}), Graph(p, {"y": p.node("sin", p.node("sin", x))}))


def test_shortened_constants_fold_without_rounding() -> None:
    """0.1 + 0.2 is rounded; the graph with short constants has the same form, and there nothing is."""
    p = Pool(dict(SIZES))
    nested = p.node("add", e.const(p, 0.1), p.node("add", leaf(p, "a", "i"), e.const(p, 0.2)))
    graph = Graph(p, {"y": nested})
    (share,) = [x for x in load_passes() if x.name == "share"]
    assert not equal(graph, share.run(graph))
    short = shortened(graph)
    assert short.digest() != graph.digest()
    assert equal(short, share.run(short))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
def test_shortened_constants_have_exact_sums_of_products(values: list[float]) -> None:
    p = Pool({})
    graph = shortened(Graph(p, {"y": p.node("add", *(e.const(p, v) for v in values))}))
    short = [Fraction(x.attr("value")) for x in graph.roots["y"].inputs]
    total = sum(a * b * c for a in short for b in short for c in short)
    assert Fraction(float(total)) == total
    assert [np.sign(float(v)) for v in sorted(short)] == sorted(np.sign(v) for v in values)


def test_neutral_constants_stay() -> None:
    p = Pool({})
    for value in (0.0, 1.0, -1.0, 2.0, 0.5, 3, True):
        assert shortened(Graph(p, {"y": e.const(p, value)})).roots["y"].attr("value") == value
