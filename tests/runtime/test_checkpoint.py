"""Checkpoints: whole or refused, with the reason; and safe against a crash between two files."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

import dltc
from dltc.runtime import checkpoint
from dltc.runtime.errors import CheckpointError
from dltc.runtime.files import to_json, write_atomic


@pytest.fixture
def model(digits):
    model = digits(seed=3, examples=50)
    for _ in range(4):
        model.step(x=torch.rand(8, 64), y=torch.randint(10, (8,)))
    return model


def edit(folder, change):
    path = folder / "state.json"
    state = json.loads(path.read_text())
    change(state)
    path.write_text(json.dumps(state))


def test_round_trip(model, digits, tmp_path):
    checkpoint.save(tmp_path / "c", model, {"seed": 3})
    other = digits(seed=9)
    state = checkpoint.restore(tmp_path / "c", other)
    assert (state["step"], state["seed"], other.t) == (4, 3, 4)
    for slot in model.STATE:
        assert torch.equal(model.state(slot.path), other.state(slot.path)), slot.path
    assert state["slots"][0] == {"path": "W", "role": "param", "shape": [12, 64], "dtype": "float32"}


def test_a_parameter_called_t(tmp_path):
    """The number of the step is an attribute `t` of every module; a parameter of that name must not be in its way."""
    text = """dlt 1
model M {
  input x
  param t ~ Normal(0, var = 1)
  y = t * x
  y ~ Gibbs()
  learn { t : SGD(lr = 0.1) }
  train { batch 2; steps 1 }
}
"""
    program = dltc.compile(text=text)
    model = program.load(seed=1, examples=2)
    model.step(x=[1.0, 2.0])
    checkpoint.save(tmp_path / "c", model, {})
    other = program.load(seed=2, examples=2)
    checkpoint.restore(tmp_path / "c", other)
    assert other._steps == 1
    assert torch.equal(other.state("t"), model.state("t"))


def test_files_are_safetensors_and_json_and_the_old_one_goes(model, tmp_path):
    checkpoint.save(tmp_path, model, {})
    model.step(x=torch.rand(8, 64), y=torch.randint(10, (8,)))
    checkpoint.save(tmp_path, model, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.json", "step-5.safetensors"]
    tensors = safetensors.torch.load_file(tmp_path / "step-5.safetensors")
    assert torch.equal(tensors["W@m"], model.state("W@m"))


def test_a_crash_between_the_two_files_leaves_the_old_checkpoint(model, digits, tmp_path, monkeypatch):
    checkpoint.save(tmp_path, model, {})
    before = model.W.detach().clone()
    model.step(x=torch.rand(8, 64), y=torch.randint(10, (8,)))

    def crash(path, content):
        if path.name == "state.json":
            raise OSError("no space left")
        write_atomic(path, content)

    monkeypatch.setattr(checkpoint, "write_atomic", crash)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(tmp_path, model, {})
    other = digits()
    assert checkpoint.restore(tmp_path, other)["step"] == 4
    assert torch.equal(other.W, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(checkpoint=2), "checkpoint version 2, this dltc reads 1; upgrade dltc"),
        (lambda s: s.pop("tensors"), "damaged: state.json has no `tensors.file`"),
        (lambda s: s.update(step="four"), "its step is 'four'"),
        (lambda s: s.pop("checkpoint"), "checkpoint version None"),
        (lambda s: s["tensors"].update(sha256="0"), "step-4.safetensors is damaged"),
        (lambda s: s["tensors"].update(file="../step-4.safetensors"), "outside its folder"),
        (lambda s: s["tensors"].update(file="step-9.safetensors"), "cannot be read"),
    ],
)
def test_what_state_json_says_is_checked(model, digits, tmp_path, change, message):
    checkpoint.save(tmp_path, model, {})
    edit(tmp_path, change)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.restore(tmp_path, digits())


def test_one_flipped_bit_is_found(model, digits, tmp_path):
    checkpoint.save(tmp_path, model, {})
    path = tmp_path / "step-4.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.restore(tmp_path, digits())


def test_missing_and_unreadable(digits, tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint in"):
        checkpoint.restore(tmp_path, digits())
    for text in ("{", "[]", "3", "[" * 100_000):
        (tmp_path / "state.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"cannot be read|version None"):
            checkpoint.restore(tmp_path, digits())


def test_another_model_is_refused(model, digits, tmp_path, monkeypatch):
    checkpoint.save(tmp_path, model, {})
    with pytest.raises(CheckpointError, match=r"`W` is torch.float32 in the checkpoint, torch.float64 in the model"):
        checkpoint.restore(tmp_path, digits(dtype=torch.float64))
    other = digits()
    other._parameters["W"] = torch.nn.Parameter(torch.zeros(13, 64))
    with pytest.raises(CheckpointError, match=r"`W` has shape \[12, 64\] in the checkpoint, \[13, 64\] in the model"):
        checkpoint.restore(tmp_path, other)
    fewer = digits()
    monkeypatch.setattr(digits, "STATE", digits.STATE[:-1])
    with pytest.raises(CheckpointError, match="they differ in c@v"):
        checkpoint.restore(tmp_path, fewer)


def test_a_refused_checkpoint_changes_nothing(model, digits, tmp_path):
    checkpoint.save(tmp_path, model, {})
    other = digits(seed=8)
    other._parameters["c"] = torch.nn.Parameter(torch.zeros(11))
    before = other.W.detach().clone()
    with pytest.raises(CheckpointError):
        checkpoint.restore(tmp_path, other)
    assert torch.equal(other.W, before)
    assert other.t == 0


def test_write_atomic_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_atomic(path, b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_json_never_holds_nan():
    assert to_json({"a": float("nan"), "b": [1.5, float("inf")], "c": "é"}) == '{"a": null, "b": [1.5, null], "c": "é"}'
