"""`seeds K`: one program of K replicas is K separate runs with seeds S, S + 1, ..., draws, data and results alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import REPLICA

import dltc
from dltc.cli.main import main
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import REPLICA as AXIS
from dltc.compiler.pipeline import Options, compile_spec
from dltc.runtime.errors import Diverged, Interrupted

K = 3
SPEC = """dlt 1
model Small {{
  axis f = 4, h = 5, c = 3
  input x[f]
  input y: c
  param W[h, f] ~ Normal(0, var = 1/f)
  param g[h] in positive ~ LogNormal(0, std = 0.3)
  param p[h] in simplex[h] ~ Dirichlet(1.5)
  param V[c, h] ~ Laplace(0, 0.5)
  u[h] = dropout(g * relu(W * x) + p, 0.2)
  s[c] = V * u
  probe Z[h, h'] = W[h, f] * W[h', f]
  y ~ Categorical(logits = s)
  learn {{ W, V : Adam(lr = 2e-2); g : EG(lr = 0.05); p : EG(lr = 0.05) }}
  data from npz("data.npz") {{ x = {x}; y = species; valid 0.2; test 0.2 }}
  train {{ batch 16; epochs 4; seed 7; dtype float64; report accuracy(y, s), nll every 5; {more} }}
}}
"""


@pytest.fixture
def spec(tmp_path):
    """Writes a spec beside its data (Fisher's irises); returns the path."""
    from sklearn.datasets import load_iris

    data = load_iris()
    np.savez(tmp_path / "data.npz", all=data.data, species=data.target)

    def write(more: str = "", x: str = "all") -> Path:
        path = tmp_path / "small.dlt"
        path.write_text(SPEC.format(more=more, x=x))
        return path

    return write


def close(a: torch.Tensor, b: torch.Tensor, what: str) -> None:
    a, b = a.detach(), b.detach()
    assert a.shape == b.shape, what
    assert float((a - b).abs().max()) <= REPLICA * max(1.0, float(b.abs().max())), what


@pytest.mark.parametrize("column", ["all", "standardize(all)"])
@pytest.mark.parametrize("more", ["", "clip 0.5; keep best", "stop after 2 without nll"])
def test_a_run_of_replicas_is_separate_runs(spec, tmp_path, column, more):
    """Parameters, rule states and metrics; splits, statistics of columns, shuffles, noise and stopping are each one's own."""
    path = spec(more, column)
    folded = dltc.train(path, out=tmp_path / "all", set={"train.seeds": K}, quiet=True)
    assert folded.spread is not None and folded.replicas is not None
    for r in range(K):
        single = dltc.train(path, out=tmp_path / f"one{r}", seed=7 + r, quiet=True)
        for slot in single.model.STATE:
            close(folded.model.state(slot.path)[r], single.model.state(slot.path), f"{slot.path} of replica {r}")
        for key, value in single.metrics.items():
            assert abs(folded.replicas[key][r] - value) <= REPLICA * max(1.0, abs(value))
    for key, values in folded.replicas.items():
        assert folded.metrics[key] == pytest.approx(np.mean(values), abs=1e-15)
        assert folded.spread[key] == pytest.approx(np.std(values, ddof=1), abs=1e-15)


def test_draws_and_shapes(spec):
    """Replica r starts where seed S + r does (its normal draws bit for bit); the axis comes first; inputs may be shared or each one's own."""
    path = spec()
    folded = dltc.compile(path, set={"train.seeds": K}).load(seed=2, examples=50)
    program = dltc.compile(path)
    x, y = np.random.default_rng(0).normal(size=(K, 6, 4)), np.zeros((K, 6), dtype=int)
    out = folded(x=x)["s"]
    assert folded.W.shape == (K, 5, 4) and out.shape == (K, 6, 3) and folded.log_prior().shape == (K,)
    assert folded(x=x[0])["s"].shape == (K, 6, 3)
    noisy = folded.step(x=x, y=y)
    for r, seed in enumerate(folded.seeds):
        single = program.load(seed=seed, examples=50)
        assert seed == 2 + r
        fresh = dltc.compile(path, set={"train.seeds": K}).load(seed=2, examples=50)
        for slot in single.STATE:
            close(fresh.state(slot.path)[r], single.state(slot.path), slot.path)
            assert slot.path != "W" or torch.equal(fresh.W[r], single.W)
        close(fresh.eval()(x=x)["s"][r], single.eval()(x=x[r])["s"], "forward")
        close(noisy["nll"][r], single.step(x=x[r], y=y[r])["nll"], "a step with dropout")
    with pytest.raises(ValueError, match="3 replicas"):
        folded(x=x[:2])


def test_the_interpreter_knows_replicas(spec):
    """The folded graphs, interpreted, are the emitted module: initial values (keyed draws) and a step with noise."""
    text = spec("seeds 3").read_text()
    artefact = compile_spec(text, "small.dlt", Options())
    module = dltc.compile(text=text).load(seed=4, examples=50)
    found = interpret(
        artefact.functions, Env(seed=4, step=0, sizes={"batch": 6}, inputs=_inputs(), params=_params(module))
    )
    for slot in module.STATE:
        value = found[f"init {slot.path}"]
        order = (AXIS, *slot.axes[1:])
        np.testing.assert_allclose(module.state(slot.path).detach(), value.expand(order, slot.shape), atol=1e-12)
    env = Env(_inputs(), _params(module), {s.path: module.state(s.path).numpy() for s in module.STATE if "@" in s.path},
              examples=50, seed=4)  # fmt: skip
    wanted = interpret(artefact.step, env)
    stats = module.step(**_inputs())
    np.testing.assert_allclose(stats["nll"], wanted["report nll"].data, atol=1e-12)
    np.testing.assert_allclose(module.W.detach(), wanted["next W"].expand((AXIS, "h", "f"), (K, 5, 4)), atol=1e-12)


def _inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(K, 6, 4)), "y": rng.integers(0, 3, (K, 6))}


def _params(module) -> dict[str, np.ndarray]:
    return {s.path: module.state(s.path).detach().numpy().copy() for s in module.STATE if s.role == "param"}


def test_resume_is_bit_exact(spec, tmp_path, monkeypatch):
    """Broken off in the middle and gone on with, as without a break; also where `keep best` has remembered states."""
    path = spec("keep best; seeds 3")
    whole = dltc.train(path, out=tmp_path / "whole", quiet=True)
    from dltc.runtime.trainer import Trainer

    plain = Trainer._step

    def broken(self):
        if self.module.t == 13:
            self._interrupt(2)
        plain(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", broken)
        with pytest.raises(Interrupted):
            dltc.train(path, out=tmp_path / "parts", quiet=True)
    parts = dltc.train(path, out=tmp_path / "parts", resume=True, quiet=True)
    assert parts.replicas == whole.replicas
    for slot in whole.model.STATE:
        assert torch.equal(parts.model.state(slot.path), whole.model.state(slot.path))


def test_the_command_line(spec, tmp_path, capfd):
    """`train --json`: mean under the key, `spread` beside; the log of metrics, eval and the manifest know the replicas."""
    path, run = spec("seeds 3"), tmp_path / "run"

    def output(*arguments: str) -> str:
        capfd.readouterr()
        assert main(arguments) == 0
        return capfd.readouterr().out

    result = json.loads(output("train", str(path), "-o", str(run), "--json", "--quiet"))
    each = result["replicas"]["nll"]
    assert result["metrics"]["nll"] == pytest.approx(np.mean(each)) and len(each) == K
    assert result["spread"]["nll"] == pytest.approx(np.std(each, ddof=1))
    again = json.loads(output("eval", str(run), "--json"))
    assert again["replicas"] == result["replicas"] and again["spread"] == result["spread"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(len(row["replicas"]["nll"]) == K for row in rows if "metrics" in row)
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["replicas"] == K and manifest["parameters"][0]["shape"] == [K, 5, 4]
    shown = output("eval", str(run))
    assert "(3 seeds)" in shown and "+-" in shown


def test_a_diverged_replica_is_named(spec, tmp_path):
    """One replica whose parameters are spoilt stops the run, by its number and its seed."""
    from dltc.runtime.trainer import Trainer

    plain = Trainer._step

    def spoilt(self):
        if self.module.t == 3:
            with torch.no_grad():
                self.module.W[1].fill_(float("nan"))
        plain(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", spoilt)
        with pytest.raises(Diverged, match=r"in replica 1 \(seed 8\) at step 4"):
            dltc.train(spec("seeds 3"), out=tmp_path / "run", quiet=True)


def test_what_all_replicas_share_is_computed_once(spec):
    """A value of constants alone has no replicas, in the graph and in the emitted code."""
    text = spec("seeds 3").read_text().replace("s[c] = V * u", "k[h] = exp(-0.1 * label(h))\n  s[c] = V * (k * u)")
    artefact = compile_spec(text, "small.dlt", Options())
    assert artefact.functions.roots["value k"].axes == {"h"}
    assert AXIS in artefact.functions.roots["value s"].axes
    assert AXIS not in artefact.circuit.roots["value s"].axes


def test_diff_calls_it_schedule(spec):
    path = spec()
    other = path.with_name("other.dlt")
    other.write_text(path.read_text().replace("seed 7;", "seed 7; seeds 8;"))
    found = dltc.diff(path, other)
    assert [(c.cls, c.path, c.before, c.after) for c in found.changes] == [("schedule", "seeds", "1", "8")]
