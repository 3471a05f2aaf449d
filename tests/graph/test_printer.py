"""The text form."""

from __future__ import annotations

from dltc.compiler.diagnostics import Source, Span
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Graph, Pool
from dltc.compiler.graph.printer import show

TEXT = "dlt 1\nh[hid] = relu(W * x)\n"


def test_graph():
    pool = Pool({"hid": 4, "pix": 3})
    with pool.origin([Span("m.dlt", 6, 29)]):
        w, x = e.param(pool, "W", ("hid", "pix")), e.input(pool, "x", ("pix",))
        h = e.relu(pool, e.contract(pool, [w, x], "pix"))
    graph = Graph(pool, {"value h": h, "total": e.reduce_sum(pool, h, {"hid", "batch"})})
    assert show(graph, {"m.dlt": Source("m.dlt", TEXT)}) == (
        "%0 = param() axes=(hid, pix) path=W : real[hid, pix]   # m.dlt:2\n"
        "%1 = input() axes=(pix) dtype=real name=x : real[batch, pix]   # m.dlt:2\n"
        "%2 = contract(%0, %1) sum[pix] : real[batch, hid]   # m.dlt:2\n"
        "%3 = relu(%2) : real[batch, hid]   # m.dlt:2\n"
        "%4 = contract(%3) sum[batch, hid] : real[]\n"
        "value h = %3\n"
        "total = %4\n"
    )
    assert "#" not in show(graph)


def test_body_of_a_scan():
    pool = Pool({"t": 3})
    body = {"f": e.add(pool, e.hole(pool, "a", ()), 1.0)}
    (f,) = e.scan(pool, [e.const(pool, 0.0)], body, [("past", "a", 0, 1, 0)], "t")
    assert show(Graph(pool, {"f": f})) == (
        "%0 = const() value=0.0 : real[]\n"
        "%1 = scan(%0) axis=t bind=((past, a, 0, 1, 0)) reverse=False : real[t]\n"
        "    %0 = hole() axes=() dtype=real name=a : real[]\n"
        "    %1 = const() value=1.0 : real[]\n"
        "    %2 = add(%0, %1) : real[]\n"
        "    f = %2\n"
        "%2 = result(%1) k=0 : real[t]\n"
        "f = %2\n"
    )


def test_long_tables_are_cut():
    pool = Pool({"i": 100})
    text = show(Graph(pool, {"y": e.table(pool, ("i",), tuple(range(100)), (100,), "int")}))
    assert "values=(0, 1, 2, 3, 4, 5, 6, 7, ... 100 in all)" in text
