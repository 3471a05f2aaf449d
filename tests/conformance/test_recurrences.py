"""Recurrences (language, 4.6): every kind, against the interpreter, autograd and torch's own recurrent layers."""

from __future__ import annotations

import sys
import zlib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import EMITTED

import dltc

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "property"), str(ROOT / "tests")]
check, oracles = import_module("spec_check"), import_module("spec_oracle")

HEAD = """dlt 1
model M {{
  axis t{size}, pix = 3, hid = 4, cls = 2, depth = 5, layer = 2
  input x[t, pix]
  input y: cls
  param A[hid, hid'] ~ Normal(0, var = 1/hid)
  param B[hid, pix] ~ Normal(0, var = 1/pix)
  param V[cls, hid] ~ Normal(0, var = 1/hid)
  param b[hid] ~ Normal(0, var = 1)
  {body}
  y ~ Categorical(logits = s)
  learn {{ * : Adam(lr = 0.1) }}
}}
"""
WORDS = "h[t, hid] = tanh(A[hid, hid'] * h[t-1, hid'] + B[hid, pix] * x[t, pix])"
BODIES = {
    "a layer": f"{WORDS}   start 0\n  s[cls] = V[cls, hid] * h[last, hid]",
    "a start with parameters": f"{WORDS}   start b\n  s[cls] = V[cls, hid] * h[last, hid]",
    "a start per example": f"{WORDS}   start B[hid, pix] * x[last, pix]\n  s[cls] = V[cls, hid] * h[last, hid]",
    "backward": "h[t, hid] = tanh(A[hid, hid'] * h[t+1, hid'] + B[hid, pix] * x[t, pix])   start 0.5\n"
    "  s[cls] = V[cls, hid] * h[first, hid]",
    "two labels back": "h[t, hid] = tanh(A[hid, hid'] * h[t-1, hid'] - 0.3 * h[t-2, hid] + B * x)   start b\n"
    "  s[cls] = V[cls, hid] * h[last, hid]",
    "three labels back only": "h[t, hid] = tanh(A[hid, hid'] * h[t-3, hid'] + B * x)   start b\n"
    "  s[cls] = V[cls, hid] * mean[t](h[t, hid])",
    "gates": """z[t, hid] = sigmoid(B[hid, pix] * x[t, pix] + A[hid, hid'] * h[t-1, hid'])
  c[t, hid] = z[t, hid] * c[t-1, hid] + (1 - z[t, hid]) * tanh(B[hid, pix] * x[t, pix])   start 0
  h[t, hid] = tanh(c[t, hid]) * sin(A[hid, hid'] * c[t-1, hid'])   start b
  s[cls] = V[cls, hid] * h[last, hid]""",
    "softmax in the loop": "h[t, hid] = softmax[hid](A[hid, hid'] * h[t-1, hid'] + B * x)   start 1 / size(hid)\n"
    "  s[cls] = V[cls, hid] * h[last, hid]",
    "a matrix as the state": """F[t, hid, pix] = 0.9 * F[t-1, hid, pix] + tanh(B[hid, pix'] * x[t, pix']) * x[t, pix]   start 0
  r[t, hid] = F[t, hid, pix] * x[t, pix]
  s[cls] = V[cls, hid] * r[last, hid]""",
    "depth with shared weights": """u[hid] = B[hid, pix] * x[last, pix]
  z[depth, hid] = relu(A[hid, hid'] * z[depth-1, hid'] + b)   start u
  s[cls] = V[cls, hid] * z[last, hid]""",
    "depth with own weights": """param W[depth, hid, hid'] ~ Normal(0, var = 1/hid)
  z[depth, hid] = relu(W[depth, hid, hid'] * z[depth-1, hid'] + b)   start B * x[last]
  s[cls] = V[cls, hid] * z[last, hid]""",
    "nothing of the example in the loop": """w[depth, hid] = tanh(A[hid, hid'] * w[depth-1, hid'])   start b
  s[cls] = V[cls, hid] * w[last, hid] * sum[t, pix](x)""",
    "the label in the loop": "h[t, hid] = 0.5 * h[t-1, hid] + sin(t + b) + B * x   start 0\n"
    "  s[cls] = V[cls, hid] * h[last, hid]",
    "a tree": """k[depth] = tanh(b[first] * k[(depth-1)//2] + x[first, first] + 0.1 * depth)   start 0.3
  g[depth, hid] = sin(A[hid, hid'] * g[(depth-1)//2, hid'] + g[(depth-1)//3, hid] * k[depth] + b)   start B * x[last]
  s[cls] = V[cls, hid] * g[last, hid] + mean[depth](g[depth, first])""",
    "depth over time": """z[layer, t, hid] = relu(A[hid, hid'] * z[layer-1, t, hid'] + r[layer, t, hid])   start B[hid, pix] * x[t, pix]
  r[layer, t, hid] = tanh(0.5 * r[layer, t-1, hid] + z[layer-1, t, hid] * b)   start 0.1
  s[cls] = V[cls, hid] * z[last, last, hid]""",
    "whole numbers": """k[t] = k[t-1] + (x[t, first] > 0)   start 0
  s[cls] = V[cls, hid] * tanh(b * k[last]) * sin(A[hid, hid'] * B[hid', pix] * x[first, pix])""",
}


def setting_of(oracle, key: str):
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    inputs = {}
    for name, item in oracle.model.inputs.items():
        shape = (6, *(oracle._extent(d, {"t": 7}) for d in item.tensor.declared))
        kind = {"int": "count"}.get(item.kind, item.kind)
        labels = oracle.model.axes[item.tensor.label].size if item.tensor.label else 7
        inputs[name] = oracles.column(kind, shape, labels, rng)
    return oracles.Setting(inputs, 100, 3, {"t": 7})


@pytest.mark.parametrize("size", ["", " = 7"])
@pytest.mark.parametrize("kind", BODIES)
def test_every_oracle_agrees(kind: str, size: str) -> None:
    """Values, densities, initial values, gradients and steps."""
    oracle = oracles.Oracle(HEAD.format(size=size, body=BODIES[kind]))
    check.check_all(oracle, setting_of(oracle, kind))


@pytest.mark.parametrize(
    "kind",
    ["a layer", "backward", "two labels back", "gates", "whole numbers", "a start per example", "depth over time"],
)
def test_axes_that_end(kind: str) -> None:
    """A ragged axis: each example alone gives the same, backward recurrences start after its own last label."""
    text = HEAD.format(size="", body=BODIES[kind]).replace(
        "  learn", '  data from npz("d.npz") { x = c0; y = c1; t = ends }\n  learn'
    )
    oracle = oracles.Oracle(text)
    assert oracle.model.ragged()
    check.check_all(oracle, setting_of(oracle, kind))


def test_torch_rnn() -> None:
    """`nn.RNN` with copied weights: outputs and gradients."""
    text = HEAD.format(size="", body=BODIES["a layer"])
    model = dltc.compile(text=text).load(seed=1, dtype=torch.float64, examples=10)
    cell = torch.nn.RNN(3, 4, batch_first=True, bias=False, dtype=torch.float64)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        cell.weight_hh_l0.copy_(weights["A"])
        cell.weight_ih_l0.copy_(weights["B"])
    x = torch.randn(5, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = model(x=x)["s"], cell(x)[0][:, -1] @ weights["V"].T
    torch.testing.assert_close(ours, theirs, atol=EMITTED, rtol=0)
    (ours**2).sum().backward()
    mine = weights["A"].grad.clone(), weights["B"].grad.clone()
    (theirs**2).sum().backward()
    torch.testing.assert_close(mine[0], cell.weight_hh_l0.grad, atol=EMITTED, rtol=EMITTED)
    torch.testing.assert_close(mine[1], cell.weight_ih_l0.grad, atol=EMITTED, rtol=EMITTED)
