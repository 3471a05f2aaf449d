"""Densities with powers, at shifted and at fixed labels (language, 4): against every oracle, and by hand."""

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
rule Towards(lr) on real {{ w <- w - lr * prior.precision * (w - prior.mean) / (1 + prior.var) - lr * grad }}
model M {{
  axis t{size}, d = 3, cls = 4
  input tok[t]: cls
  input x[t, d]
  param W[cls, d] ~ Normal(0, var = 1)
  param E[cls, d] ~ Normal(0, var = 1)
  {body}
  learn {{ * : SGD(lr = 0.1) }}
  {data}
}}
"""
BODIES = {
    "the next token": "s[t, cls] = W[cls, d] * E[tok[t], d]\n  tok[t + 1] ~ Categorical(logits = s[t])",
    "two back": "s[t, cls] = W * x\n  tok[t - 2] ~ Categorical(logits = s)",
    "the last": "s[cls] = W[cls, d] * mean[t](x[t, d])\n  tok[last] ~ Categorical(logits = s)",
    "the first": "s[d] = W[0, d] * mean[t](x[t, first])\n  x[first] ~ Normal(s, std = 0.5)",
    "a fixed entry of a value": "h[t, d] = tanh(W[1, d] * x[t, d])\n  h[2, d] ~ Laplace(0, scale = 0.3)\n  h ~ Gibbs(beta = 0.1)",
    "a shifted normal": "m[t, d] = W[2, d] * x[t, d]\n  x[t + 1, d] ~ StudentT(m, scale = exp(E[0, d]), df = 4)",
    "a shifted exponential": "r[t, d] = exp(W[2, d] * x[t, d])\n  k[t, d] = exp(E[0, d] * x[t, d])\n  k[t - 1, d] ~ Gamma(r, rate = 2)",
    "a mask": "m[d] = W[0, d]\n  x ~ Normal(m, std = 1)^(tok < 2)",
    "a weight per step": "s[t, cls] = W * x\n  tok[t + 1] ~ Categorical(logits = s[t])^(0.9 ^ t)",
    "powers of priors": """param u[d] ~ Laplace(0, scale = 2)^0.25
  param g[d] in positive ~ Gamma(2, rate = 1)^(label(d) < 2)
  m[d] = g * u
  x ~ Normal(m, std = 1)
  learn { g : EG(lr = 0.01) }""",
    "moments of a power": """param u[d] ~ Normal(0.3, std = 2)^(0.5 + label(d))
  x ~ Normal(u, std = 1)
  learn { u : Towards(lr = 0.01) }""",
}


def setting_of(oracle, key: str):
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    inputs = {}
    for name, item in oracle.model.inputs.items():
        shape = (4, *(oracle._extent(d, {"t": 6}) for d in item.tensor.declared))
        kind = {"int": "count"}.get(item.kind, item.kind)
        labels = oracle.model.axes[item.tensor.label].size if item.tensor.label else 6
        low = oracle.model.axes[item.tensor.label].low if item.tensor.label else 0
        inputs[name] = oracles.column(kind, shape, labels, rng)
        inputs[name] = inputs[name] + low if low else inputs[name]
    return oracles.Setting(inputs, 100, 3, {"t": 6})


@pytest.mark.parametrize("ends", [False, True], ids=["full", "ends"])
@pytest.mark.parametrize("kind", BODIES)
def test_every_oracle_agrees(kind: str, ends: bool) -> None:
    """Values, densities, gradients and steps; where the axis ends, each example alone gives the same."""
    data = 'data from npz("d.npz") { tok = c0; x = c1; t = n }' if ends else ""
    oracle = oracles.Oracle(HEAD.format(size="", body=BODIES[kind], data=data))
    check.check_all(oracle, setting_of(oracle, kind))


def test_terms_outside_the_axis_do_not_exist() -> None:
    """The log probability of the next token, by hand."""
    text = HEAD.format(size=" = 6", body=BODIES["the next token"], data="")
    model = dltc.compile(text=text).load(seed=0, dtype=torch.float64, examples=10)
    tok = torch.randint(0, 4, (5, 6), generator=torch.Generator().manual_seed(0))
    weights = dict(model.named_parameters())
    logits = torch.log_softmax(weights["E"][tok] @ weights["W"].T, -1)
    expected = logits[:, :-1].gather(-1, tok[:, 1:, None]).sum((1, 2))
    torch.testing.assert_close(model.log_prob(tok=tok, x=torch.zeros(5, 6, 3)), expected, atol=EMITTED, rtol=0)


def test_the_power_of_a_prior_by_hand() -> None:
    text = HEAD.format(size=" = 6", body=BODIES["powers of priors"], data="")
    model = dltc.compile(text=text).load(seed=0, dtype=torch.float64, examples=10)
    weights = dict(model.named_parameters())
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
    two = torch.tensor(2.0, dtype=torch.float64)
    expected = normal.log_prob(weights["W"]).sum() + normal.log_prob(weights["E"]).sum()
    expected = expected + 0.25 * torch.distributions.Laplace(0 * two, two).log_prob(weights["u"]).sum()
    expected = expected + torch.distributions.Gamma(two, two / 2).log_prob(weights["g"])[:2].sum()
    torch.testing.assert_close(model.log_prior(), expected, atol=EMITTED, rtol=0)


WHOLE = """dlt 1
model M {
  axis d = 5, w = 8, cls = 3, side = -1..1
  input x[w]
  input y: cls
  input z: side
  param L[d]: w ~ Categorical(p = 1/w) frozen
  param wide[d]: w ~ Categorical(logits = label(w)) frozen
  param on[d]: bool ~ Bernoulli(p = 0.5) frozen
  param k[d]: int ~ Poisson(3) frozen
  param turn[d]: side ~ Categorical(p = 1/side) frozen
  param set[d]: w ~ Categorical(p = 1/w) init (3 * label(d) + 1) % w frozen
  param W[cls, d] ~ Normal(0, var = 1)
  param V[side, d] ~ Normal(0, var = 1)
  h[d] = tanh(x[L[d]] * on[d] + x[wide[d]] * k[d] / 10 + turn[d] * x[set[d]])
  s[cls] = W * h
  r[side] = V * h
  y ~ Categorical(logits = s)
  z ~ Categorical(logits = r)
  learn { W, V : Adam(lr = 0.01) }
  train { epochs 1; seed 0; report accuracy(y, s), accuracy(z, r) }
}
"""


def test_parameters_of_whole_numbers() -> None:
    """Random wiring: drawn alike everywhere, read in gathers and arithmetic, never moved."""
    oracle = oracles.Oracle(WHOLE)
    setting = setting_of(oracle, "whole")
    check.check_all(oracle, setting)
    model = dltc.compile(text=WHOLE).load(seed=1, examples=10)
    state = model.state_dict()
    assert {str(state[name].dtype) for name in ("L", "wide", "k", "turn", "set")} == {"torch.int64"}
    assert state["on"].dtype == torch.bool
    assert state["L"].min() >= 0 and state["L"].max() < 8
    assert state["turn"].min() >= -1 and state["turn"].max() <= 1
    assert state["set"].tolist() == [1, 4, 7, 2, 5]
    before = {name: value.clone() for name, value in state.items()}
    model.step(**{name: torch.as_tensor(value) for name, value in setting.inputs.items()})
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in ("L", "wide", "on", "k", "turn", "set"))
    assert not torch.equal(before["W"], after["W"])


def test_labels_of_a_range_axis() -> None:
    """The first label is -1: the density and the metric count from it."""
    model = dltc.compile(text=WHOLE).load(seed=1, dtype=torch.float64, examples=10)
    x = torch.randn(7, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y, z = torch.zeros(7, dtype=torch.int64), torch.tensor([-1, 0, 1, 1, 0, -1, 1])
    out = model(x=x)
    expected = torch.log_softmax(out["s"], -1)[:, 0] + torch.log_softmax(out["r"], -1).gather(1, z[:, None] + 1)[:, 0]
    torch.testing.assert_close(model.log_prob(x=x, y=y, z=z), expected, atol=EMITTED, rtol=0)
    best = out["r"].argmax(1) - 1
    right = model.measure(x=x, y=y, z=best)["accuracy(z, r)"]
    assert right.double().mean() == 1
    wrong = model.measure(x=x, y=y, z=torch.where(best > 0, best - 1, best + 1))["accuracy(z, r)"]
    assert wrong.double().mean() == 0
