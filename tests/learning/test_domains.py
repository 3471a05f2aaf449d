"""Domains: a hundred steps of every legal rule keep the invariant, follow torch.optim with the retraction or coordinate
written by hand, and save what they need.  Gradients are a fixed stream (`e = g * w`, `e ~ Gibbs()`)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import ON_DOMAIN, OPTIMIZER, SIMPLEX

import dltc
from dltc.compiler.diagnostics import Findings
from dltc.compiler.frontend.domains import DOMAINS
from dltc.compiler.pipeline import standard_library
from dltc.runtime.module import Module

Step = Callable[[torch.Tensor], torch.Tensor]
Optimizer = Callable[[list[torch.Tensor]], torch.optim.Optimizer]

STEPS, SHAPE = 100, (4, 3)

OPTIMIZERS: dict[str, Optimizer] = {
    "SGD(lr = 0.05": lambda p: torch.optim.SGD(p, lr=0.05),
    "Momentum(lr = 0.03": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
    "Adam(lr = 0.02": lambda p: torch.optim.Adam(p, lr=0.02),
    "AdamW(lr = 0.02": lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=1e-2),
    "Lion(lr = 0.02": lambda p: Lion(p),
}

WRITTEN = {
    "positive": "positive",
    "unit": "unit",
    "simplex": "simplex[j]",
    "signed": "signed[i]",
    "unit_norm": "unit_norm[j]",
    "orthogonal": "orthogonal[i, j]",
}


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, arXiv 2302.06675, at lr 0.02 and the constants of the standard rule."""

    def __init__(self, params: list[torch.Tensor]) -> None:
        super().__init__(params, {})
        self.m = torch.zeros_like(params[0])

    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        (p,) = self.param_groups[0]["params"]
        with torch.no_grad():
            p -= 0.02 * torch.sign(0.9 * self.m + 0.1 * p.grad)
        self.m = 0.99 * self.m + 0.01 * p.grad


def spec(rule: str, domain: str, init: str = "", more: str = "") -> str:
    prior = "Dirichlet(1)" if "simplex" in domain else "Normal(0, var = 1)"
    return f"""dlt 1
{more}
model Stream {{
  axis i = {SHAPE[0]}, j = {SHAPE[1]}
  input g[i, j]
  param w[i, j] in {domain} ~ {f"Flat() init {init or prior}"}
  e = g * w
  e ~ Gibbs()
  learn {{ w : {rule} }}
}}
"""


def stream(seed: int = 0, steps: int = STEPS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(steps, *SHAPE)) * 10 ** rng.uniform(-3, 0.5, size=(steps, SHAPE[0], 1))


def load(text: str, seed: int = 3) -> Module:
    return dltc.compile(text=text).load(seed=seed, dtype=torch.float64)


def value(model: Module, path: str = "w") -> torch.Tensor:
    return model.state(path).detach().clone()


def off(domain: str, w: torch.Tensor, start: torch.Tensor) -> float:
    """How far a value is off its domain (0: on it)."""
    match domain:
        case "positive":
            return float(not (w > 0).all())
        case "unit":
            return float(torch.relu(torch.maximum(-w, w - 1)).max())
        case "simplex":
            return float(torch.maximum((w.sum(1) - 1).abs().max(), torch.relu(-w).max()))
        case "signed":
            return float(not torch.equal(torch.sign(w), torch.sign(start)))
        case "unit_norm":
            return float((w.norm(dim=1) - 1).abs().max())
        case _:
            return float((w.T @ w - torch.eye(w.shape[1], dtype=w.dtype)).abs().max())


def polar(w: torch.Tensor) -> torch.Tensor:
    u, _, vh = torch.linalg.svd(w, full_matrices=False)
    return u @ vh


RETRACT: dict[str, Step] = {
    "unit": lambda w: w.clamp(0, 1),
    "unit_norm": lambda w: w / w.norm(dim=1, keepdim=True),
    "orthogonal": polar,
}


@pytest.mark.parametrize("domain", RETRACT)
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_rules_on_real_followed_by_the_retraction(rule: str, domain: str) -> None:
    model = load(spec(rule + ")", WRITTEN[domain]))
    start, w = value(model), value(model).requires_grad_()
    optimizer = OPTIMIZERS[rule]([w])
    assert off(domain, start, start) <= ON_DOMAIN
    for g in stream():
        model.step(g=g[None])
        w.grad = torch.tensor(g)
        optimizer.step()
        with torch.no_grad():
            w.copy_(RETRACT[domain](w))
        assert float((value(model) - w).detach().abs().max()) <= OPTIMIZER
        assert off(domain, value(model), start) <= ON_DOMAIN


VIA: dict[str, tuple[str, Step, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = {
    "positive": ("log", torch.log, lambda u, s: torch.exp(u)),
    "signed": ("log", lambda w: torch.log(w.abs()), lambda u, s: torch.sign(s) * torch.exp(u)),
    "unit": ("logit", torch.logit, lambda u, s: torch.sigmoid(u)),
    "simplex": ("softmax", torch.log, lambda u, s: torch.softmax(u, 1)),
}


@pytest.mark.parametrize("domain", VIA)
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_coordinate_moves_by_the_chain_rule(rule: str, domain: str) -> None:
    """The optimizer of torch on u with autograd through w(u), from one long run: u is never taken from w again."""
    name, to, back = VIA[domain]
    model = load(spec(f"{rule}, via = {name})", WRITTEN[domain]))
    start = value(model)
    u = to(start).requires_grad_()
    optimizer = OPTIMIZERS[rule]([u])
    for g in 0.2 * stream(1):  # larger ones send log w to infinity, in torch too
        model.step(g=g[None])
        optimizer.zero_grad()
        (back(u, start) * torch.tensor(g)).sum().backward()
        optimizer.step()
        ours, theirs = value(model), back(u, start).detach()
        if rule.startswith("AdamW") and domain == "simplex":  # the same softmax in another gauge
            assert off(domain, ours, start) <= SIMPLEX
        assert float(((ours - theirs) / theirs.abs().clamp(min=1)).abs().max()) <= 100 * OPTIMIZER
        assert off(domain, ours, start) <= ON_DOMAIN


@pytest.mark.parametrize("axis", ["signed[i]", "signed"])
def test_multiplication_keeps_signs(axis: str) -> None:
    """EG: |w| moves as on positive under the gradient by |w|."""
    model = load(spec("EG(lr = 0.1)", axis))
    start, gradients = value(model), stream(2)
    signs = torch.sign(start)
    assert torch.equal(value(model, "w@sign"), signs if axis == "signed" else signs[:, 0])
    assert axis == "signed" or (signs == signs[:, :1]).all()
    for g in gradients:
        model.step(g=g[None])
    wanted = start * torch.exp(-0.1 * signs * torch.tensor(gradients.sum(0)))
    torch.testing.assert_close(value(model), wanted, rtol=1e-10, atol=0)


PROJECTED = "rule Projected(lr) on signed { w <- sign * max(0, sign * w - lr * sign * grad); keep sign * w >= 0 }"


def test_signs_outlive_zeros_and_files(tmp_path: Path) -> None:
    """A weight that reached 0 is saved, loaded into a module of another seed, and grows back with its own sign."""
    text = spec("Projected(lr = 1)", "signed[i]", more=PROJECTED)
    model = load(text)
    signs = value(model, "w@sign")
    model.step(g=(100 * signs[:, None] * torch.ones(SHAPE))[None])
    assert not value(model).any()
    other = load(text, seed=4)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    other.load_state_dict(torch.load(tmp_path / "w.pt"))
    for m in (model, other):
        m.step(g=(-signs[:, None] * torch.ones(SHAPE))[None])
        torch.testing.assert_close(value(m), signs[:, None] * torch.ones(SHAPE, dtype=torch.float64))


@pytest.mark.parametrize(("via", "domain", "start"), [("logit", "unit", "0"), ("logit", "unit", "1")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_interval_can_be_left(via: str, domain: str, start: str, dtype: torch.dtype) -> None:
    model = dltc.compile(text=spec(f"Adam(lr = 0.5, via = {via})", domain, start)).load(dtype=dtype)
    for _ in range(STEPS):
        model.step(g=torch.full((1, *SHAPE), 1e3 if start == "1" else -1e3))
    assert abs(float(value(model).mean()) - float(start)) > 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_positive_stays_above_zero_where_exp_does_not(dtype: torch.dtype) -> None:
    model = dltc.compile(text=spec("SGD(lr = 1e4, via = log)", "positive", "1")).load(dtype=dtype)
    for _ in range(5):
        model.step(g=torch.ones((1, *SHAPE)))
    assert (value(model) > 0).all()


@pytest.mark.parametrize("rule", ["Adam(lr = 0.02", "Momentum(lr = 0.03"])
def test_when_moves_nothing_else(rule: str) -> None:
    """Parameters and states stand still, bit for bit, at the steps that the condition leaves out."""
    model = load(spec(f"{rule}, when = t % 3 == 0)", "unit"))
    for t, g in enumerate(stream(4, 12), start=1):
        before = {s.path: value(model, s.path) for s in model.STATE}
        model.step(g=g[None])
        changed = [p for p, was in before.items() if not torch.equal(was, value(model, p))]
        assert bool(changed) == (t % 3 == 0)


SPECTRAL = """
rule Spectral(lr) on real[o, i] {
  state rows[o] = 0
  rows[o] <- 0.9 * rows[o] + 0.1 * mean[i](grad^2)
  w[o, i] <- w[o, i] - lr * polar[o, i](grad) / (1 + rows[o])
}
model M {
  axis pix = 4, hid = 3
  input x[pix]
  param W[pix, hid] ~ Normal(0, var = 1)
  h[hid] = W[pix, hid] * x[pix]
  h ~ Normal(0, var = 1)
  learn { W : Spectral(lr = 0.1) }
}
"""


def test_rows_and_columns_are_found_in_the_product() -> None:
    """`i` is what the product sums (pix), `o` the rest, whichever stands first in the declaration."""
    model = dltc.compile(text="dlt 1" + SPECTRAL).load(dtype=torch.float64, examples=5)
    x, rows = torch.tensor(np.random.default_rng(0).normal(size=(5, 4))), torch.zeros(3, dtype=torch.float64)
    for _ in range(5):
        W = value(model, "W").requires_grad_()
        (0.5 * (x @ W).square().sum(1).mean() + 0.5 * W.square().sum() / 5).backward()
        assert W.grad is not None
        rows = 0.9 * rows + 0.1 * W.grad.square().mean(0)
        model.step(x=x)
        torch.testing.assert_close(
            value(model, "W"), (W - 0.1 * polar(W.grad) / (1 + rows)).detach(), rtol=0, atol=1e-12
        )
        torch.testing.assert_close(value(model, "W@rows"), rows, rtol=0, atol=1e-12)


def test_noise_is_keyed_by_path_element_and_step() -> None:
    noisy = "rule Noisy() on real { w <- noise }"
    model, again = (load(spec("Noisy()", "real", more=noisy)) for _ in range(2))
    seen: list[torch.Tensor] = []
    for g in stream(5, 3):
        model.step(g=g[None])
        seen.append(value(model))
    again.t = 2
    again.step(g=stream(5, 3)[:1])
    assert torch.equal(value(again), seen[2])
    assert len({float(x) for w in seen for x in w.flatten()}) == 3 * SHAPE[0] * SHAPE[1]


LIBRARY = standard_library(Findings())


def test_keep_holds_after_every_step_of_every_rule() -> None:
    """Each `keep` of the standard rules becomes a second model whose state measures it."""
    tested: list[str] = []
    for name, overloads in LIBRARY.rules.items():
        for rule in overloads:
            domain = WRITTEN.get(rule.domain.name)
            keeps = [k for k in rule.body if type(k).__name__ == "KeepLine"]
            if domain is None or not keeps:
                continue
            source = next(
                s
                for s in Path(rule_file()).read_text().split("\n\n")
                if f"rule {name}(" in s and f"on {rule.domain.name}" in s
            )
            kept = [
                line.strip().removeprefix("keep ") for line in source.splitlines() if line.strip().startswith("keep")
            ]
            more = source.replace("  keep", "  ok <- ok * (" + " ) * (".join(kept) + ")\n  keep", 1)
            head, brace, body = more.partition("{\n")
            given = ", ".join(f"{p.name} = 0.1" for p in rule.params if p.default is None)
            more = f"{head}{brace}  state ok = 1\n{body}"
            model = load(spec(f"{name}({given})", domain, more=more))
            for g in -np.abs(stream(6)) - 0.01:
                model.step(g=g[None])
            assert bool((value(model, "w@ok") == 1).all()), (name, domain)
            tested.append(f"{name} {domain}")
    assert len(tested) >= 5


def rule_file() -> Path:
    return Path(__file__).parents[2] / "specs" / "std" / "rules.dlt"


def test_every_domain_has_a_rule() -> None:
    """Each domain is reached by a rule of its own, a retraction or a coordinate."""
    own = {rule.domain.name for overloads in LIBRARY.rules.values() for rule in overloads}
    for domain in DOMAINS:
        assert domain in own or LIBRARY.of("retract", domain) or list(LIBRARY.coordinates(domain)), domain


def test_without_the_text_there_is_no_rule(tmp_path: Path) -> None:
    """A copy of the package without specs/std/rules.dlt knows none of the rules."""
    root, copy = rule_file().parents[2], tmp_path / "dltc"
    for folder in ("compiler", "grammar", "specs", "cli", "runtime"):
        shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("__init__.py", "__main__.py"):
        shutil.copy(root / file, copy / file)
    (copy / "specs" / "std" / "rules.dlt").unlink()
    script = (
        "import sys; from dltc.compiler.pipeline import check\n"
        "for rule in sys.argv[1:]:\n"
        "    text = f'dlt 1\\nmodel M {{\\n axis k = 2\\n param w[k] ~ Normal(0, var = 1)\\n learn {{ w : {rule}() }}\\n}}\\n'\n"
        "    assert [d.code for d in check(text, 'm.dlt').findings.items] == ['E0402'], rule\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, *LIBRARY.rules],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
