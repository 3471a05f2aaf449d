"""Several train blocks: against hand-written torch loops, bit for bit over a resume, and what they may not say."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import TRAINING
from torch import Tensor

import dltc
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.diff import diff_artefacts
from dltc.compiler.pipeline import Artefact, compile_spec
from dltc.runtime.errors import Interrupted
from dltc.runtime.progress import Silent
from dltc.runtime.session import Job, RunResult, evaluate_run, train

TEXT = """dlt 1
model Two {
  axis i = 3, o = 2
  input x[i]
  input y[o]
  param W[o, i] ~ Normal(0, var = 4)
  param b[o] ~ Normal(0, var = 1)
  state m[o] = 0
  mean_[o] = mean[batch](y)
  m <- 0.9 * m + 0.1 * mean_
  y ~ Normal(W * x + b, var = 0.1)
  learn { W : SGD(lr = 0.01); b : Adam(lr = 0.02) }
  data from npz("d.npz") { x = x; y = y }
  BLOCKS
}
"""
ALL = "train { batch all; steps 4; seed 3; dtype float64 }"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(8, 3)), y=rng.normal(size=(8, 2)))
    return tmp_path


def artefact(blocks: str) -> Artefact:
    return compile_spec(TEXT.replace("BLOCKS", blocks), "two.dlt")


def job_of(made: Artefact, folder: Path) -> Job:
    earlier = [(block.source, block.manifest) for block in made.phases[:-1]]
    return Job(made.source, made.manifest, made.text, folder, {}, earlier=earlier)


def run(blocks: str, folder: Path, name: str = "run", **options: bool) -> RunResult:
    return train(job_of(artefact(blocks), folder), folder / name, progress=Silent(), **options)


def start() -> dict[str, Tensor]:
    """The initial values of seed 3."""
    model = dltc.compile(text=TEXT.replace("BLOCKS", ""), dtype="float64").load(seed=3, examples=8)
    return {name: model.state(name).detach().clone() for name in ("W", "b")}


def loop(folder: Path, values: dict[str, Tensor], make, steps: int) -> dict[str, Tensor]:
    """Steps of optimizers that ``make`` gives for W and b, by autograd."""
    data = np.load(folder / "d.npz")
    x, y = torch.as_tensor(data["x"]), torch.as_tensor(data["y"])
    w, b = (values[name].clone().requires_grad_() for name in ("W", "b"))
    optimizers = make(w, b)
    for _ in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        normal = torch.distributions.Normal
        nll = -normal(x @ w.T + b, 0.1**0.5).log_prob(y).sum(1).mean()
        prior = normal(0.0, 2.0).log_prob(w).sum() + normal(0.0, 1.0).log_prob(b).sum()
        (nll - prior / 8).backward()
        for optimizer in optimizers:
            optimizer.step()
    return {"W": w.detach(), "b": b.detach()}


def first(w: Tensor, b: Tensor) -> list[torch.optim.Optimizer]:
    return [torch.optim.SGD([w], lr=0.01), torch.optim.Adam([b], lr=0.02)]


def second(w: Tensor, b: Tensor) -> list[torch.optim.Optimizer]:
    return [torch.optim.Adam([w], lr=0.05), torch.optim.Adam([b], lr=0.02)]


def close(result: RunResult, expected: dict[str, Tensor]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(result.module.state(name).detach(), value, rtol=TRAINING, atol=TRAINING)


def test_blocks_are_one_loop_after_another(folder: Path) -> None:
    """The second replaces a rule; optimizers start afresh, Adam's of b too; settings and reports hold on."""
    result = run(f"{ALL} train {{ steps 3; learn {{ W : Adam(lr = 0.05) }} }}", folder)
    close(result, loop(folder, loop(folder, start(), first, 4), second, 3))
    assert result.outcome.steps == 7
    blocks = [p.manifest["train"] for p in artefact(f"{ALL} train {{ steps 3 }}").phases]
    assert [(b["batch"], b["steps"], b["seed"]) for b in blocks] == [("all", 4, 3), ("all", 3, 3)]


def test_the_model_s_state_goes_on(folder: Path) -> None:
    m = run(f"{ALL} train {{ steps 3 }}", folder).module.state("m")
    means = np.load(folder / "d.npz")["y"].mean(axis=0)
    np.testing.assert_allclose(m, means * (1 - 0.9**7), rtol=TRAINING)


def test_from_start_brings_the_initial_values_back(folder: Path) -> None:
    result = run(f"{ALL} train {{ from start; steps 3; learn {{ W : Adam(lr = 0.05) }} }}", folder)
    close(result, loop(folder, start(), second, 3))
    np.testing.assert_allclose(
        result.module.state("m"), np.load(folder / "d.npz")["y"].mean(axis=0) * (1 - 0.9**3), rtol=TRAINING
    )


def test_redraw_draws_anew(folder: Path) -> None:
    """Other values than at the start, the same in each run, and as widely spread as the prior says."""
    made = run(f"{ALL} train {{ redraw; steps 1; learn {{ W, b : SGD(lr = 0) }} }}", folder)
    again = run(f"{ALL} train {{ redraw; steps 1; learn {{ W, b : SGD(lr = 0) }} }}", folder, "again")
    drawn = made.module.state("W").detach()
    assert torch.equal(drawn, again.module.state("W").detach())
    assert not torch.isclose(drawn, start()["W"]).any()
    assert 0.5 < float(drawn.std()) < 4


def test_every_row_names_its_block_and_steps_count_on(folder: Path) -> None:
    run(f"{ALL} train {{ steps 3; report nll every 1 }}", folder)
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(r["step"], r["block"]) for r in rows if r.get("block") == 2] == [(5, 2), (6, 2), (7, 2), (7, 2)]
    assert [r.get("final") for r in rows].count(True) == 1
    assert {p.name for p in (folder / "run").glob("*.py")} == {"two.py", "two_block1.py"}


def test_later_blocks_draw_and_shuffle_otherwise(folder: Path) -> None:
    """The same block twice is no repetition: its batches come in another order."""
    one = "train { batch 2; steps 4; seed 3; dtype float64; report nll every 1 }"
    run(f"{one} train {{ from start; steps 4; report nll every 1 }}", folder)
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    seen = {k: [r["train"]["nll"] for r in rows if r.get("block") == k and "train" in r] for k in (1, 2)}
    assert len(seen[1]) == len(seen[2]) == 4 and seen[1] != seen[2]


class StopAt(Silent):
    """Sends SIGINT after so many steps of a block."""

    def __init__(self, block: str, step: int) -> None:
        self.block, self.at, self.here = block, step, False

    def start(self, what: str, total: int, done: int) -> None:
        self.here = what.endswith(self.block)

    def step(self, done: int, text: str) -> None:
        if self.here and done == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("block", "step"), [("1/2", 2), ("2/2", 1), ("2/2", 3)])
def test_a_resumed_run_is_the_same_run(folder: Path, block: str, step: int) -> None:
    blocks = "train { batch 3; steps 5; seed 3 } train { steps 5; learn { W : Adam(lr = 0.05) } }"
    whole = run(blocks, folder, "whole")
    with pytest.raises(Interrupted):
        train(job_of(artefact(blocks), folder), folder / "cut", progress=StopAt(block, step))
    part, scores = evaluate_run(job_of(artefact(blocks), folder), folder / "cut")
    assert part == "train" and np.isfinite(scores.mean["nll"])
    resumed = train(job_of(artefact(blocks), folder), folder / "cut", resume=True, progress=Silent())
    for slot in whole.module.STATE:
        assert torch.equal(whole.module.state(slot.path), resumed.module.state(slot.path)), slot.path
    assert resumed.outcome.metrics == whole.outcome.metrics and resumed.outcome.steps == whole.outcome.steps


def test_replicas_go_through_all_blocks(folder: Path) -> None:
    """Each is the run of its own seed."""
    blocks = "train { batch all; steps 3; seed 3; SEEDS dtype float64 } train { redraw; steps 2 } train { steps 2 }"
    both = run(blocks.replace("SEEDS", "seeds 2;"), folder, "both")
    single = run(blocks.replace("SEEDS", ""), folder, "single")
    np.testing.assert_allclose(both.module.state("W")[0].detach(), single.module.state("W").detach(), rtol=TRAINING)


def test_latents_may_be_found_otherwise(folder: Path) -> None:
    text = """dlt 1
model L {
  axis i = 3, k = 2
  input x[i]
  latent z[k] ~ Normal(0, var = 1)
  param D[i, k] ~ Normal(0, var = 1)
  x ~ Normal(D * z, var = 0.5)
  infer { z : SGD(lr = 0.05, steps = 5) }
  learn { D : SGD(lr = 0.01) }
  data from npz("d.npz") { x = x }
  train { batch all; steps 2 }
  train { steps 2; infer { z : Newton(steps = 2) } }
}
"""
    made = compile_spec(text, "l.dlt")
    found = [p.model.latents["z"].inference for p in made.phases]
    assert [f.how for f in found if f is not None] == ["rule", "newton"]
    assert train(job_of(made, folder), folder / "l", progress=Silent()).outcome.steps == 4


@pytest.mark.parametrize(
    ("blocks", "code", "words"),
    [
        ("train { from start; steps 1 }", "E0705", "begins with the initial values anyway"),
        (f"{ALL} train {{ steps 2; seed 4 }}", "E0705", "`seed` holds for the whole run"),
        (f"{ALL} train {{ steps 2; dtype float32 }}", "E0705", "`dtype` holds for the whole run"),
        (f"{ALL} train {{ from start; redraw; steps 2 }}", "E0705", "both say how the block begins"),
        (f"{ALL} train {{ batch 2 }}", "E0702", "does not say how long"),
        (f"{ALL} train {{ steps 2; learn {{ V : SGD(lr = 1) }} }}", "E0405", "`V` matches no parameter"),
        (f"{ALL} train {{ steps 2; learn {{ W : SGD(lr = 1); W : Adam() }} }}", "E0404", "two equally specific"),
        (f"{ALL} train {{ steps 2; infer {{ z : Newton(steps = 1) }} }}", "E0512", "no latent"),
    ],
)
def test_mistakes_in_blocks(blocks: str, code: str, words: str) -> None:
    """Each is said once, however many blocks there are."""
    with pytest.raises(SpecError) as caught:
        artefact(blocks)
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert words in caught.value.diagnostics[0].message


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("train { steps 3 }", "train { steps 3; learn { W : Adam(lr = 0.05) } }", "rule"),
        ("train { steps 3 }", "train { steps 5 }", "setting"),
        ("train { steps 3 }", "train { from start; steps 3 }", "setting"),
        ("train { steps 3 }", "", "train blocks"),
    ],
)
@pytest.mark.parametrize("last", ["", " train { steps 1 }"])
def test_diff_sees_every_block(before: str, after: str, what: str, last: str) -> None:
    """A change in a block is one, whether another follows or not; a block is the same as itself."""
    one, other = (artefact(f"{ALL} {block}{last}") for block in (before, after))
    assert diff_artefacts(one, one).same
    found = diff_artefacts(one, other)
    assert not found.same and what in {change.what for change in found.changes}
