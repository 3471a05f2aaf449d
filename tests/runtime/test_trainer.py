"""Training: accuracy, reports, bit-exact resume, divergence, interruption, refusals; and evaluation of a run."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch

from dltc.runtime import session
from dltc.runtime.batches import Batches
from dltc.runtime.checkpoint import restore
from dltc.runtime.errors import CheckpointError, Diverged, InputError, Interrupted, MissingDependency, NotTrainable
from dltc.runtime.evaluate import evaluate
from dltc.runtime.progress import Silent
from dltc.runtime.run_record import read_state
from dltc.runtime.session import evaluate_run, instantiate, train


def run(job, out, **options):
    return train(job, out, progress=Silent(), **options)


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class After(Silent):
    """A progress display that calls something after a step."""

    def __init__(self, step, action):
        self._step, self._action = step, action

    def step(self, done, text):
        if done == self._step:
            self._action()


def test_a_run_learns_and_leaves_everything_behind(make_job, tmp_path):
    result = run(make_job(epochs=12), tmp_path / "r")
    assert result.outcome.part == "test"
    assert result.outcome.steps == 12 * 45
    assert result.outcome.metrics["accuracy(y, s)"] > 0.9
    assert set(result.outcome.metrics) == {"accuracy(y, s)", "nll"}
    names = {p.name for p in result.folder.iterdir()}
    assert names == {"spec.dlt", "digits.py", "manifest.json", "metrics.jsonl", "log.txt", "checkpoint", ".lock"}
    lines = rows(result.folder)
    assert [line["step"] for line in lines[:-1]] == list(range(20, 541, 20))
    assert lines[0]["part"] == "train"
    assert len(lines[0]["probes"]["act"]) == 12
    assert lines[-1] == {"step": 540, "part": "test", "metrics": result.outcome.metrics, "final": True}
    assert lines[-2]["train"]["objective"] < lines[0]["train"]["objective"]


def test_the_module_reports_what_the_metrics_say(make_job, tmp_path):
    result = run(make_job(epochs=1), tmp_path / "r")
    data = session.load_data(make_job()).part("test")
    out = result.module(x=data["x"])
    accuracy = (out["s"].argmax(1).numpy() == data["y"]).mean()
    assert result.outcome.metrics["accuracy(y, s)"] == pytest.approx(accuracy)
    nll = -result.module.log_prob(**data).mean().item()
    assert result.outcome.metrics["nll"] == pytest.approx(nll, rel=1e-5)
    assert result.module.examples == 1438


def test_reports_use_the_valid_part_when_there_is_one(make_job, tmp_path):
    job = make_job(epochs=None, steps=3, every=2)
    job.manifest["data"]["valid"] = 0.1
    lines = rows(run(job, tmp_path / "r").folder)
    assert [(line["step"], line["part"]) for line in lines] == [(2, "valid"), (3, "test")]


def test_without_a_test_part_the_final_metrics_are_of_the_training_data(make_job, tmp_path):
    job = make_job(epochs=None, steps=2)
    job.manifest["data"]["test"] = 0.0
    result = run(job, tmp_path / "r")
    assert result.outcome.part == "train"
    assert result.module.examples == 1797


def test_same_seed_same_bits_other_seed_other_bits(make_job, tmp_path):
    first, again = (run(make_job(epochs=1), tmp_path / name).module for name in "ab")
    other = run(make_job(epochs=1, seed=1), tmp_path / "c").module
    assert torch.equal(first.W, again.W)
    assert not torch.equal(first.W, other.W)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 45, 61])
def test_resume_is_bit_exact(make_job, tmp_path, number, step):
    straight = run(make_job(), tmp_path / "straight")
    handler = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"interrupted at step {step} of 90") as info:
        train(make_job(), tmp_path / "r", progress=After(step, lambda: os.kill(os.getpid(), number)))
    assert info.value.signal_number == number
    assert signal.getsignal(number) is handler
    state = read_state(tmp_path / "r" / "checkpoint")
    assert (state["step"], state["epoch"], state["position"]) == (step, step // 45, step % 45)
    resumed = run(make_job(), tmp_path / "r", resume=True)
    assert resumed.outcome.steps == 90
    for slot in straight.module.STATE:
        assert torch.equal(straight.module.state(slot.path), resumed.module.state(slot.path)), slot.path
    assert resumed.outcome.metrics == straight.outcome.metrics
    lines = [line for line in rows(tmp_path / "r") if "event" not in line]
    assert lines == rows(tmp_path / "straight")


def test_a_finished_run_can_be_made_longer(make_job, tmp_path):
    straight = run(make_job(epochs=3), tmp_path / "straight")
    run(make_job(epochs=1), tmp_path / "r")
    longer = run(make_job(epochs=3), tmp_path / "r", resume=True)
    assert torch.equal(longer.module.W, straight.module.W)
    with pytest.raises(CheckpointError, match="ask for more epochs"):
        run(make_job(epochs=1), tmp_path / "r", resume=True)


def test_resume_refuses_another_run(make_job, tmp_path):
    run(make_job(epochs=None, steps=2), tmp_path / "r")
    for change, message in (({"seed": 4}, "with the seed 0, not 4"), ({"batch": 16}, "with the batch size 32, not 16")):
        with pytest.raises(CheckpointError, match=message):
            run(make_job(**change), tmp_path / "r", resume=True)
    job = make_job()
    with pytest.raises(CheckpointError, match="they differ in --set hid"):
        run(session.Job(job.source, job.manifest, job.spec, job.folder, {"set": {"hid": "9"}, "target": "torch"}),
            tmp_path / "r", resume=True)  # fmt: skip
    with pytest.raises(CheckpointError, match="the spec has changed"):
        run(session.Job(job.source, job.manifest, "dlt 1\n", job.folder, job.options), tmp_path / "r", resume=True)
    job.manifest["data"]["test"] = 0.3
    with pytest.raises(CheckpointError, match="the data have changed"):
        run(job, tmp_path / "r", resume=True)


def test_divergence_stops_and_keeps_the_last_good_checkpoint(make_job, source, tmp_path):
    """The objective turns NaN at step 31: nothing is written, and the state of step 30 is saved."""
    text = source.replace(
        "rt.check_finite(objective)", "rt.check_finite(objective * (float('nan') if self.t == 30 else 1))"
    )
    folder = tmp_path / "r"
    message = r"the objective is NaN at step 31.*\(epoch 1\); the last good checkpoint, of step 30,"
    with pytest.raises(Diverged, match=message) as info:
        run(make_job(text=text), folder)
    assert (info.value.step, info.value.exit_code) == (31, 4)
    model = instantiate(text, make_job().manifest)
    assert restore(folder / "checkpoint", model)["step"] == 30
    assert torch.isfinite(model.W).all()


def test_parameters_that_are_not_finite_are_never_saved(make_job, source, tmp_path):
    text = source.replace('return {"nll": nll,', 'self.c.fill_(float("inf"))\n        return {"nll": nll,')
    with pytest.raises(Diverged, match="`c` is not finite after step 1"):
        run(make_job(text=text, epochs=None, steps=1), tmp_path / "r")
    assert read_state(tmp_path / "r" / "checkpoint")["step"] == 0


def test_evaluate_run_repeats_the_final_metrics(make_job, tmp_path):
    result = run(make_job(epochs=1), tmp_path / "r")
    part, scores = evaluate_run(make_job(), tmp_path / "r")
    assert (part, scores.mean) == ("test", result.outcome.metrics)
    part, scores = evaluate_run(make_job(), tmp_path / "r", part="train")
    assert part == "train"
    assert scores.mean != result.outcome.metrics
    with pytest.raises(InputError, match="no part `valid`: there are test, train"):
        evaluate_run(make_job(), tmp_path / "r", part="valid")
    job = make_job()
    job.manifest["data"]["test"] = 0.5
    with pytest.raises(CheckpointError, match="the data have changed"):
        evaluate_run(job, tmp_path / "r")


def test_what_cannot_be_trained_says_why(make_job, source, tmp_path):
    job = make_job()
    for key, message in (("train", "no train block"), ("data", "has no data")):
        broken = session.Job(job.source, {**job.manifest, key: None}, job.spec, job.folder, job.options)
        with pytest.raises(NotTrainable, match=message):
            run(broken, tmp_path / "r")
    with pytest.raises(NotTrainable, match="no learn step"):
        run(make_job(text=source.replace("TRAINABLE = True", "TRAINABLE = False")), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_devices(source, manifest):
    with pytest.raises(InputError, match="`gpu` is not a device"):
        instantiate(source, manifest, device="gpu")
    with pytest.raises(MissingDependency, match="no device `cuda:99`"):
        instantiate(source, manifest, device="cuda:99")


def test_batches_cover_every_epoch_once_and_the_last_is_short():
    data = {"x": torch.arange(10.0)}
    batches = Batches(data, 4, seed=0)
    assert batches.per_epoch == 3
    epochs = [[batches.at(3 * e + i)["x"] for i in range(3)] for e in range(2)]
    assert [len(b) for b in epochs[0]] == [4, 4, 2]
    for epoch in epochs:
        assert sorted(torch.cat(epoch).tolist()) == list(range(10))
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))
    assert torch.equal(Batches(data, 4, seed=0).at(4)["x"], epochs[1][1])
    assert torch.equal(Batches(data, None, seed=0).at(5)["x"], data["x"])


def test_evaluation_in_chunks_is_the_mean_over_all(digits, monkeypatch):
    model = digits(seed=0, dtype=torch.float64)
    data = {"x": torch.rand(10, 64, dtype=torch.float64), "y": torch.arange(10)}
    whole, probes = evaluate(model, data)
    monkeypatch.setattr("dltc.runtime.evaluate.CHUNK", 4)
    parts, part_probes = evaluate(model, data)
    assert parts.mean == pytest.approx(whole.mean)
    torch.testing.assert_close(probes["act"], part_probes["act"])
    torch.testing.assert_close(probes["act"], model(x=data["x"])["h"].mean(0).detach())
