"""Model states: running statistics and target nets against hand-written torch, `seeds`, resume, what diff says."""

from __future__ import annotations

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

RUNNING = """dlt 1
model Running {
  axis d = 3, k = 2
  input x[d]
  input y[k]
  param W[k, d] ~ Normal(0, var = 1)
  state m[d] = 0, v[d] = 1
  state target[k, d] = W, previous = 0, count = 0
  mu[d] = mean[batch](x)
  h[d] = where(training, (x - mu) / sqrt(var[batch](x) + 0.01), (x - m) / sqrt(v + 0.01))
  f[k] = W * h
  bootstrap[k] = target * h
  m <- 0.9*m + 0.1*mu
  v[d] <- 0.9*v[d] + 0.1*var[batch](x[d])
  target <- 0.99*target + 0.01*W
  previous <- count
  count <- count + 1
  y ~ Normal(f, std = 1)
  y ~ Normal(stop(bootstrap), std = 1)
  e = 0.1 * sum((f - bootstrap)^2)
  e ~ Gibbs()
  learn { W : SGD(lr = 0.05) }
  DATA
}
"""
TEXT = RUNNING.replace("DATA", "")
PATHS = ("W", "m", "v", "target", "previous", "count")


def batches(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(2)
    return [{"x": rng.normal(1.0, 2.0, size=(6, 3)), "y": rng.normal(size=(6, 2))} for _ in range(count)]


def by_hand(module: torch.nn.Module, data: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """The same training written with torch: statistics of the batch, optimizer, then the moving averages."""
    w = module.state("W").detach().clone().requires_grad_()
    m, v, target = torch.zeros(3).double(), torch.ones(3).double(), w.detach().clone()
    optimizer = torch.optim.SGD([w], lr=0.05)
    for batch in data:
        x, y = (torch.as_tensor(a) for a in batch.values())
        mean, var = x.mean(0), x.var(0, unbiased=False)
        h = (x - mean) / torch.sqrt(var + 0.01)
        f, b = h @ w.T, h @ target.T
        loss = (0.5 * (y - f) ** 2).sum(1).mean() + 0.1 * ((f - b) ** 2).sum(1).mean() + 0.5 * (w**2).sum() / 60
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        m, v = 0.9 * m + 0.1 * mean, 0.9 * v + 0.1 * var
        target = 0.99 * target + 0.01 * w.detach()  # of the parameter as it is after the step
    count = torch.tensor(float(len(data)))
    return {"W": w.detach(), "m": m, "v": v, "target": target, "previous": count - 1, "count": count}


def test_running_statistics_and_a_target_net() -> None:
    model = dltc.compile(text=TEXT).load(dtype=torch.float64, examples=60)
    data = batches(20)
    wanted = by_hand(model, data)
    for batch in data:
        model.step(**batch)
    for path, value in wanted.items():
        np.testing.assert_allclose(model.state(path).detach(), value, rtol=TRAINING, atol=TRAINING, err_msg=path)


def test_evaluation_reads_the_states_and_leaves_them() -> None:
    model = dltc.compile(text=TEXT).load(dtype=torch.float64, examples=60)
    for batch in batches(3):
        model.step(**batch)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert set(PATHS) <= set(before)
    model.eval()
    x = torch.as_tensor(batches(1)[0]["x"])
    wanted = (x - model.state("m")) / torch.sqrt(model.state("v") + 0.01)
    torch.testing.assert_close(model(x=x)["f"], wanted @ model.W.T)
    model.measure(**batches(1)[0])
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert [name for name, _ in model.named_parameters()] == ["W"]


def test_a_step_is_the_interpreted_one() -> None:
    artefact = compile_spec(TEXT, "running.dlt")
    model = dltc.compile(text=TEXT).load(dtype=torch.float64, examples=60)
    batch = batches(1)[0]
    state = {slot.path: model.state(slot.path).detach().numpy().copy() for slot in model.STATE}
    states = {k: v for k, v in state.items() if k != "W"}
    env = Env(inputs=batch, params={"W": state["W"]}, states=states, examples=60, step=1)
    wanted = interpret(artefact.step, env)
    model.step(**batch)
    for path, axes in (("W", "kd"), ("m", "d"), ("v", "d"), ("target", "kd"), ("previous", ""), ("count", "")):
        np.testing.assert_allclose(
            model.state(path).detach(), wanted[f"next {path}"].expand(tuple(axes), state[path].shape), rtol=1e-12
        )


def test_only_states_may_learn() -> None:
    """A model whose parameters are frozen still has a step: its states move."""
    text = "dlt 1\nmodel M {\n  input x\n  state m = 0\n  m <- m + mean[batch](x)\n  x ~ Normal(stop(m), std = 1)\n}\n"
    model = dltc.compile(text=text).load(dtype=torch.float64)
    model.step(x=[1.0, 3.0])
    model.step(x=[1.0, 3.0])
    assert float(model.state("m")) == 4.0


def test_a_statistic_of_axes_that_end() -> None:
    """A mean over the batch and an ending axis counts what exists."""
    text = """dlt 1
model M {
  axis t
  input x[t]
  state m = 0
  m <- mean[batch, t](x)
  x ~ Normal(0, std = 1)
  data from npz("d.npz") { x = x; t = n }
}
"""
    model = dltc.compile(text=text).load(dtype=torch.float64)
    model.step(x=np.array([[1.0, 2.0, 9.0], [3.0, 9.0, 9.0]]), t=np.array([2, 1]))
    assert float(model.state("m")) == 2.0


# ------------------------------------------------------------ trained

BLOCKS = (
    'data from npz("d.npz") { x = x; y = y; valid 0.2 }\n  train { batch 8; steps 40; dtype float64; SEEDS seed 3 }'
)


@pytest.fixture
def job(tmp_path):
    rng = np.random.default_rng(5)
    np.savez(tmp_path / "d.npz", x=rng.normal(1.0, 2.0, size=(60, 3)), y=rng.normal(size=(60, 2)))

    def make(seeds: str = "") -> Job:
        text = RUNNING.replace("DATA", BLOCKS).replace("SEEDS", seeds)
        artefact = compile_spec(text, "running.dlt")
        return Job(artefact.source, artefact.manifest, artefact.text, tmp_path, {})

    return make


class At17(Silent):
    def step(self, done: int, text: str) -> None:
        if done == 17:
            os.kill(os.getpid(), signal.SIGINT)


def test_resume_is_bit_exact(job, tmp_path) -> None:
    straight = train(job(), tmp_path / "a", progress=Silent()).module.state_dict()
    with pytest.raises(Interrupted):
        train(job(), tmp_path / "b", progress=At17())
    resumed = train(job(), tmp_path / "b", resume=True, progress=Silent()).module.state_dict()
    assert float(straight["count"]) == 40
    assert all(torch.equal(straight[k], resumed[k]) for k in straight)


def test_seeds_keep_a_state_each(job, tmp_path) -> None:
    folded = train(job("seeds 2;"), tmp_path / "k", progress=Silent()).module
    alone = train(job(), tmp_path / "one", progress=Silent()).module
    assert folded.state("target").shape == (2, 2, 3)
    for path in PATHS:
        torch.testing.assert_close(folded.state(path)[0], alone.state(path), rtol=TRAINING, atol=TRAINING)
    assert not torch.equal(folded.state("m")[0], folded.state("m")[1])


# ------------------------------------------------------------ diff


def changed(old: str, new: str) -> dict[str, tuple[str, str]]:
    a, b = compile_spec(TEXT, "a.dlt"), compile_spec(TEXT.replace(old, new), "b.dlt")
    return {c.path: (c.cls, c.what) for c in diff_artefacts(a, b).changes}


def test_diff_sees_starts_and_updates() -> None:
    assert changed("0.9*m + 0.1*mu", "0.1*mu + 0.9*m") == {}
    assert changed("0.9*m + 0.1*mu", "0.8*m + 0.2*mu") == {"m": ("semantic", "state")}
    assert changed("v[d] = 1", "v[d] = 2") == {"v": ("semantic", "state")}
    assert changed("count = 0", "count = 0, more = 0\n  more <- 1") == {"more": ("params", "state")}


def test_a_value_of_the_parameter_is_not_the_learned_parameter() -> None:
    """An update reads `W` after `learn`, and a value as the step computed it: two meanings."""
    through = "u[k, d] = W[k, d]\n  target <- 0.99*target + 0.01*u"
    assert changed("target <- 0.99*target + 0.01*W", through)["target"] == ("semantic", "state")
