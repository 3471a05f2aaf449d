"""`train over`: tasks in order against a hand-written loop, replay, reports of every task so far, resume."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import TRAINING

import dltc
from dltc.cli.main import main
from dltc.compiler.diff import diff_artefacts
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.errors import Interrupted
from dltc.runtime.philox import permutation
from dltc.runtime.progress import Silent
from dltc.runtime.session import Job, RunResult, load_data, train
from dltc.runtime.tasks import TaskBatches

TEXT = """dlt 1
model Tasks {
  axis i = 3, task = 1..3
  input x[i]
  input y
  input which: task
  param w[i] ~ Normal(0, var = 4) init 0
  s = w * x
  y ~ Normal(s, var = 1)
  learn { w : SGD(lr = 0.05) }
  data from npz("d.npz") { x = x; y = y; which = which }
  train over task { batch all; epochs 2; seed 0; dtype float64; SETTINGS report rmse(y, s) every 1 }
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows of three tasks, 4, 6 and 5 of them, mixed."""
    rng = np.random.default_rng(1)
    which = rng.permutation(np.repeat([1, 2, 3], [4, 6, 5]))
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(15, 3)), y=rng.normal(size=15), which=which)
    return tmp_path


def job(text: str, folder: Path) -> Job:
    made = compile_spec(text, "tasks.dlt")
    return Job(made.source, made.manifest, made.text, folder, {})


def run(folder: Path, settings: str = "", name: str = "run", text: str = TEXT, **options: bool) -> RunResult:
    return train(job(text.replace("SETTINGS", settings), folder), folder / name, progress=Silent(), **options)


def test_tasks_are_one_loop_after_another(folder: Path) -> None:
    """Each task's own examples, and their number as N."""
    data = np.load(folder / "d.npz")
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    for task in (1, 2, 3):
        rows = np.flatnonzero(data["which"] == task)
        x, y = (torch.as_tensor(data[name][rows]) for name in "xy")
        optimizer = torch.optim.SGD([w], lr=0.05)
        for _ in range(2):
            optimizer.zero_grad()
            nll = -torch.distributions.Normal(x @ w, 1.0).log_prob(y).mean()
            (nll - torch.distributions.Normal(0.0, 2.0).log_prob(w).sum() / len(rows)).backward()
            optimizer.step()
    result = run(folder)
    assert result.outcome.steps == 6
    np.testing.assert_allclose(result.module.state("w").detach(), w.detach(), rtol=TRAINING, atol=TRAINING)


def test_reports_cover_every_task_so_far(folder: Path) -> None:
    result = run(folder)
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    seen = [(r["step"], r["task"], len(r["tasks"])) for r in rows if "task" in r]
    assert seen == [(1, 0, 1), (2, 0, 1), (3, 1, 2), (4, 1, 2), (5, 2, 3), (6, 2, 3)]
    last = [r for r in rows if "task" in r][-1]
    counts = np.array([4, 6, 5])
    each = np.array([t["nll"] for t in last["tasks"]])
    assert last["metrics"]["nll"] == pytest.approx(float((each * counts).sum() / 15), rel=TRAINING)
    assert [t.mean["nll"] for t in result.outcome.tasks] == pytest.approx(each, rel=TRAINING)


def test_replay_takes_its_share_of_earlier_tasks() -> None:
    """Exactly so many rows of a batch, of earlier tasks only; over an epoch every row of the task is seen once."""
    rows = [np.arange(0, 10), np.arange(10, 30), np.arange(30, 34)]
    batches = TaskBatches({"x": torch.arange(34)}, 8, 5, rows, replay=0.25, epochs=2, steps=None)
    assert batches.ends == [4, 4 + 8, 12 + 4]
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for step in range(batches.total):
        task, x = batches.task(step), batches.at(step)["x"].numpy()
        own = np.isin(x, rows[task])
        expected = {0: 0, 1: 2, 2: 1}[task]
        assert (~own).sum() == expected and (x[~own] < rows[task][0]).all()
        assert len(set(x)) == len(x)
        seen[task] += x[own].tolist()
    assert {k: sorted(v) for k, v in seen.items()} == {k: sorted([*part, *part]) for k, part in enumerate(rows)}


class StopAt(Silent):
    """Sends SIGINT after so many steps."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, done: int, text: str) -> None:
        if done == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("step", [1, 5, 9])
def test_a_resumed_run_is_the_same_run(folder: Path, step: int) -> None:
    text = TEXT.replace("batch all", "batch 2").replace("SETTINGS", "replay 0.5;")
    whole = run(folder, name="whole", text=text)
    with pytest.raises(Interrupted):
        train(job(text, folder), folder / "cut", progress=StopAt(step))
    resumed = train(job(text, folder), folder / "cut", resume=True, progress=Silent())
    assert torch.equal(whole.module.state("w"), resumed.module.state("w"))
    assert [t.mean for t in whole.outcome.tasks] == [t.mean for t in resumed.outcome.tasks]


PERMUTED = """dlt 1
model Permuted {
  axis pix = 4, task = 3
  input x[pix]
  input which: task
  param a[pix] ~ Normal(0, var = 1)
  x ~ Normal(a, var = 1)
  learn { a : SGD(lr = 0.1) }
  data from npz("d.npz") { x = permute(x, seed = 10 * task + 1); which = label(task); test 0.25 }
  train over task { batch 2; epochs 1; seed 0; SEEDS report nll }
}
"""


@pytest.mark.parametrize("seeds", ["", "seeds 2;"])
def test_columns_may_read_the_label(tmp_path: Path, seeds: str) -> None:
    """All rows once for every label, permuted by a seed of its own; an example is in one part for all."""
    x = np.arange(32.0).reshape(8, 4)
    np.savez(tmp_path / "d.npz", x=x)
    found = load_data(job(PERMUTED.replace("SEEDS", seeds), tmp_path))
    for task in range(3):
        rows = slice(8 * task, 8 * task + 8)
        np.testing.assert_array_equal(found.inputs["x"][rows], x[:, permutation(10 * task + 1, "data.permute", 4)])
        assert (found.inputs["which"][rows] == task).all()
    for name, count in (("train", 6), ("test", 2)):
        for rows in np.atleast_2d(found.parts[name]):
            assert len({*(rows % 8)}) == count and len(rows) == 3 * count
    result = run(tmp_path, text=PERMUTED.replace("SEEDS", seeds))
    assert result.outcome.steps == 9 and len(result.outcome.tasks) == 3


def test_from_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tasks.dlt").write_text(TEXT.replace("SETTINGS", ""))
    assert (
        main(["train", str(folder / "tasks.dlt"), "-o", str(folder / "r"), "--json", "--set", "train.replay=0.5"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert [set(task) for task in said["tasks"]] == [{"rmse(y, s)", "nll"}] * 3
    run_ = dltc.train(folder / "tasks.dlt", out=folder / "r2")
    assert run_.tasks is not None and len(run_.tasks) == 3


def test_a_task_without_examples(folder: Path) -> None:
    data = dict(np.load(folder / "d.npz"))
    data["which"] = np.where(data["which"] == 2, 3, data["which"])
    np.savez(folder / "d.npz", **data)
    with pytest.raises(Exception, match="task 1 has no example in the part `train`"):
        run(folder)


def test_diff_sees_the_share() -> None:
    one, other = (compile_spec(TEXT.replace("SETTINGS", s), "t.dlt") for s in ("", "replay 0.5;"))
    assert diff_artefacts(one, one).same and not diff_artefacts(one, other).same
