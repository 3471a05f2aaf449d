"""The order of the passes, the truth of what they declare, and what every pass owes: idempotence and origins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
from graphs import CHUNKS, FEW, MANY, graphs, graphs_of

from dltc.compiler.diagnostics import InternalError, Span
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Graph, Node, Pool
from dltc.compiler.graph.node import everywhere as all_nodes
from dltc.compiler.optimize.base import Pass, settled
from dltc.compiler.optimize.bodies import everywhere
from dltc.compiler.optimize.order import PipelineError, check_order
from dltc.compiler.optimize.properties import PROPERTIES
from dltc.compiler.pipeline import PASSES, load_passes, run_passes

NAMES = ["constants", "stable", "sums", "share", "contraction", "constants", "dead"]


def test_the_pipeline_finds_what_it_requires() -> None:
    assert [p.name for p in load_passes()] == NAMES == list(PASSES)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("contraction", *PASSES), "`contraction` requires flat, but nothing before it establishes that"),
        (("share", "constants"), "`share` requires constants_folded, but nothing before it"),
        (("stable", "sums", "constants"), "`sums` requires constants_folded, but nothing before it"),
        (("constants", "share", "sums", "contraction"), "`contraction` requires flat, but `sums` destroys it first"),
        (("constants", "share", "contraction", "contraction"), "requires flat, but `contraction` destroys it first"),
        (tuple(reversed(PASSES)), "`contraction` requires flat"),
    ],
)
def test_an_illegal_order_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        load_passes(names)


def test_a_legal_permutation_is_not() -> None:
    for names in [("stable", "constants", "share", "contraction", "sums", "dead"), ("dead", *PASSES), ("constants",)]:
        assert [p.name for p in load_passes(names)] == list(names)


def test_what_only_a_pass_that_is_off_establishes_is_not_asked_for() -> None:
    """Off by the user's word; not there at all is another matter."""
    for off in dict.fromkeys(PASSES):
        assert off not in [p.name for p in load_passes(without=[off])]
    assert load_passes(without=PASSES) == ()
    with pytest.raises(PipelineError, match="`contraction` requires flat"):
        load_passes([name for name in PASSES if name != "share"])


def test_a_pass_may_not_name_a_property_that_there_is_not() -> None:
    with pytest.raises(PipelineError, match="`lying` names the property `fast`"):
        check_order([Lying(frozenset({"fast"}))])


# the declarations are true of graphs


@dataclass(frozen=True)
class Lying:
    """It does nothing, whatever it says."""

    establishes: frozenset[str] = frozenset()
    name: ClassVar[str] = "lying"
    requires: ClassVar[frozenset[str]] = frozenset()
    destroys: ClassVar[frozenset[str]] = frozenset()
    algebraic: ClassVar[bool] = True
    moves: ClassVar[bool] = False

    def run(self, graph: Graph) -> Graph:
        return graph


def untrue(graph: Graph, passes: tuple[Pass, ...]) -> set[str]:
    """What the declarations claim of this graph and is not so."""
    found: set[str] = set()
    before = {name for name, broken in PROPERTIES.items() if not broken(graph)}
    for p in passes:
        found |= {f"{p.name} is given no {name}" for name in p.requires - before}
        graph = everywhere(p, graph)
        after = {name for name, broken in PROPERTIES.items() if not broken(graph)}
        found |= {f"{p.name} establishes no {name}" for name in p.establishes - after}
        found |= {f"{p.name} destroys {name}" for name in before - after - p.destroys}
        before = after
    return found


def lost_origins(graph: Graph, passes: tuple[Pass, ...]) -> list[str]:
    """Nodes without origin, and nodes that a pass keeps but not all of their origins."""
    found = [f"{node} has no origin before any pass" for node in all_nodes(graph) if not graph.pool.origins(node)]
    for p in passes:
        known = {node.digest: graph.pool.origins(node) for node in all_nodes(graph)}
        graph = everywhere(p, graph)
        for node in all_nodes(graph):
            now = graph.pool.origins(node)
            if not now or not known.get(node.digest, now) <= now:
                found.append(f"{p.name} loses an origin of {node}")
    return found


def unsettled(graph: Graph, passes: tuple[Pass, ...]) -> list[str]:
    """Passes that change their own result."""
    found: list[str] = []
    for p in passes:
        graph = everywhere(p, graph)
        if everywhere(p, graph).digest() != graph.digest():
            found.append(p.name)
    return found


def check_what_passes_owe(graph: Graph) -> None:
    """The declarations are true, twice is once, no origin is lost, in whole pipelines and after each pass alone on a graph
    that nothing has touched."""
    assert untrue(graph, load_passes()) == set()
    assert lost_origins(graph, load_passes()) == []
    assert unsettled(graph, load_passes()) == []
    for p in dict.fromkeys(load_passes()):
        after = everywhere(p, graph)
        assert everywhere(p, after).digest() == after.digest(), p.name
        assert [name for name in p.establishes if PROPERTIES[name](after)] == [], p.name


def test_what_passes_owe() -> None:
    """On the shipped specs and a few generated ones."""
    for graph in graphs(FEW):
        check_what_passes_owe(graph)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_passes_owe_on_all_generated_specs(chunk: int) -> None:
    """A chunk is a test of its own: all in one come near the time limit of a test on a machine that others use, too."""
    for graph in graphs_of(chunk):
        check_what_passes_owe(graph)


@pytest.mark.slow
def test_destroying_is_declared_where_it_happens() -> None:
    """Every property that a pass says it may destroy it does destroy, somewhere."""
    happened: set[tuple[str, str]] = set()
    for graph in graphs(MANY):
        before = {name for name, broken in PROPERTIES.items() if not broken(graph)}
        for p in load_passes():
            graph = everywhere(p, graph)
            after = {name for name, broken in PROPERTIES.items() if not broken(graph)}
            happened |= {(p.name, name) for name in before - after}
            before = after
    assert happened == {(p.name, name) for p in load_passes() for name in p.destroys}


def leaf(p: Pool, name: str, *axes: str) -> Node:
    return e.param(p, name, axes)


BREAKS: dict[str, Callable[[Pool], Node]] = {
    "constants_folded": lambda p: p.node("add", leaf(p, "a", "i"), e.const(p, 0.0)),
    "stable_forms": lambda p: e.log(p, e.softmax(p, leaf(p, "a", "i"), ["i"])),
    "sums_distributed": lambda p: e.reduce_sum(p, e.add(p, 2.0, leaf(p, "a", "i")), ["i"]),
    "flat": lambda p: e.mul(p, leaf(p, "a", "i"), e.mul(p, leaf(p, "b", "i"), leaf(p, "c", "i"))),
    "pairwise": lambda p: e.contract(p, [leaf(p, "a", "i"), leaf(p, "b", "i"), leaf(p, "c", "i")], ["i"]),
    "no_dead_nodes": lambda p: (e.exp(p, leaf(p, "a", "i")), leaf(p, "b", "i"))[1],
}
FURTHER = [
    ("constants_folded", lambda p: p.node("contract", leaf(p, "a"), e.const(p, 2.0), e.const(p, 3.0), sum=frozenset())),
    ("constants_folded", lambda p: p.node("exp", e.const(p, 2.0))),
    ("constants_folded", lambda p: p.node("recip", p.node("recip", leaf(p, "a")))),
    ("flat", lambda p: p.node("add", leaf(p, "a", "i"), leaf(p, "a", "i"))),
    ("flat", lambda p: e.reduce_sum(p, e.reduce_sum(p, leaf(p, "a", "i", "j"), ["i"]), ["j"])),
    ("pairwise", lambda p: e.contract(p, [leaf(p, "s"), leaf(p, "a", "i")], ["i"])),
]


def test_every_property_can_fail_and_is_established() -> None:
    assert BREAKS.keys() == PROPERTIES.keys()
    assert {name for p in load_passes() for name in p.establishes} == PROPERTIES.keys()
    for name, make in [*BREAKS.items(), *FURTHER]:
        pool = Pool({"i": 3, "j": 2})
        graph = Graph(pool, {"y": make(pool)})
        assert PROPERTIES[name](graph), name
        assert untrue(graph, (Lying(frozenset({name})),)) == {f"lying establishes no {name}"}
        (establishing,) = {p for p in load_passes() if name in p.establishes}
        assert not PROPERTIES[name](establishing.run(graph)), name


def test_a_lost_origin_and_an_unsettled_pass_are_seen() -> None:
    """The checks above can fail."""

    @dataclass(frozen=True)
    class Growing(Lying):
        def run(self, graph: Graph) -> Graph:
            return Graph(graph.pool, {name: e.exp(graph.pool, node) for name, node in graph.roots.items()})

    pool = Pool({"i": 3})
    with pool.origin([Span("case.dlt", 0, 1)]):
        graph = Graph(pool, {"y": leaf(pool, "a", "i")})
    assert unsettled(graph, (Growing(),)) == ["lying"]
    assert lost_origins(graph, (Growing(),)) == ["lying loses an origin of exp(param): real[i]"]


def test_a_rewrite_without_end_is_an_internal_error() -> None:
    pool = Pool({"i": 3})
    graph = Graph(pool, {"y": leaf(pool, "a", "i")})

    def more(graph: Graph) -> Graph:
        return Graph(graph.pool, {"y": e.exp(graph.pool, graph.roots["y"])})

    with pytest.raises(InternalError, match="goes on changing its own result"):
        settled(graph, more, lambda graph: [graph.roots["y"]])


def test_passes_on_nothing() -> None:
    """A graph without roots stays one."""
    assert run_passes(Graph(Pool({}), {}), load_passes()).roots == {}
