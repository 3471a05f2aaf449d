"""Every operation of the language, written in a spec: values and gradients of the emitted step beside torch's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tolerances import EMITTED, GRADIENT
from torch import Tensor

import dltc
from dltc.compiler.frontend.operations import MIN_MAX, OPERATIONS

SPEC = """dlt 1
rule Slope() on real {{ state g = 0; g <- grad }}
model M {{
  axis i = 4, j = 5
  input x
  param A[i, i'] ~ Flat() init 0
  param u[i, j] ~ Flat() init 0
  param v[i, j] ~ Flat() init 0
  y{left} = {text}
  loss = mean[batch](x) * sum(y * (y + 0.5))
  loss ~ Gibbs()
  learn {{ A, u, v : Slope() }}
}}
"""

ROWS: dict[str, tuple[str, str, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "add": ("[i, j]", "u + v", lambda a, u, v: u + v),
    "sub": ("[i, j]", "u - v", lambda a, u, v: u - v),
    "mul": ("[i, j]", "u * v", lambda a, u, v: u * v),
    "div": ("[i, j]", "u / (v + 3)", lambda a, u, v: u / (v + 3)),
    "pow": ("[i, j]", "(abs(u) + 0.5)^v", lambda a, u, v: (u.abs() + 0.5) ** v),
    "square": ("[i, j]", "u^2 - v^3", lambda a, u, v: u**2 - v**3),
    "floordiv": ("[i, j]", "u * ((4*v) // 3)", lambda a, u, v: u * torch.floor(4 * v / 3)),
    "mod": ("[i, j]", "u % 0.7", lambda a, u, v: torch.remainder(u, 0.7)),
    "compare": ("[i, j]", "u * (-1 < v <= 0.5) + (u > v)", lambda a, u, v: u * ((v > -1) & (v <= 0.5)) + (u > v)),
    "exp": ("[i, j]", "exp(u)", lambda a, u, v: u.exp()),
    "log": ("[i, j]", "log(abs(u))", lambda a, u, v: u.abs().log()),
    "sqrt": ("[i, j]", "sqrt(abs(u))", lambda a, u, v: u.abs().sqrt()),
    "abs": ("[i, j]", "abs(u)", lambda a, u, v: u.abs()),
    "sign": ("[i, j]", "sign(u) * v", lambda a, u, v: u.sign() * v),
    "relu": ("[i, j]", "relu(u)", lambda a, u, v: F.relu(u)),
    "gelu": ("[i, j]", "gelu(u)", lambda a, u, v: F.gelu(u)),
    "sigmoid": ("[i, j]", "sigmoid(u)", lambda a, u, v: u.sigmoid()),
    "tanh": ("[i, j]", "tanh(u)", lambda a, u, v: u.tanh()),
    "softplus": ("[i, j]", "softplus(u)", lambda a, u, v: F.softplus(u)),
    "sin": ("[i, j]", "sin(u)", lambda a, u, v: u.sin()),
    "cos": ("[i, j]", "cos(u)", lambda a, u, v: u.cos()),
    "erf": ("[i, j]", "erf(u)", lambda a, u, v: u.erf()),
    "shrink": ("[i, j]", "shrink(u, 0.3)", lambda a, u, v: F.softshrink(u, 0.3)),
    "clip": ("[i, j]", "clip(u, -0.5, 0.8)", lambda a, u, v: u.clamp(-0.5, 0.8)),
    "where": ("[i, j]", "where(u > v, u^2, v)", lambda a, u, v: torch.where(u > v, u**2, v)),
    "stop": ("[i, j]", "u * stop(v)", lambda a, u, v: u * v.detach()),
    "dropout": ("[i, j]", "dropout(u, 0)", lambda a, u, v: u),
    "min/2": ("[i, j]", "min(u, v)", lambda a, u, v: torch.minimum(u, v)),
    "max/2": ("[i, j]", "max(u, v)", lambda a, u, v: torch.maximum(u, v)),
    "min/1": ("[i]", "min[j](u)", lambda a, u, v: u.amin(1)),
    "max/1": ("", "max(u)", lambda a, u, v: u.max()),
    "sum": ("[j]", "sum[i](u)", lambda a, u, v: u.sum(0)),
    "mean": ("", "mean(u)", lambda a, u, v: u.mean()),
    "prod": ("[i]", "prod[j](u)", lambda a, u, v: u.prod(1)),
    "var": ("[i]", "var[j](u)", lambda a, u, v: u.var(1, unbiased=False)),
    "norm": ("[j]", "norm[i](u)", lambda a, u, v: u.norm(dim=0)),
    "logsumexp": ("[i]", "logsumexp[j](u)", lambda a, u, v: u.logsumexp(1)),
    "softmax": ("[i, j]", "softmax[i, j](u)", lambda a, u, v: u.flatten().softmax(0).reshape(4, 5)),
    "log_softmax": ("[i, j]", "log_softmax[j](u)", lambda a, u, v: u.log_softmax(1)),
    "argmax": ("[i]", "v[i, argmax[j](u[i, j])]", lambda a, u, v: v.gather(1, u.argmax(1, keepdim=True))[:, 0]),
    "rank": ("[i, j]", "u * rank[j](v)", lambda a, u, v: u * (-v).argsort(1).argsort(1)),
    "cumsum": ("[i, j]", "cumsum[j](u)", lambda a, u, v: u.cumsum(1)),
    "normalize": ("[i, j]", "normalize[j](abs(u))", lambda a, u, v: u.abs() / u.abs().sum(1, keepdim=True)),
    "kmax": ("[i, j]", "kmax[j](u, k = 2)", lambda a, u, v: torch.where(u >= u.topk(2, 1).values[:, 1:], u, 0)),
    "matpow": ("[i, i']", "matpow[i, i'](A, 3)", lambda a, u, v: a @ a @ a),
    "logdet": ("", "logdet[i, i'](A)", lambda a, u, v: a.slogdet().logabsdet),
    "eigvals": ("[i]", "eigvals[i, i'](A + 3 * A[i', i])", lambda a, u, v: torch.linalg.eigvalsh((a + a.T) * 2)),
    "polar": ("[i, j]", "polar[i, j](u)", lambda a, u, v: _polar(u)),
}


def _polar(u: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(u, full_matrices=False)
    return left @ right


@pytest.mark.parametrize("name", ROWS)
def test_value_and_gradient(name: str) -> None:
    left, text, reference = ROWS[name]
    rng = np.random.default_rng(11)
    tensors = {
        "A": torch.as_tensor(rng.normal(size=(4, 4)) + 3 * np.eye(4)),
        "u": torch.as_tensor(rng.normal(size=(4, 5))),
        "v": torch.as_tensor(rng.normal(size=(4, 5))),
    }
    model = dltc.compile(text=SPEC.format(left=left, text=text)).load(dtype=torch.float64, examples=1)
    with torch.no_grad():
        for path, value in tensors.items():
            model.state(path).copy_(value)
    leaves = [t.requires_grad_() for t in tensors.values()]
    y = reference(*leaves)
    x = torch.ones(2, dtype=torch.float64)
    np.testing.assert_allclose(model(x=x)["y"].detach(), y.detach(), rtol=EMITTED, atol=EMITTED)
    wanted = torch.autograd.grad((y * (y + 0.5)).sum(), leaves, allow_unused=True)
    model.step(x=x)
    for path, grad in zip(tensors, wanted, strict=True):
        expected = np.zeros(tuple(tensors[path].shape)) if grad is None else grad.numpy()
        np.testing.assert_allclose(model.state(f"{path}@g"), expected, rtol=GRADIENT, atol=GRADIENT, err_msg=path)


def test_no_operation_is_missing() -> None:
    assert {*OPERATIONS, *(f"{name}/{k}" for name, rows in MIN_MAX.items() for k in rows)} <= ROWS.keys()


@pytest.mark.parametrize("text", ["abs(b)", "sign(b)", "relu(b)", "b^2", "max(b, 0)", "clip(b, 0, 1)", "stop(b) + 0"])
def test_truth_values_are_numbers(text: str) -> None:
    spec = f"dlt 1\nmodel M {{\n  axis i = 3\n  input b[i]: bool\n  y[i] = {text}\n}}\n"
    found = dltc.compile(text=spec).load()(b=np.array([[True, False, True]]))["y"]
    assert found.dtype != torch.bool and found.tolist() == [[1, 0, 1]]
