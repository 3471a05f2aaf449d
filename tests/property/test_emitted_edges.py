"""Edge semantics of the emitted code: the cases of ``graph/edges.py``, and what the language fixes, through whole specs.

For every row the op is lowered and printed as the planner does it and run by torch: its value, torch's own derivative of
it, and the derived derivative, lowered too.  Values must be equal, not close.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from spec_oracle import Array, Oracle, Setting, assert_close
from tolerances import EMITTED, GRADIENT

import dltc.runtime as rt
from dltc.compiler.derive.gradient import gradient
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.edges import EDGES, Edge
from dltc.compiler.graph.node import Node, Pool
from dltc.compiler.plan.layout import layout
from dltc.compiler.plan.routine import RoutineBuilder
from dltc.compiler.plan.tree import Var
from dltc.compiler.plan.value import Val
from dltc.compiler.render.printer import expression

CASES = [(op, k) for op, edges in EDGES.items() for k in range(len(edges))]


class Self:
    """What emitted code reads of its module."""

    dtype = torch.float64
    device = "cpu"


def _dtype(value: Any) -> str:
    first = value[0] if isinstance(value, tuple) else value
    return {bool: "bool", int: "int", float: "real"}[type(first)]


def _emitted(pool: Pool, targets: list[Node], leaves: dict[Node, torch.Tensor]) -> list[torch.Tensor]:
    """The targets by the text that the planner would print for them, as a routine that trusts no value to be finite."""
    names = {leaf: f"a{k}" for k, leaf in enumerate(leaves)}
    values = {leaf: Val(Var(name), tuple(leaf.attr("axes")), leaf.dtype) for leaf, name in names.items()}
    builder = RoutineBuilder(pool, layout([("i",)]), values, {}, {}, lambda _: ((), ""), targets)
    results = builder.run()
    scope: dict[str, Any] = {"torch": torch, "F": F, "rt": rt, "math": math, "self": Self}
    scope |= {names[leaf]: value for leaf, value in leaves.items()}
    for statement in builder.statements:
        text = expression(statement.value)
        exec(f"{statement.target} = {text}" if statement.target else text, scope)
    return [torch.as_tensor(eval(expression(r.code), scope)) for r in results]


def _same(found: torch.Tensor, expected: Any) -> None:
    array = found.detach().numpy()
    np.testing.assert_array_equal(np.broadcast_to(array, np.shape(expected)) if array.ndim == 0 else array, expected)


@pytest.mark.parametrize(("op", "number"), CASES, ids=[f"{op}-{k}" for op, k in CASES])
def test_edge(op: str, number: int) -> None:
    """Value, autograd of the value, and the derived derivative of one row."""
    edge: Edge = EDGES[op][number]
    pool = Pool({"i": next((len(a) for a in edge.args if isinstance(a, tuple)), 1)})
    leaves: dict[Node, torch.Tensor] = {}
    for k, arg in enumerate(edge.args):
        axes = ("i",) if isinstance(arg, tuple) else ()
        leaf = e.param(pool, f"a{k}", axes, _dtype(arg))
        value = torch.tensor(arg, dtype=torch.float64 if _dtype(arg) == "real" else None)
        leaves[leaf] = value.requires_grad_(_dtype(arg) == "real")
    node = pool.node(op, *leaves, **dict(edge.attrs))
    (value,) = _emitted(pool, [node], leaves)
    _same(value, edge.value)
    if edge.grads is None:
        return
    real = [leaf for leaf in leaves if leaf.dtype == "real"]
    total = value.sum()
    slopes = torch.autograd.grad(total, [leaves[x] for x in real], allow_unused=True) if total.requires_grad else []
    by_torch = dict(zip(real, slopes, strict=False))
    found = gradient(pool, e.real(pool, e.reduce_sum(pool, node, node.axes)), real)
    with torch.no_grad():
        derived = dict(zip(real, _emitted(pool, [found[x] for x in real], leaves), strict=True))
    for leaf, expected in zip(leaves, edge.grads, strict=True):
        if expected is not None:
            slope = by_torch.get(leaf)
            _same(torch.zeros_like(leaves[leaf]) if slope is None else slope, expected)
            _same(derived[leaf], expected)


# ---------------------------------------------------------------- through whole specs

SPEC = """dlt 1
model Edges {{
  axis i = 4
  input x[i]
  param w[i] ~ Flat() init 1
  u[i] = w[i] * x[i]
  v{left} = {value}
  e = sum(where(v > -1e6, v, 0))
  e ~ Gibbs()
}}
"""

ROWS = np.array(
    [[0, 0, 0, 0], [1, 1, -2, 1], [-1, -1, -1, -1], [0, 2, 0, -3], [1, 2, 3, 4], [1, 0, -1, 0]], dtype=float
)
"""Zeros, ties of the largest and of the smallest, nothing positive, limits of clip and shrink."""

VALUES = {  # name -> (left side, expression): the edges that the language names, and compositions of them
    "relu": ("[i]", "relu(u)"),
    "abs": ("[i]", "abs(u)"),
    "sign": ("[i]", "sign(u) * u"),
    "max": ("", "max(u)"),
    "min": ("", "min(u)"),
    "max of two": ("[i]", "max(u, 0)"),
    "min of two": ("[i]", "min(0, u)"),
    "argmax": ("[i]", "w[argmax[i'](u[i'])]"),
    "rank": ("[i]", "rank[i](u) * u"),
    "kmax": ("[i]", "kmax[i](u, k = 2)"),
    "clip": ("[i]", "clip(u, -1, 1)"),
    "shrink": ("[i]", "shrink(u, 1)"),
    "norm": ("", "norm(relu(u))"),
    "entropy": ("", "sum[i](relu(u) * log(relu(u)))"),
    "two entropies in one product": ("", "sum[i](relu(u) * log(relu(u)) * abs(u) * log(abs(u)))"),
    "masked softmax": ("[i]", "softmax[i](where(x > 0, u, -inf))"),
    "masked log_softmax": ("[i]", "log_softmax[i](where(x > 0, u, -inf))"),
    "masked logsumexp": ("", "logsumexp[i](where(x > 0, u, -inf))"),
    "where log": ("[i]", "where(u > 0, log(u), u)"),
    "where sqrt": ("[i]", "where(u > 0, sqrt(u), 0)"),
    "where division": ("[i]", "where(u > 0, 1 / u, 0)"),
    "where power": ("[i]", "where(u > 0, u^0.5, u^2)"),
    "where below": ("", "sum[i](where(x > 0, w * log(x), 0))"),
    "nested where": ("[i]", "where(u > 0, where(u > 1, log(u - 1), 0), where(u < 0, sqrt(-u), 0))"),
    "log of a negative": ("[i]", "where(u < 0, log(u), 0)"),
    "zero to the zero": ("[i]", "u^0"),
    "prod": ("", "prod(u)"),
    "cumsum": ("[i]", "cumsum[i](relu(u))"),
    "floor and remainder": ("[i]", "u // 2 + u % 2"),
}


@pytest.mark.parametrize("optimized", [True, False], ids=["optimized", "not optimized"])
@pytest.mark.parametrize("name", VALUES)
def test_edges_through_specs(name: str, optimized: bool) -> None:
    """Emitted values are the interpreter's, inf and NaN included; the derived gradient is finite and autograd's."""
    left, value = VALUES[name]
    oracle = Oracle(SPEC.format(left=left, value=value), "edges.dlt")
    state: dict[str, Array] = {"w": np.ones(4)}
    for row in ROWS:
        setting = Setting({"x": row[None]}, 7, 0, {})
        module = oracle.module(setting, optimized=optimized)
        values = module(**setting.inputs)
        expected = oracle.interpreted(oracle.artefact.functions, ["value "], setting, state)
        for known in oracle.model.values.values():
            tensor = known.tensor
            wanted = oracle.declared(expected[f"value {tensor.name}"], tensor, setting, batched=tensor.batched)
            assert_close(values[tensor.name].detach().numpy(), wanted, EMITTED, f"{tensor.name} of {row}")
        derived, by_torch = oracle.derived(setting, state)["w"], oracle.autograd(module, setting)["w"]
        if name != "log of a negative":
            assert np.isfinite(derived).all(), f"the derived gradient at {row} is {derived}"
        assert_close(by_torch, derived, GRADIENT, f"gradient at {row}")
