"""Windows (language, 4.7): every kind, against the interpreter and autograd; convolutions against torch's."""

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
  axis row = 6, col = 5, ch = 2, out = 4, r = 3, c = 3, k = 2, l = 2, dr = -1..1, dc = -1..1, cls = 3, t
  input x[ch, row, col]
  input y: cls
  input u[t, ch]
  param K[out, ch, dr, dc] ~ Normal(0, var = 1/9)
  param G[ch, dr, dc] ~ Normal(0, var = 1/9)
  param V[cls, out] ~ Normal(0, var = 1)
  {body}
  y ~ Categorical(logits = s)
  learn {{ * : SGD(lr = 0.1) }}
}}
"""
SUM = "s[cls] = V[cls, out] * mean[row, col](tanh(h))"
BODIES = {
    "convolution": f"h[out, row, col] = K[out, ch, dr, dc] * x[ch, row + dr, col + dc]\n  {SUM}",
    "convolution of a value": "g[ch, row, col] = tanh(x[ch, row, col] * G[ch, 0, 0])\n"
    f"  h[out, row, col] = relu(K[out, ch, dr, dc] * g[ch, row + dr, col + dc])\n  {SUM}",
    "stride": "h[out, r, c] = K[out, ch, dr, dc] * x[ch, 2*r + dr, 2*c + dc]\n"
    "  s[cls] = V[cls, out] * mean[r, c](tanh(h))",
    "stride of a value": "g[ch, row, col] = tanh(x[ch, row, col] * G[ch, 0, 0])\n"
    "  h[out, r, c] = K[out, ch, dr, dc] * g[ch, 2*r + dr, 2*c + dc]\n"
    "  s[cls] = V[cls, out] * mean[r, c](tanh(h))",
    "an odd stride": "g[ch, row, col] = tanh(x[ch, row, col] * G[ch, 0, 0])\n"
    "  h[out, r, c] = K[out, ch, dr, dc] * g[ch, 2*r + dr + 1, 3*c + dc - 1]\n"
    "  s[cls] = V[cls, out] * mean[r, c](tanh(h))",
    "dilation": f"h[out, row, col] = K[out, ch, dr, dc] * sin(x)[ch, row, col]\n  {SUM}".replace(
        "sin(x)[ch, row, col]", "x[ch, row + 2*dr, col + dc]"
    ),
    "one axis": f"h[out, row, col] = K[out, ch, dr, 1] * x[ch, row + dr, col]\n  {SUM}",
    "depthwise": "h[ch, row, col] = G[ch, dr, dc] * x[ch, row + dr, col + dc]\n"
    "  s[cls] = sum[out](V) * mean[ch, row, col](tanh(h))",
    "the same kernel for every channel": "h[ch, row, col] = G[0, dr, dc] * tanh(x[ch, row + dr, col + dc])\n"
    "  s[cls] = sum[out](V) * mean[ch, row, col](tanh(h))",
    "pooling": "p[ch, r, c] = max[k, l](x[ch, 2*r + k, 2*c + l])\n"
    "  h[out, r, c] = K[out, ch, 0, 0] * p[ch, r, c] + mean[k, l](x[1, 2*r + k, 2*c + l])\n"
    "  s[cls] = V[cls, out] * mean[r, c](tanh(h))",
    "mirrored": f"h[out, row, col] = K[out, ch, dr, dc] * x[ch, row - dr, 5 - col - dc]\n  {SUM}",
    "a fixed shift": f"h[out, row, col] = K[out, ch, 0, 0] * (x[ch, row - 1, col] - x[ch, row, col + 2])\n  {SUM}",
    "one window for both axes": f"h[out, row, col] = K[out, ch, dr, 0] * x[ch, row + dr, col + dr]\n  {SUM}",
    "locally connected": """param L[row, col, dr, dc] ~ Normal(0, var = 1/9)
  h[ch, row, col] = L[row, col, dr, dc] * x[ch, row + dr, col + dc]
  s[cls] = sum[out](V) * mean[ch, row, col](tanh(h))""",
    "a diagonal": f"h[out, row, col] = K[out, ch, 0, 0] * x[ch, row, row + 1] * (col + 1)\n  {SUM}",
    "a data axis": """h[t, out] = tanh(K[out, ch, dr, 0] * u[t + dr, ch])
  s[cls] = V[cls, out] * mean[t](h)""",
    "a data axis that ends": """h[t, out] = tanh(K[out, ch, dr, 0] * u[t + dr, ch] + 0.3)
  g[t, out] = h[t - 1, out] * h[t + 1, out] + h[t]
  s[cls] = V[cls, out] * (mean[t](g) + g[last])
  data from npz("d.npz") { x = c0; y = c1; u = c2; t = ends }""",
    "inside a guard": f"h[out, row, col] = where(x[0, row, col] > 0, K[out, ch, dr, dc] / (0.1 + x[ch, row + dr, col + dc]^2), 0)\n  {SUM}",
    "within a recurrence": """h[t, out] = tanh(K[out, ch, dr, 0] * u[t + dr, ch] + 0.5 * h[t - 1, out])   start 0
  s[cls] = V[cls, out] * h[last]""",
    "a recurrence over pictures": """g[k, ch, row, col] = tanh(G[ch, dr, dc] * g[k - 1, ch, row + dr, col + dc])   start x
  s[cls] = sum[out](V) * tanh(mean[ch, row, col](g[last]))""",
}


def setting_of(oracle, key: str):
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    inputs = {}
    for name, item in oracle.model.inputs.items():
        shape = (4, *(oracle._extent(d, {"t": 7}) for d in item.tensor.declared))
        kind = {"int": "count"}.get(item.kind, item.kind)
        labels = oracle.model.axes[item.tensor.label].size if item.tensor.label else 7
        inputs[name] = oracles.column(kind, shape, labels, rng)
    return oracles.Setting(inputs, 100, 3, {"t": 7})


@pytest.mark.parametrize("kind", BODIES)
def test_every_oracle_agrees(kind: str) -> None:
    """Values, densities, initial values, gradients and steps."""
    oracle = oracles.Oracle(HEAD.format(body=BODIES[kind]))
    check.check_all(oracle, setting_of(oracle, kind))


@pytest.mark.parametrize(
    ("kind", "forward", "backward"),
    [
        ("convolution of a value", 1, 3),
        ("stride of a value", 1, 3),
        ("depthwise", 1, 2),
        ("dilation", 1, 2),
        ("one axis", 1, 2),
    ],
)
def test_convolutions_are_convolutions(kind: str, forward: int, backward: int) -> None:
    """The value and, in a step, the gradients by kernel and input are torch's convolutions: no window is laid out."""
    source = dltc.compile(text=HEAD.format(body=BODIES[kind])).source
    value, step = source.split("def value_h")[1].split("    def ")[0], source.split("def _step")[1]
    assert (value.count("F.conv"), step.count("F.conv")) == (forward, backward)
    assert "rt.window" not in source
    assert "rt.fold" not in source


def test_torch_convolution() -> None:
    """`F.conv2d` with copied weights."""
    model = dltc.compile(text=HEAD.format(body=BODIES["convolution"])).load(seed=1, dtype=torch.float64, examples=10)
    x = torch.randn(5, 2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kernel = dict(model.named_parameters())["K"]
    expected = torch.nn.functional.conv2d(x, kernel, padding=1)
    torch.testing.assert_close(model(x=x)["h"], expected, atol=EMITTED, rtol=0)
