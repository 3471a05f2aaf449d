"""`clip`, `stop` and `keep best`: against hand-written torch loops, and bit for bit over a resume."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch
from tolerances import TRAINING

import dltc
from dltc.compiler.diff import diff_artefacts
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.errors import Interrupted
from dltc.runtime.progress import Silent
from dltc.runtime.session import Job, train
from dltc.runtime.watch import Watcher, WatchPlan

TWO = """dlt 1
model Two {{
  axis i = 3, o = 2
  input x[i]
  input y[o]
  param W[o, i] ~ Normal(0, var = 4)
  param b[o] ~ Normal(0, var = 1) init 0
  param g[o] in positive ~ LogNormal(0, std = 1) init 1
  m[o] = g[o] * (W[o, i] * x[i] + b[o])
  y ~ Normal(m, var = 0.1)
  learn {{ W : SGD(lr = 0.05); b : Adam(lr = 0.02); g : EG(lr = 0.01) }}
  train {{ steps 9; {settings} }}
}}
"""


def data(rows: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(rows, 3)), "y": rng.normal(size=(rows, 2))}


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_clip_is_the_global_norm_before_the_rules(limit: float) -> None:
    """One loop with torch's own clipping and optimizers; the larger limit never binds and must change nothing."""
    batch = data()
    model = dltc.compile(text=TWO.format(settings=f"clip {limit}")).load(dtype=torch.float64, examples=8)
    free = dltc.compile(text=TWO.format(settings="")).load(dtype=torch.float64, examples=8)
    w, b, g = (model.state(name).detach().clone().requires_grad_() for name in "Wbg")
    optimizers = [torch.optim.SGD([w], lr=0.05), torch.optim.Adam([b], lr=0.02)]
    x, y = (torch.as_tensor(v) for v in batch.values())
    for _ in range(9):
        m = g * (x @ w.T + b)
        nll = -torch.distributions.Normal(m, 0.1**0.5).log_prob(y).sum(1).mean()
        prior = (
            torch.distributions.Normal(0, 2.0).log_prob(w).sum() + torch.distributions.Normal(0, 1.0).log_prob(b).sum()
        )
        prior = prior + torch.distributions.LogNormal(0.0, 1.0).log_prob(g).sum()
        grads = torch.autograd.grad(nll - prior / 8, [w, b, g])
        norm = torch.sqrt(sum((v**2).sum() for v in grads))
        w.grad, b.grad, grad_g = (v * min(1.0, limit / float(norm)) for v in grads)
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            g.mul_(torch.exp(-0.01 * grad_g))
        model.step(**batch)
        free.step(**batch)
    for name, ours in (("W", w), ("b", b), ("g", g)):
        np.testing.assert_allclose(model.state(name).detach(), ours.detach(), rtol=TRAINING, atol=TRAINING)
        assert torch.allclose(model.state(name), free.state(name), rtol=TRAINING) == (limit > 1)


def test_clip_is_part_of_the_step_graph() -> None:
    """The interpreter's step is the emitted one; with a constant gradient (its norm known) too."""
    artefact = compile_spec(TWO.format(settings="clip 0.5"), "two.dlt")
    batch = data()
    model = dltc.compile(text=artefact.text).load(dtype=torch.float64, examples=8)
    before = {slot.path: model.state(slot.path).detach().numpy().copy() for slot in model.STATE}
    env = Env(
        inputs=batch,
        params={k: v for k, v in before.items() if "@" not in k},
        states={k: v for k, v in before.items() if "@" in k},
        examples=8,
        step=1,
    )
    wanted = interpret(artefact.step, env)
    model.step(**batch)
    for path in before:
        axes = ("o", "i") if path[0] == "W" else ("o",)
        np.testing.assert_allclose(model.state(path).detach(), wanted[f"next {path}"].to(axes), rtol=1e-12)


def test_diff_names_the_settings() -> None:
    a = compile_spec(TWO.format(settings=""), "a.dlt")
    b = compile_spec(TWO.format(settings="clip 2.0; stop after 3 without nll; keep best"), "b.dlt")
    changes = {c.path: (c.before, c.after) for c in diff_artefacts(a, b).changes}
    assert changes == {"clip": (None, "2.0"), "stop": (None, "after 3 without nll"), "keep": (None, "best by nll")}


# ------------------------------------------------------------ stop, keep best

NOISY = """dlt 1
model Noisy {{
  axis i = 5
  input x[i]
  input y
  param w[i] ~ Normal(0, var = 1) init 0
  m = w * x
  y ~ Normal(m, var = 0.01)
  learn {{ w : Adam(lr = 0.3) }}
  data from npz("noisy.npz") {{ x = x; y = y; valid 0.3; test 0.2 }}
  train {{ batch 8; steps 200; dtype float64; {settings}; report rmse(y, m), nll every 5 }}
}}
"""


@pytest.fixture
def job(tmp_path):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 5))
    np.savez(tmp_path / "noisy.npz", x=x, y=x @ rng.normal(size=5) + 0.5 * rng.normal(size=60))

    def make(settings: str) -> Job:
        artefact = compile_spec(NOISY.format(settings=settings), "noisy.dlt")
        return Job(artefact.source, artefact.manifest, artefact.text, tmp_path, {})

    return make


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_stop_ends_the_run_after_reports_without_a_better_value(job, tmp_path):
    result = train(job("stop after 4 without nll"), tmp_path / "r", progress=Silent())
    *reports, final = rows(result.folder)
    values = [row["metrics"]["nll"] for row in reports]
    assert result.outcome.steps < 200
    assert values.index(min(values)) == len(values) - 5
    assert all(row["part"] == "valid" for row in reports)
    assert final["best"] == {"metric": "nll", "value": min(values), "step": reports[-5]["step"]}


def test_keep_best_returns_the_state_of_the_best_report(job, tmp_path):
    """The run with `keep best` is the run without it, cut at the best report; eval of the folder says the same."""
    from dltc.runtime.session import evaluate_run

    kept = train(job("keep best"), tmp_path / "kept", progress=Silent())
    best = rows(kept.folder)[-1]["best"]
    assert best["metric"] == "rmse(y, m)"  # the first of `report`
    assert best["value"] == min(row["metrics"]["rmse(y, m)"] for row in rows(kept.folder)[:-1])
    short = job("seed 0")
    short.manifest["train"]["steps"] = best["step"]
    cut = train(short, tmp_path / "cut", progress=Silent())
    assert torch.equal(kept.module.w, cut.module.w)
    assert kept.outcome.metrics == cut.outcome.metrics
    assert kept.outcome.steps == 200
    part, scores = evaluate_run(job("keep best"), kept.folder)
    assert (part, scores.mean) == ("test", kept.outcome.metrics)


class At(Silent):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, done: int, text: str) -> None:
        if done == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("at", [3, 27, 41])
def test_resume_is_bit_exact_with_stop_and_keep(job, tmp_path, at):
    settings = "clip 1.5; keep best; stop after 12 without nll"
    straight = train(job(settings), tmp_path / "a", progress=Silent())
    with pytest.raises(Interrupted):
        train(job(settings), tmp_path / "b", progress=At(at))
    resumed = train(job(settings), tmp_path / "b", resume=True, progress=Silent())
    assert torch.equal(straight.module.w, resumed.module.w)
    assert straight.outcome.metrics == resumed.outcome.metrics
    assert straight.outcome.steps == resumed.outcome.steps
    assert [r for r in rows(tmp_path / "b") if "event" not in r] == rows(tmp_path / "a")
    again = train(job(settings), tmp_path / "b", resume=True, progress=Silent())  # stopped is stopped
    assert (again.outcome.steps, again.outcome.metrics) == (straight.outcome.steps, straight.outcome.metrics)


def test_a_watcher_takes_neither_nan_nor_ties() -> None:
    watcher = Watcher(WatchPlan("auc", True, 2, True))
    assert [watcher.see(v, k) for k, v in enumerate((float("nan"), 0.5, 0.5, 0.6, 0.1))] == [0, 1, 0, 1, 0]
    assert (watcher.best, watcher.step, watcher.done) == (0.6, 3, False)
    watcher.see(0.6, 5)
    assert watcher.done
