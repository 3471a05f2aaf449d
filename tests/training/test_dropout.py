"""`training` and `dropout`: what acts in training only, the same mask forward and backward, evaluation without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import EMITTED, GRADIENT, TRAINING

import dltc
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.progress import Silent
from dltc.runtime.session import Job, train

TEXT = """dlt 1
model M {
  axis d = 40, k = 3
  input x[d]
  input y[k]
  param W[k, d] ~ Normal(0, var = 1/d)
  u[d] = dropout(x, 0.25)
  v[d] = dropout(x, 0.25)
  same[d] = dropout(x, 0)
  f[k] = W[k, d] * u[d] * (1 + training)
  y ~ Normal(f, std = 1)
  learn { W : SGD(lr = 0.1) }
  BLOCKS
}
"""


def module(seed: int = 0) -> torch.nn.Module:
    return dltc.compile(text=TEXT.replace("BLOCKS", "")).load(dtype=torch.float64, examples=50, seed=seed)


def batch(rows: int = 50) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {"x": rng.normal(size=(rows, 40)), "y": rng.normal(size=(rows, 3))}


def test_entries_are_kept_or_dropped_and_scaled() -> None:
    model, data = module(), batch()
    out = model(**data)
    ratio = out["u"] / torch.as_tensor(data["x"])
    kept = ratio != 0
    torch.testing.assert_close(ratio[kept], torch.full_like(ratio[kept], 1 / 0.75))
    share = float(kept.double().mean())
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / kept.numel()) ** 0.5
    assert torch.equal(out["same"], torch.as_tensor(data["x"]))
    assert not torch.equal(out["u"], out["v"])  # two places draw for themselves


def test_evaluation_drops_nothing() -> None:
    model, data = module().eval(), batch()
    out = model(**data)
    assert torch.equal(out["u"], torch.as_tensor(data["x"]))
    torch.testing.assert_close(out["f"], torch.as_tensor(data["x"]) @ model.W.T)


def test_a_mask_is_a_function_of_seed_and_step() -> None:
    data = batch()
    a, b, other = module(), module(), module(seed=1)
    assert torch.equal(a(**data)["u"], b(**data)["u"])
    assert not torch.equal(a(**data)["u"], other(**data)["u"])
    before = a(**data)["u"].clone()
    a.step(**data)
    assert not torch.equal(a(**data)["u"], before)


def test_forward_and_backward_use_one_mask() -> None:
    """The step descends on the density that the module shows in training at that step."""
    model, data = module(), batch()
    loss = -model.log_joint(**data).mean() - model.log_prior() / 50
    (grad,) = torch.autograd.grad(loss, [model.W])
    wanted = model.W.detach() - 0.1 * grad
    model.step(**data)
    np.testing.assert_allclose(model.W.detach(), wanted, rtol=GRADIENT, atol=GRADIENT)


@pytest.mark.parametrize("training", [True, False])
def test_the_interpreter_draws_the_same(training: bool) -> None:
    artefact, model, data = compile_spec(TEXT.replace("BLOCKS", ""), "m.dlt"), module().train(training), batch(7)
    env = Env(inputs=data, params={"W": model.W.detach().numpy()}, examples=50, step=1, training=training, seed=0)
    found = interpret(artefact.functions, env)
    for name, axis in (("u", "d"), ("v", "d"), ("f", "k")):
        wanted = found[f"value {name}"].expand(("batch", axis), (7, 40 if axis == "d" else 3))
        np.testing.assert_allclose(model(**data)[name].detach(), wanted, rtol=EMITTED, atol=EMITTED)


def test_reports_measure_without(tmp_path) -> None:
    """What training reports at its end is what a loop without dropout computes."""
    np.savez(tmp_path / "d.npz", **batch(60))
    blocks = 'data from npz("d.npz") { x = x; y = y }\n  train { batch 16; steps 5; dtype float64; report rmse(y, f) }'
    artefact = compile_spec(TEXT.replace("BLOCKS", blocks), "m.dlt")
    result = train(
        Job(artefact.source, artefact.manifest, artefact.text, tmp_path, {}), tmp_path / "r", progress=Silent()
    )
    x, y = (torch.as_tensor(a) for a in batch(60).values())
    wanted = ((y - x @ result.module.W.detach().T) ** 2).mean().sqrt()
    assert abs(result.outcome.metrics["rmse(y, f)"] - float(wanted)) < TRAINING
