"""Interning, origins, digests and the public view."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dltc.compiler.diagnostics import InternalError, Span
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Graph, Node, Pool

PROGRAM = """
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Graph, Pool
from dltc.compiler.graph.printer import show
from dltc.compiler.derive.gradient import gradient
p = Pool({"hid": 4, "pix": 3, "cls": 5})
w, v = e.param(p, "W", ("hid", "pix")), e.param(p, "V", ("cls", "hid"))
x, y = e.input(p, "x", ("pix",)), e.input(p, "y", (), "int")
h = e.kmax(p, e.contract(p, [w, x], {"pix"}), ("hid",), 2)
s = e.add(p, e.contract(p, [v, h], {"hid"}), e.max(p, v, {"cls", "hid"}), e.norm(p, w, {"hid", "pix"}))
loss = e.neg(p, e.mean(p, e.gather(p, e.log_softmax(p, s, {"cls"}), y, "cls"), {"batch"}))
g = gradient(p, loss, [w, v])
graph = Graph(p, {"loss": loss, "grad W": g[w], "grad V": g[v]})
print(graph.digest().hex())
print(show(graph))
"""


@pytest.fixture
def pool() -> Pool:
    return Pool({"hid": 4, "pix": 3, "t": "t"})


def test_equal_expressions_are_one_node(pool):
    w, x = e.param(pool, "W", ("hid", "pix")), e.input(pool, "x", ("pix",))
    assert e.tanh(pool, e.contract(pool, [w, x], "pix")) is e.tanh(pool, e.contract(pool, [w, x], {"pix"}))
    assert e.param(pool, "W", ("hid", "pix")) is w
    assert e.param(pool, "V", ("hid", "pix")) is not w


def test_constants_of_other_types_are_distinct(pool):
    assert len({e.const(pool, 1), e.const(pool, 1.0), e.const(pool, True)}) == 3
    assert e.const(pool, 0.0) is e.const(pool, -0.0)
    assert [e.const(pool, v).dtype for v in (1, 1.0, True)] == ["int", "real", "bool"]


@pytest.mark.parametrize("value", [float("nan"), "1", None])
def test_no_such_constant(pool, value):
    with pytest.raises(InternalError):
        pool.node("const", value=value)


def test_order_of_operands(pool):
    a, b, c = (e.param(pool, n, ("pix",)) for n in "abc")
    assert e.mul(pool, a, b, c) is e.mul(pool, c, a, b)
    assert e.add(pool, a, 0.3, b, 0.1, 0.2) is e.add(pool, 0.1, b, 0.2, a, 0.3)
    assert e.eq(pool, a, b) is e.eq(pool, b, a)
    assert e.minimum(pool, a, b) is not e.minimum(pool, b, a)  # the order decides where a tie's gradient goes


def test_unknown_ops_and_operands_are_internal_errors(pool):
    x = e.param(pool, "x", ("pix",))
    for bad in (
        lambda: pool.node("nonsense", x),
        lambda: pool.node("exp", x, x),
        lambda: pool.node("exp", x, speed=3),
        lambda: pool.node("contract", x),
        lambda: pool.node("max", x, axes=frozenset({"hid"})),
        lambda: pool.node("max", x, axes=frozenset()),
        lambda: pool.node("where", x, x, x),
        lambda: pool.node("gather", x, x, axis="pix"),
        lambda: pool.node("rename", x, map=(("pix", "hid"),)),
        lambda: e.param(pool, "x", ("nowhere",)),
        lambda: e.param(pool, "x", ("pix", "pix")),
        lambda: pool.node("logdet", x, rows="pix", cols="pix'"),
        lambda: x.attr("speed"),
    ):
        with pytest.raises(InternalError):
            bad()


def test_a_rename_may_not_merge_indices(pool):
    x = e.param(pool, "x", ("pix", "pix'"))
    with pytest.raises(InternalError, match="merge"):
        e.rename(pool, x, {"pix": "pix'"})
    assert e.rename(pool, x, {"pix": "pix'", "pix'": "pix"}).axes == x.axes


def test_digests_and_text_do_not_depend_on_the_process():
    texts = []
    for seed in ("0", "1", "4242"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=env)
        texts.append(run.stdout)
    assert texts[0] == texts[1] == texts[2]
    assert "log_softmax" in texts[0]


def test_the_graph_is_built_without_numpy():
    code = (
        "import sys\n" + PROGRAM + "\nassert not {'numpy', 'torch', 'networkx'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def _add_up(pool: Pool) -> Graph:
    spans = [Span("m.dlt", k, k + 1) for k in range(3)]
    with pool.origin(spans[:1]):
        x = e.param(pool, "x", ("pix",))
    with pool.origin(spans[1:2]):
        y = e.exp(pool, x)
    with pool.origin(spans[2:]):
        z = e.add(pool, e.log(pool, y), x)
    return Graph(pool, {"z": z})


def test_rewrites_keep_origins(pool):
    graph = _add_up(pool)

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op == "log" and inputs[0].op == "exp":
            return inputs[0].inputs[0]
        if node.op == "add":
            return e.mul(pool, 2.0, inputs[0]) if inputs[0] is inputs[1] else e.add(pool, *inputs)
        return graph.rebuild(node, inputs)

    new = graph.rewrite(visit)
    assert new.roots["z"] is e.mul(pool, 2.0, e.param(pool, "x", ("pix",)))
    for node in new.topological():
        assert pool.origins(node)
    assert pool.origins(new.roots["z"]) >= pool.origins(graph.roots["z"])


def test_an_equal_expression_elsewhere_adds_its_origin(pool):
    graph = _add_up(pool)
    y = e.exp(pool, e.param(pool, "x", ("pix",)))
    with pool.origin([Span("m.dlt", 7, 9)]):
        assert e.exp(pool, e.param(pool, "x", ("pix",))) is y
    assert Span("m.dlt", 7, 9) in pool.origins(y)
    assert y in graph.topological()


def test_to_networkx(pool):
    view = _add_up(pool).to_networkx()
    assert sorted(view.nodes[k]["op"] for k in view) == ["add", "exp", "log", "param"]
    assert view.number_of_edges() == 4
    assert view.graph["roots"]["z"] == 3
    assert all(view.nodes[k]["origins"] for k in view)
    assert {d["position"] for *_, d in view.in_edges(3, data=True)} == {0, 1}


def test_topological_order_puts_inputs_first(pool):
    order = _add_up(pool).topological()
    place = {n: k for k, n in enumerate(order)}
    assert all(place[x] < place[n] for n in order for x in n.inputs)
