"""The gradient function itself: paths, constants, origins, the shape of what it builds, and torch as a second oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dltc.compiler.derive.gradient import GRADIENTS, gradient
from dltc.compiler.derive.vjp import NoGradientError, Refused
from dltc.compiler.diagnostics import InternalError, Span
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.interpret import MEANINGS, Env, interpret
from dltc.compiler.graph.node import Graph, Pool
from dltc.compiler.graph.ops import OPS


@pytest.fixture
def pool() -> Pool:
    return Pool({"hid": 5, "pix": 4, "cls": 3})


def test_every_op_has_a_rule_or_a_reason():
    assert GRADIENTS.keys() == OPS.keys()
    assert all(getattr(entry, "reason", "said") for entry in GRADIENTS.values())


def test_every_op_has_a_meaning():
    assert MEANINGS.keys() | {"scan", "result"} == OPS.keys()


def _classifier(pool: Pool):
    x, y = e.input(pool, "x", ("pix",)), e.input(pool, "y", (), "int")
    w, v = e.param(pool, "W", ("hid", "pix")), e.param(pool, "V", ("cls", "hid"))
    b = e.param(pool, "b", ("hid",))
    h = e.relu(pool, e.add(pool, e.contract(pool, [w, x], "pix"), b))
    s = e.contract(pool, [v, h], "hid")
    loss = e.neg(pool, e.mean(pool, e.gather(pool, e.log_softmax(pool, s, "cls"), y, "cls"), "batch"))
    return {"W": w, "V": v, "b": b}, h, s, loss


def test_classifier_agrees_with_torch(pool):
    leaves, _, _, loss = _classifier(pool)
    rng = np.random.default_rng(0)
    shapes = {"W": (5, 4), "V": (3, 5), "b": (5,)}
    params = {k: rng.normal(size=s) for k, s in shapes.items()}
    inputs = {"x": rng.normal(size=(7, 4)), "y": rng.integers(0, 3, 7)}
    found = gradient(pool, loss, list(leaves.values()))
    out = interpret(Graph(pool, {k: found[v] for k, v in leaves.items()}), Env(params=params, inputs=inputs))
    t = {k: torch.tensor(v, requires_grad=True) for k, v in params.items()}
    hidden = torch.relu(torch.tensor(inputs["x"]) @ t["W"].T + t["b"])
    torch.nn.functional.cross_entropy(hidden @ t["V"].T, torch.tensor(inputs["y"])).backward()
    for k, leaf in leaves.items():
        np.testing.assert_allclose(out[k].to(leaf.attr("axes")), t[k].grad.numpy(), rtol=1e-12, atol=1e-15)


def test_classifier_backward_is_small(pool):
    """softmax - one_hot costs exp, a product, a scatter and a sum; the mean's 1/n stays a scalar."""
    *_, s, loss = _classifier(pool)
    before = set(Graph(pool, {"": loss}).topological())
    found = gradient(pool, loss, [s])
    made = [n for n in Graph(pool, {"": found[s]}).topological() if n not in before]
    assert sorted(n.op for n in made if n.axes) == ["add", "contract", "exp", "scatter"]
    assert not [n for n in made if n.op == "scatter" and n.inputs[0].axes]
    assert found[s].axes == {"batch", "cls"}


def test_interior_nodes_and_holding(pool):
    leaves, h, _, loss = _classifier(pool)
    both = gradient(pool, loss, [h, leaves["W"]])
    assert both[h].axes == {"batch", "hid"}
    assert both[leaves["W"]] is gradient(pool, loss, [leaves["W"]])[leaves["W"]]
    held = gradient(pool, loss, [h, leaves["W"], leaves["V"]], holding=[h])
    assert held[h] is both[h]
    assert held[leaves["W"]] is e.zeros(pool)
    assert held[leaves["V"]] is not e.zeros(pool)


def test_a_missing_path_is_zero(pool):
    w, other = e.param(pool, "W", ("pix",)), e.param(pool, "other", ("hid",))
    flat = e.reduce_sum(pool, e.mul(pool, w, e.sign(pool, other), e.stop(pool, other)), {"pix", "hid"})
    found = gradient(pool, flat, [w, other])
    assert found[other] is e.zeros(pool)
    assert found[w] is not e.zeros(pool)


def test_the_objective_itself(pool):
    w = e.param(pool, "w", ())
    assert gradient(pool, w, [w])[w] is e.const(pool, 1.0)


def test_equal_contributions_are_counted(pool):
    w = e.param(pool, "w", ())
    found = gradient(pool, e.mul(pool, w, w), [w])[w]
    assert found is e.mul(pool, 2.0, w)


def test_gradients_may_lack_axes(pool):
    w = e.param(pool, "W", ("hid", "pix"))
    found = gradient(pool, e.mean(pool, w, {"hid", "pix"}), [w])[w]
    assert found is e.const(pool, 1 / 20)


def test_refusals_name_op_and_reason(pool):
    w = e.param(pool, "w", ())
    with pytest.raises(NoGradientError, match="no gradient through `trigamma`: polygamma") as caught:
        gradient(pool, e.trigamma(pool, w), [w])
    assert caught.value.node.op == "trigamma"
    refused = {op for op, entry in GRADIENTS.items() if isinstance(entry, Refused)}
    assert refused == {"trigamma", "eigvecs", "matpow_vjp", "polar_vjp", "scan", "result", "gamma", "extern_vjp"}


def test_a_scan_is_gone_through_only_where_the_path_leads(pool):
    w, start = e.param(pool, "w", ()), e.const(pool, 0.0)
    holes = [e.hole(pool, "before", ()), e.hole(pool, "w", ())]
    body = {"0": e.add(pool, *holes)}
    bind = [("past", "before", 0, 1, 0), ("const", "w", 1)]
    (y,) = e.scan(pool, [start, w], body, bind, "pix")
    total = e.reduce_sum(pool, y, "pix")
    other = e.param(pool, "other", ())
    assert gradient(pool, e.mul(pool, total, other), [other])[other] is total


def test_only_real_scalars(pool):
    w = e.param(pool, "W", ("pix",))
    with pytest.raises(InternalError, match="real scalar"):
        gradient(pool, w, [w])
    with pytest.raises(InternalError, match="real scalar"):
        gradient(pool, e.size(pool, "batch"), [w])


def test_every_gradient_node_has_an_origin(pool):
    spans = [Span("m.dlt", k, k + 1) for k in range(3)]
    with pool.origin(spans[:1]):
        w = e.param(pool, "W", ("hid", "pix"))
    with pool.origin(spans[1:2]):
        h = e.tanh(pool, e.reduce_sum(pool, w, "pix"))
    with pool.origin(spans[2:]):
        loss = e.mean(pool, e.mul(pool, h, h), "hid")
    found = gradient(pool, loss, [w])
    for node in Graph(pool, {"": found[w]}).topological():
        assert pool.origins(node), node.op


def test_the_place_that_asks_is_the_origin_of_last_resort(pool):
    w = e.param(pool, "w", ())
    with pool.origin([Span("m.dlt", 0, 1)]):
        found = gradient(pool, e.sin(pool, w), [w])[w]
    assert pool.origins(found)


def test_second_derivatives(pool):
    w = e.param(pool, "w", ())
    y = e.mul(pool, e.sin(pool, w), e.exp(pool, w))
    first = gradient(pool, y, [w])[w]
    second = gradient(pool, first, [w])[w]
    out = interpret(Graph(pool, {"second": second}), Env(params={"w": 0.7}))
    np.testing.assert_allclose(out["second"].data, 2 * np.cos(0.7) * np.exp(0.7), rtol=1e-13)


_TORCH = {
    "exp": torch.exp, "log": torch.log, "log1p": torch.log1p, "expm1": torch.expm1, "sqrt": torch.sqrt,
    "abs_": torch.abs, "relu": torch.relu, "gelu": torch.nn.functional.gelu, "sigmoid": torch.sigmoid,
    "tanh": torch.tanh, "softplus": torch.nn.functional.softplus, "sin": torch.sin, "cos": torch.cos,
    "erf": torch.erf, "lgamma": torch.lgamma, "digamma": torch.digamma, "recip": torch.reciprocal,
    "sign": torch.sign,
}  # fmt: skip


@pytest.mark.parametrize("name", _TORCH)
def test_elementwise_agrees_with_torch(pool, name):
    tolerance = 1e-8 if name == "digamma" else 1e-12  # torch.polygamma is good to about 1e-9
    data = np.array([0.2, 0.7, 1.3, 2.6])
    w = e.param(pool, "w", ("pix",))
    node = getattr(e, name)(pool, w)
    slope = gradient(pool, e.reduce_sum(pool, node, "pix"), [w])[w]
    out = interpret(Graph(pool, {"y": node, "g": slope}), Env(params={"w": data}))
    t = torch.tensor(data, requires_grad=True)
    value = _TORCH[name](t)
    value.sum().backward()
    np.testing.assert_allclose(out["y"].data, value.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(np.broadcast_to(out["g"].data, 4), t.grad.numpy(), rtol=tolerance, atol=1e-14)


_OVER = {
    "logsumexp": lambda t: torch.logsumexp(t, 1),
    "softmax": lambda t: torch.softmax(t, 1),
    "log_softmax": lambda t: torch.log_softmax(t, 1),
    "prod": lambda t: torch.prod(t, 1),
    "max": lambda t: torch.max(t, 1).values,
    "min": lambda t: torch.min(t, 1).values,
    "cumsum": lambda t: torch.cumsum(t, 1),
    "norm": lambda t: torch.linalg.vector_norm(t, dim=1),
    "var": lambda t: torch.var(t, 1, correction=0),
    "mean": lambda t: torch.mean(t, 1),
    "normalize": lambda t: t / t.sum(1, keepdim=True),
}


@pytest.mark.parametrize("name", _OVER)
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_over_axes_agrees_with_torch(pool, name, zeros):
    data = np.random.default_rng(3).normal(size=(5, 4))
    data[:, :zeros] = 0 if name == "prod" else data[:, :zeros]
    w, r = e.param(pool, "w", ("hid", "pix")), np.random.default_rng(4).normal(size=(5, 4))
    node = getattr(e, name)(pool, w, "pix")
    weight = e.param(pool, "r", [a for a in ("hid", "pix") if a in node.axes])
    slope = gradient(pool, e.contract(pool, [node, weight], node.axes), [w])[w]
    r = r if "pix" in node.axes else r[:, 0]
    out = interpret(Graph(pool, {"y": node, "g": slope}), Env(params={"w": data, "r": r}))
    t = torch.tensor(data, requires_grad=True)
    value = _OVER[name](t)
    (value * torch.tensor(r)).sum().backward()
    np.testing.assert_allclose(out["y"].data, value.detach().numpy(), rtol=1e-11, atol=1e-14)
    found = np.broadcast_to(out["g"].to(("hid", "pix")), (5, 4))
    np.testing.assert_allclose(found, t.grad.numpy(), rtol=1e-10, atol=1e-12)
