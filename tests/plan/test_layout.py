"""Memory order of axes, and product axes made whole."""

from __future__ import annotations

from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Graph, Pool
from dltc.compiler.plan.axes import fusion
from dltc.compiler.plan.layout import layout


def test_batch_comes_first_and_declarations_decide() -> None:
    order = layout([("hid", "pix"), ("cls", "hid")])
    assert order.order({"pix", "batch", "cls", "hid"}) == ("batch", "cls", "hid", "pix")


def test_contradictions_go_to_the_earlier_declaration() -> None:
    order = layout([("a", "b"), ("b", "a")])
    assert order.order({"a", "b"}) == ("a", "b")


def test_unknown_indices_come_last_by_name() -> None:
    order = layout([("a",)])
    assert order.order({"z", "y", "a"}) == ("a", "y", "z")


def product_graph(apart: bool) -> Graph:
    """x[row, col] * W[hid, row, col]; ``apart`` adds a sum over rows alone."""
    pool = Pool({"row": 2, "col": 3, "hid": 4})
    x = e.input(pool, "x", ("row", "col"))
    w = e.param(pool, "W", ("hid", "row", "col"))
    roots = {"h": e.contract(pool, [x, w], ["row", "col"])}
    if apart:
        roots["r"] = e.reduce_sum(pool, x, ["row"])
    return Graph(pool, roots)


def test_a_product_nobody_takes_apart_is_one_axis() -> None:
    whole = fusion({"pix": ("row", "col")}, [product_graph(apart=False)])
    graph = whole.graph(product_graph(apart=False))
    assert whole.leaves(("hid", "row", "col")) == ("hid", "pix")
    assert whole.leaves(("row'", "col'")) == ("pix'",)
    assert graph.pool.size("pix") == 6
    assert {a for n in graph.topological() for a in n.axes} == {"batch", "hid", "pix"}


def test_a_product_that_is_taken_apart_stays_in_parts() -> None:
    assert fusion({"pix": ("row", "col")}, [product_graph(apart=True)]).products == {}
    assert fusion({"pix": ("col", "row")}, [product_graph(apart=False)]).products == {}
