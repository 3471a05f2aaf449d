"""The standard rules against torch.optim, their equations and closed forms, all in float64 on fixed gradient streams.

A fixed stream is fed through a loss that is linear in the parameter: with `e = g * w`, `e ~ Gibbs()` and a batch of one,
`grad` is the input g itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tolerances import CLOSED_FORM, OPTIMIZER, SIMPLEX, TRAINING

import dltc

ROWS, COLUMNS, STEPS = 3, 4, 100
Array = NDArray[np.float64]


def spec(rule: str, domain: str = "", init: str = "Normal(0, var = 1)", extra: str = "") -> str:
    """A parameter w[i, j] whose gradient is the input g[i, j]."""
    return f"""dlt 1
{extra}
model Stream {{
  axis i = {ROWS}, j = {COLUMNS}
  input g[i, j]
  param w[i, j] {domain} ~ Flat() init {init}
  e = g * w
  e ~ Gibbs()
  learn {{ w : {rule} }}
}}
"""


def stream(seed: int = 0, scale: float = 1.0, steps: int = STEPS) -> Array:
    """Gradients of very different sizes, some of them zero."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(steps, ROWS, COLUMNS)) * scale * 10 ** rng.uniform(-3, 1, size=(steps, ROWS, 1))
    g[rng.random(g.shape) < 0.1] = 0
    return g


def trajectory(text: str, gradients: Array) -> tuple[Array, Array]:
    """w before the first step, and after every step."""
    model = dltc.compile(text=text).load(seed=0, dtype=torch.float64)
    start = model.state("w").detach().numpy().copy()
    path: list[Array] = []
    for g in gradients:
        model.step(g=g[None])
        path.append(model.state("w").detach().numpy().copy())
    return start, np.array(path)


OPTIMIZERS: dict[str, tuple[str, Callable[[list[torch.Tensor]], torch.optim.Optimizer]]] = {
    "SGD": ("SGD(lr = 0.03)", lambda p: torch.optim.SGD(p, lr=0.03)),
    "Momentum": ("Momentum(lr = 0.03, mu = 0.9)", lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9)),
    "Adam": ("Adam(lr = 2e-3)", lambda p: torch.optim.Adam(p, lr=2e-3)),
    "Adam, other constants": (
        "Adam(lr = 0.1, b1 = 0.8, b2 = 0.95, eps = 1e-6)",
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-6),
    ),
    "AdamW": ("AdamW(lr = 2e-3, wd = 0.1)", lambda p: torch.optim.AdamW(p, lr=2e-3, weight_decay=0.1)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rules_equal_torch_optim(name: str) -> None:
    """max|a - b| <= 1e-12 max|a| over 100 steps of one stream."""
    rule, make = OPTIMIZERS[name]
    gradients = stream()
    start, ours = trajectory(spec(rule), gradients)
    w = torch.tensor(start, requires_grad=True)
    optimizer = make([w])
    theirs: list[Array] = []
    for g in gradients:
        w.grad = torch.tensor(g)
        optimizer.step()
        theirs.append(w.detach().numpy().copy())
    worst = np.abs(ours - np.array(theirs)).max() / np.abs(ours).max()
    assert worst <= OPTIMIZER


def test_lion_follows_its_equations() -> None:
    gradients = stream(seed=1)
    start, ours = trajectory(spec("Lion(lr = 0.01, b1 = 0.9, b2 = 0.99, wd = 0.3)"), gradients)
    w, m = start.copy(), np.zeros_like(start)
    for g, now in zip(gradients, ours, strict=True):
        w = w - 0.01 * (np.sign(0.9 * m + 0.1 * g) + 0.3 * w)
        m = 0.99 * m + 0.01 * g
        np.testing.assert_allclose(now, w, rtol=0, atol=OPTIMIZER * np.abs(w).max())


def test_eg_keeps_positive_parameters_positive() -> None:
    """Also under gradients that would send an additive step far below zero; the closed form is one exponential."""
    gradients = stream(seed=2, scale=3.0)
    start, ours = trajectory(spec("EG(lr = 0.1)", "in positive", "LogNormal(0, std = 1)"), gradients)
    assert (ours > 0).all()
    expected = start * np.exp(-0.1 * np.cumsum(gradients, axis=0))
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


@pytest.mark.parametrize("rule", ["EG(lr = 0.5)", "Hedge(lr = 0.5)"])
def test_multiplicative_rules_stay_on_the_simplex(rule: str) -> None:
    """Sums are 1 within 1e-15, and the weights are the normalised exponentials of the summed gradients."""
    gradients = stream(seed=3)
    start, ours = trajectory(spec(rule, "in simplex[j]", "1 / j"), gradients)
    assert np.abs(ours.sum(-1) - 1).max() <= SIMPLEX
    logits = np.log(start) - 0.5 * np.cumsum(gradients, axis=0)
    expected = np.exp(logits - logits.max(-1, keepdims=True))
    np.testing.assert_allclose(ours, expected / expected.sum(-1, keepdims=True), rtol=1e-10, atol=1e-300)


def test_em_is_the_share_of_the_gradient() -> None:
    gradients = -np.abs(stream(seed=4)) - 0.1
    start, ours = trajectory(spec("EM()", "in simplex[j]", "1 / j"), gradients[:5])
    w = start
    for g, now in zip(gradients, ours, strict=False):
        w = w * -g / (w * -g).sum(-1, keepdims=True)
        np.testing.assert_allclose(now, w, rtol=CLOSED_FORM)


HEDGE = """dlt 1
model Mixture {
  axis expert = 7
  input loss[expert]                        # minus the log of the probability that each expert gave
  param w[expert] in simplex[expert] ~ Dirichlet(1) init 1 / expert
  e = w * loss
  e ~ Gibbs()
  learn { w : Hedge() }
}
"""


@pytest.mark.parametrize("batch", [1, 5, 30])
def test_hedge_with_log_losses_is_the_bayesian_mixture(batch: int) -> None:
    """lr 1: the weights are the posterior over experts after any batching of the data."""
    rng = np.random.default_rng(5)
    p = rng.uniform(0.05, 0.95, size=(30, 7))
    model = dltc.compile(text=HEDGE).load(dtype=torch.float64, examples=30)
    for first in range(0, 30, batch):
        model.step(loss=-np.log(p[first : first + batch]))
    posterior = p.prod(0) / p.prod(0).sum()
    np.testing.assert_allclose(model.state("w").detach().numpy(), posterior, rtol=CLOSED_FORM)


STANDARD = (Path(__file__).parents[2] / "specs" / "std" / "rules.dlt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("call", "domain", "init"),
    [
        ("SGD(lr = 0.03)", "", "Normal(0, var = 1)"),
        ("Momentum(lr = 0.03)", "", "Normal(0, var = 1)"),
        ("Adam()", "", "Normal(0, var = 1)"),
        ("AdamW()", "", "Normal(0, var = 1)"),
        ("Lion()", "", "Normal(0, var = 1)"),
        ("EG(lr = 0.1)", "in positive", "LogNormal(0, std = 1)"),
        ("EG(lr = 0.1)", "in simplex[j]", "1 / j"),
        ("Hedge()", "in simplex[j]", "1 / j"),
        ("EM()", "in simplex[j]", "1 / j"),
    ],
)
def test_pasted_rules_are_the_rules(call: str, domain: str, init: str) -> None:
    """A standard rule's text under another name gives the same trajectory, bit for bit: there is nothing else to it."""
    name = call.partition("(")[0]
    texts = re.findall(rf"^rule {name}\(.*?^}}", STANDARD, flags=re.DOTALL | re.MULTILINE)
    assert texts
    pasted = "\n".join(t.replace(f"rule {name}(", "rule Mine(", 1) for t in texts)
    gradients = -np.abs(stream(seed=6, scale=0.1))[:20] - 0.01
    ours = trajectory(spec(call, domain, init), gradients)
    mine = trajectory(spec(call.replace(name, "Mine", 1), domain, init, pasted), gradients)
    assert np.isfinite(ours[1]).all()
    np.testing.assert_array_equal(ours[1], mine[1])


def test_the_compiler_knows_no_rule_by_name() -> None:
    """No name of a standard rule is a word of the compiler's source."""
    names = set(re.findall(r"^rule (\w+)", STANDARD, flags=re.MULTILINE))
    assert len(names) >= 10
    root = Path(__file__).parents[2] / "compiler"
    for path in root.rglob("*.py"):
        words = set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
        assert not words & names, (path.name, words & names)


MLP = """dlt 1
model Mlp {
  axis pix = 6, hid = 5, cls = 3
  input x[pix]
  input y: cls
  param W[hid, pix] ~ Normal(0, var = 2)
  param b[hid]      ~ Laplace(0, scale = 3)   init 0.1
  param V[cls, hid] ~ Flat()   init Normal(0, var = 1/hid)
  h[hid] = tanh(W * x + b)
  s[cls] = V * h
  y ~ Categorical(logits = s)
  learn { W : Adam(lr = 0.01); b : Momentum(lr = 0.05); V : AdamW(lr = 0.02, wd = 0.1) }
}
"""


def test_a_training_loop_equals_a_hand_written_one() -> None:
    """300 steps of a small network with priors against torch's autograd and optimizers on the same batches."""
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(40, 6)), rng.integers(0, 3, size=40)
    model = dltc.compile(text=MLP).load(seed=3, dtype=torch.float64, examples=40)
    W, b, V = (model.state(p).detach().clone().requires_grad_() for p in ("W", "b", "V"))
    optimizers = [
        torch.optim.Adam([W], lr=0.01),
        torch.optim.SGD([b], lr=0.05, momentum=0.9),
        torch.optim.AdamW([V], lr=0.02, weight_decay=0.1),
    ]
    zero = torch.zeros((), dtype=torch.float64)
    normal, laplace = torch.distributions.Normal(zero, zero + 2**0.5), torch.distributions.Laplace(zero, zero + 3)
    for step in range(300):
        pick = rng.integers(0, 40, size=8)
        data, labels = torch.tensor(x[pick]), torch.tensor(y[pick])
        stats = model.step(x=data, y=labels)
        scores = torch.tanh(data @ W.T + b) @ V.T
        nll = torch.nn.functional.cross_entropy(scores, labels)
        prior = normal.log_prob(W).sum() + laplace.log_prob(b).sum()
        objective = nll - prior / 40
        for optimizer in optimizers:
            optimizer.zero_grad()
        objective.backward()
        for optimizer in optimizers:
            optimizer.step()
        reported, expected = float(stats["objective"]), float(objective.detach())
        assert abs(reported - expected) <= TRAINING * max(1, abs(expected)), step
    for path, value in {"W": W, "b": b, "V": V}.items():
        np.testing.assert_allclose(
            model.state(path).detach().numpy(), value.detach().numpy(), rtol=TRAINING, atol=TRAINING
        )


def test_the_step_needs_no_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    """With autograd and torch.optim made to raise, training goes on and the loss falls."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the emitted step used autograd or torch.optim")

    source = dltc.compile(text=MLP).source
    assert not re.search(r"autograd|backward|optim\b|requires_grad", source)
    model = dltc.compile(text=MLP).load(seed=0, examples=64)
    for owner, name in [
        (torch.autograd, "grad"),
        (torch.autograd, "backward"),
        (torch.Tensor, "backward"),
        (torch.optim.Optimizer, "__init__"),
    ]:
        monkeypatch.setattr(owner, name, refuse)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6))
    y = (x[:, :3]).argmax(1)
    first = float(model.step(x=x, y=y)["nll"])
    for _ in range(200):
        last = float(model.step(x=x, y=y)["nll"])
    assert last < 0.5 * first
    assert all(p.grad is None for p in model.parameters())
