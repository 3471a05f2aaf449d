"""The module base against the ABI: construction, values, input checks, steps against autograd and torch.optim."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from dltc import runtime as rt
from dltc.runtime.errors import RuntimeFault


@pytest.fixture
def model(digits):
    return digits(seed=1, dtype=torch.float64, examples=100)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "x": torch.rand(7, 64, generator=generator, dtype=torch.float64),
        "y": torch.randint(10, (7,), generator=generator),
    }


def test_parameters_and_states_live_under_their_paths(model):
    assert [name for name, _ in model.named_parameters()] == ["W", "b", "g", "V", "c"]
    states = [f"{p}@{s}" for p in ("W", "b", "V", "c") for s in ("m", "v")]
    assert set(model.state_dict()) == {"W", "b", "g", "V", "c", *states, "_extra_state"}
    assert model.W.shape == (12, 64)
    assert model.state("W@m") is model.state_dict(keep_vars=True)["W@m"]


def test_initial_values_are_keyed_by_path_and_seed(digits, model):
    expected = rt.Draw(1).normal("W", (12, 64)) * math.sqrt(2 / 64)
    assert torch.equal(model.W.detach(), expected)
    assert torch.equal(digits(seed=1).W.detach(), expected.float())
    assert not torch.equal(digits(seed=2).W, digits(seed=1).W)


def test_forward_gives_outputs_and_computes_other_names_on_demand(model, batch):
    out = model(x=batch["x"])
    assert list(out) == ["s"]
    h = model.g * torch.relu(batch["x"] @ model.W.T + model.b)
    torch.testing.assert_close(out["h"], h)
    torch.testing.assert_close(out["s"], h @ model.V.T + model.c)
    assert out["h"] is out["h"]
    assert out.batch == 7
    assert repr(out) == "Values(s: [7, 10])"


def test_a_value_that_needs_a_missing_input_says_which(model, batch):
    with pytest.raises(
        rt.MissingInput, match=r"`x` is needed but was not given: pass x=\.\.\. as x\[batch, pix = 64\]"
    ):
        model(y=batch["y"])
    with pytest.raises(rt.MissingInput, match="`y`"):
        model.log_prob(x=batch["x"])


def test_an_unknown_value_is_named_with_a_suggestion(model, batch):
    with pytest.raises(KeyError, match="no value `hh`; did you mean `h`"):
        model(x=batch["x"])["hh"]
    assert model(x=batch["x"]).get("hh") is None
    with pytest.raises(rt.UnknownValue, match="did you mean `V@m`"):
        model.state("V@mm")


def test_the_emitted_step_is_adam_and_eg_on_the_gradient_of_the_objective(model, batch):
    """Three steps against autograd, torch.optim.Adam and the exponentiated update, in float64."""
    twin = copy.deepcopy(model)
    adam = torch.optim.Adam([twin.W, twin.b, twin.V, twin.c], lr=0.01)
    for step in range(3):
        objective = -twin.log_joint(**batch).mean() - twin.log_prior() / 100
        twin.zero_grad()
        objective.backward()
        stats = model.step(**batch)
        torch.testing.assert_close(stats["objective"], objective.detach())
        torch.testing.assert_close(stats["nll"], -twin.log_prob(**batch).mean().detach())
        adam.step()
        with torch.no_grad():
            twin.g.mul_(torch.exp(-0.1 * twin.g.grad))
        for name, value in twin.named_parameters():
            torch.testing.assert_close(model.state(name), value, rtol=1e-9, atol=1e-12)
        assert model.t == step + 1


def test_state_dict_restores_a_model_completely(model, digits, batch):
    for _ in range(2):
        model.step(**batch)
    other = digits(seed=5, dtype=torch.float64, examples=100)
    other.load_state_dict(model.state_dict())
    assert other.t == 2
    model.step(**batch)
    other.step(**batch)
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_deepcopy_is_independent(model, batch):
    twin = copy.deepcopy(model)
    twin.step(**batch)
    assert model.t == 0
    assert twin.state("W") is twin.W
    assert not torch.equal(model.W, twin.W)
    assert not model.state("W@m").any()


def test_examples_is_needed_only_when_read(digits, batch):
    model = digits()
    model(x=batch["x"])
    model.log_joint(**batch)
    with pytest.raises(rt.NeedsExamples, match="the objective of Digits divides the prior by N"):
        model.step(**batch)
    assert model.t == 0
    model.examples = 10
    model.step(**batch)


def test_measure_and_step_set_training_and_restore_it(model, batch, monkeypatch):
    seen = []
    monkeypatch.setattr(type(model), "_measure", lambda self, v: seen.append(self.training) or {})
    monkeypatch.setattr(type(model), "_step", lambda self, x, y: seen.append(self.training) or {})
    model.eval()
    model.step(**batch)
    model.train()
    model.measure(**batch)
    assert seen == [True, False]
    assert model.training


def test_arrays_and_lists_are_converted(model, batch):
    expected = model(x=batch["x"])["s"]
    torch.testing.assert_close(model(x=batch["x"].numpy())["s"], expected)
    torch.testing.assert_close(model(x=batch["x"].tolist())["s"], expected)
    read_only = batch["x"].numpy().copy()
    read_only.flags.writeable = False
    torch.testing.assert_close(model(x=read_only)["s"], expected)
    labels = batch["y"].numpy().astype(np.uint8)
    torch.testing.assert_close(model.log_prob(x=batch["x"], y=labels), model.log_prob(**batch))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"xx": 1}, r"no input `xx`; did you mean `x`\? \(inputs: x\[batch, pix = 64\], y\[batch\]\)"),
        ({"x": np.zeros((3, 63))}, r"declared x\[batch, pix = 64\]; got 63 along `pix` \(shape \[3, 63\]\)"),
        ({"x": np.zeros(64)}, r"got the shape \[64\] \(add a batch axis: value\[None\]\)"),
        ({"x": np.zeros((3, 64)), "y": np.zeros(4, int)}, "`y` has 4 along `batch`, but `x` has 3"),
        ({"y": np.array([0.5])}, "takes whole numbers; got torch.float64"),
        ({"y": [3, 10]}, r"holds the label 10; its labels are 0\.\.9"),
        ({"y": [-1]}, "holds the label -1"),
        ({"x": [["a"]]}, "takes numbers; got <U1"),
        ({"x": [[1.0], [1.0, 2.0]]}, "no regular array"),
        ({"x": torch.zeros(1, 64, dtype=torch.complex64)}, "takes numbers; got torch.complex64"),
    ],
)
def test_inputs_are_checked(model, inputs, message):
    with pytest.raises(rt.InputError, match=message):
        model.checked(inputs)


def test_a_step_needs_every_input_and_an_example(model, batch):
    with pytest.raises(rt.MissingInput, match=r"input `y` is missing: pass y=\.\.\. as y\[batch\]"):
        model.step(x=batch["x"])
    with pytest.raises(rt.InputError, match="the batch is empty"):
        model.step(x=torch.zeros(0, 64), y=torch.zeros(0, dtype=torch.int64))


class Odd(rt.Module):
    """Paths with dots, names that nn.Module uses itself, a whole-number slot, sizes from data."""

    STATE = (
        rt.Slot("enc.step", "param", (), ()),
        rt.Slot("half", "param", ("d",), (2,), frozen=True),
        rt.Slot("wire", "param", ("d",), (2,), dtype="int"),
        rt.Slot("enc.mean", "state", (), ()),
    )
    INPUTS = (rt.Input("a", ("t",), (None,), "real"), rt.Input("m", ("t",), (None,), "bool"))
    VALUES = {"enc.out": ("t",), "one": ()}
    OUTPUTS = ("enc.out", "one")

    def initial(self, draw):
        return {
            "enc.step": torch.tensor(2.0),
            "half": torch.tensor([1.0, 2.0]),
            "wire": torch.tensor([1.0, 0.0]),
            "enc.mean": torch.tensor(0.0),
        }

    def value_enc__out(self, v):
        return v["a"] * self.state("enc.step") + v["m"]

    def value_one(self, v):
        return self.state("half").sum()


def test_paths_may_have_dots_and_equal_method_names():
    model = Odd()
    assert {n for n, _ in model.named_parameters()} == {"enc.step", "half", "wire"}
    assert set(model.state_dict()) == {"enc.step", "half", "wire", "enc.mean", "_extra_state"}
    assert callable(model.half)
    assert model.state("wire").dtype == torch.int64
    assert [p.requires_grad for p in model.parameters()] == [False, False, True]
    assert model(a=[[1.0, 2.0]], m=[[1, 0]])["enc.out"].tolist() == [[3.0, 4.0]]
    moved = Odd().double()
    assert moved.dtype == torch.float64
    assert moved.state("enc.step").dtype == torch.float64
    assert moved.state("wire").dtype == torch.int64


def test_keys_are_the_outputs_that_the_inputs_determine():
    out = Odd()(a=[[1.0]])
    assert list(out) == ["one"]
    assert "enc.out" not in out
    with pytest.raises(rt.MissingInput, match="`m`"):
        out["enc.out"]


def test_sizes_from_data_must_agree():
    with pytest.raises(rt.InputError, match="`m` has 3 along `t`, but `a` has 2"):
        Odd()(a=[[1.0, 2.0]], m=[[1, 0, 1]])
    with pytest.raises(rt.InputError, match=r"m\[batch, t\] takes true or false"):
        Odd()(a=[[1.0]], m=[[2]])


def test_a_model_without_learn_step_says_so():
    with pytest.raises(rt.NotTrainable, match="Odd has no learn step"):
        Odd().step(a=[[1.0]], m=[[1]])


def test_an_initial_value_of_another_shape_is_an_abi_error(digits, monkeypatch):
    monkeypatch.setattr(digits, "initial", lambda self, draw: {"W": torch.zeros(1)})
    with pytest.raises(rt.AbiError, match="differ in V"):
        digits()


def test_a_dtype_that_is_not_real_is_refused(digits):
    with pytest.raises(rt.InputError, match="must be a real one"):
        digits(dtype=torch.int64)


def test_every_error_of_the_runtime_has_an_exit_code_and_prints_its_message():
    error = rt.MissingInput("say this", "x")
    assert str(error) == "say this"
    assert isinstance(error, RuntimeFault) and error.exit_code == 2
