"""The Python door: compile, load, train, diff."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import dltc
from dltc.runtime.errors import RunFolderError


def test_compile_from_path_and_text(spec):
    program = dltc.compile(spec, set={"hid": 7})
    assert program.manifest["model"] == "Digits"
    assert "class Digits(rt.Module)" in program.source
    assert repr(program) == "Program(Digits, target='torch')"
    same = dltc.compile(text=spec.read_text(), set={"hid": "7"})
    assert same.load().W.shape == (7, 64)
    for level in ("graph", "step", "optimized"):
        assert program.graph(level).to_networkx().number_of_nodes() > 5
    with pytest.raises(ValueError, match="wiring"):
        program.graph("wiring")


def test_compile_refuses(spec):
    with pytest.raises(TypeError, match="one of them"):
        dltc.compile()
    with pytest.raises(TypeError, match="one of them"):
        dltc.compile(spec, text="dlt 1\n")
    with pytest.raises(FileNotFoundError):
        dltc.compile("missing.dlt")
    with pytest.raises(dltc.SpecError) as info:
        dltc.compile(text="dlt 1\nmodel M { frob }\n")
    assert info.value.diagnostics[0].code.startswith("E")
    assert isinstance(info.value.diagnostics[0], dltc.Diagnostic)


def test_load(spec):
    program = dltc.compile(spec)
    model = program.load(seed=0, device="cpu", dtype=torch.float64, examples=1000)
    assert isinstance(model, torch.nn.Module)
    x, y = torch.rand(5, 64), torch.arange(5)
    out = model(x=x)
    assert out["s"].shape == (5, 10)
    assert out["h"].shape == (5, 12)
    log_prob = torch.log_softmax(out["s"], 1)[torch.arange(5), y]
    torch.testing.assert_close(model.log_prob(x=x, y=y), log_prob)
    before = model.W.detach().clone()
    stats = model.step(x=x, y=y)
    torch.testing.assert_close(stats["nll"], -log_prob.mean().detach())
    assert not torch.equal(before, model.W)
    assert program.load().dtype == torch.float32
    assert dltc.compile(spec, dtype="float64").load().dtype == torch.float64


def test_the_seed_of_compile_is_the_default_of_load(spec):
    seeded = dltc.compile(spec, seed=3).load()
    assert torch.equal(seeded.W, dltc.compile(spec).load(seed=3).W)
    assert not torch.equal(seeded.W, dltc.compile(spec).load().W)


def test_train(spec):
    run = dltc.train(spec, out="r", set={"train.epochs": 1}, quiet=True)
    assert run.folder == Path("r")
    assert (run.steps, run.part) == (45, "test")
    assert set(run.metrics) == {"accuracy(y, s)", "nll"}
    assert run.model.t == 45
    assert run.model.examples == 1438
    again = dltc.train(text=spec.read_text(), out="q", set={"train.epochs": 1}, quiet=True)
    assert again.metrics == run.metrics
    with pytest.raises(RunFolderError, match="is not empty"):
        dltc.train(spec, out="r", quiet=True)


def test_missing_data_is_an_ordinary_error(spec):
    with pytest.raises(FileNotFoundError, match=r'"d\.csv" is not there'):
        dltc.train(text=spec.read_text().replace('sklearn("digits")', 'csv("d.csv")'), quiet=True)


def test_diff(spec, folder):
    other = folder / "other.dlt"
    other.write_text(spec.read_text().replace("relu(", "tanh("))
    assert dltc.diff(spec, spec).same
    found = dltc.diff(spec, other)
    assert not found.same
    assert found.changes
    assert found.to_json()["same"] is False
    assert str(found)
    with pytest.raises(OSError, match=r"missing\.dlt"):
        dltc.diff(spec, "missing.dlt")
