"""The table of ops is complete and consistent."""

from __future__ import annotations

import pytest

from dltc.compiler.graph.edges import EDGES
from dltc.compiler.graph.ops import KINDS, OPS

CURVATURES = {"linear", "exact-elementwise", "mask", "move", "composite", None}
LAWS = {"associative", "idempotent", "involution"}


@pytest.mark.parametrize("name", OPS)
def test_row(name):
    row = OPS[name]
    assert row.name == name
    assert row.kind in KINDS
    assert row.curvature in CURVATURES
    assert row.laws <= LAWS
    assert row.singular in (None, "one", "eye")
    assert not row.commutative or row.arity != 1
    assert (row.arity == 0) == (row.kind == "leaf") or row.kind == "sample"
    assert (row.singular == "eye") <= (row.kind == "linalg")


def test_edges_belong_to_ops():
    assert EDGES.keys() <= OPS.keys()
    for name, edges in EDGES.items():
        for edge in edges:
            assert OPS[name].arity in (len(edge.args), None)
            assert edge.grads is None or len(edge.grads) == len(edge.args)
            assert {key for key, _ in edge.attrs} == set(OPS[name].attrs)


def test_a_tie_depends_on_the_order_of_the_call():
    assert not OPS["minimum"].commutative
    assert not OPS["maximum"].commutative
