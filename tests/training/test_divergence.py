"""A step whose objective is not finite changes nothing and says where the numbers began to go wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import dltc
from dltc.runtime.errors import Diverged, RunFailed

SPEC = """dlt 1
model M {
  axis d = 3
  input x[d]
  input y
  param w[d] ~ Normal(0, var = 1)  init 1
  param s in positive ~ LogNormal(0, std = 1)  init 1

  r = w[d] * x[d]
  e = sqrt(r)
  y ~ Normal(r, std = s)
  e ~ Normal(0, std = 1)

  learn {
    w : RULE
    s : EG(lr = 0.1)
  }
  train { batch 4; steps 9 }
}
"""


def module(rule: str = "Adam(lr = 0.01)") -> Any:
    return dltc.compile(text=SPEC.replace("RULE", rule)).load(examples=10, dtype=torch.float64)


def before(model: Any) -> dict[str, np.ndarray]:
    return {slot.path: model.state(slot.path).detach().numpy().copy() for slot in model.STATE}


@pytest.mark.parametrize("rule", ["SGD(lr = 0.01)", "Adam(lr = 0.01)", "Momentum(lr = 0.01)"])
def test_nothing_is_written(rule: str) -> None:
    model = module(rule)
    good = {"x": np.ones((4, 3)), "y": np.zeros(4)}
    model.step(**good)
    kept = before(model)
    with pytest.raises(Diverged):
        model.step(x=-good["x"], y=good["y"])
    assert model.t == 1
    for path, value in kept.items():
        np.testing.assert_array_equal(model.state(path).detach().numpy(), value)
    model.step(**good)  # and it goes on as if nothing had been
    again = module(rule)
    again.step(**good)
    again.step(**good)
    for path in kept:
        assert torch.equal(model.state(path), again.state(path))


def test_the_step_the_term_and_the_line_are_named() -> None:
    model = module()
    x = np.ones((4, 3))
    model.step(x=x, y=np.zeros(4))
    x[2] = -1
    with pytest.raises(Diverged) as info:
        model.step(x=x, y=np.zeros(4))
    assert (info.value.step, info.value.exit_code) == (2, 4)
    text = str(info.value)
    assert "at step 2; the term e ~ Normal(0, std = 1) (<text>:12) is NaN in 1 of 4 entries" in text
    assert "`sqrt` first gives NaN at <text>:10" in text
    assert "y ~" not in text  # that term is finite


def test_an_infinity_is_found_before_the_nan_that_it_becomes() -> None:
    model = module()
    with torch.no_grad():
        model.s.fill_(1e-200)
    with pytest.raises(Diverged, match=r"the term y ~ Normal\(r, std = s\) .* is infinity in 4 of 4 entries"):
        model.step(x=np.ones((4, 3)), y=np.zeros(4))


def test_a_broken_update_is_told_from_a_broken_objective() -> None:
    model = module()
    with torch.no_grad():
        model.w[1] = float("nan")
    with pytest.raises(Diverged, match="`w` holds NaN in 1 of 3 entries since the step before"):
        model.step(x=np.ones((4, 3)), y=np.zeros(4))


SINGULAR = """dlt 1
model M {
  axis d = 3
  input x[d]
  input y
  param w[d] ~ Normal(0, var = 1)  init 1
  param b ~ Normal(0, var = 1)  init 0
  r = sum(abs(w * x))
  e = sqrt(r)
  y ~ Normal(b, std = 1)
  e ~ Normal(0, std = 1)^0.5
  learn { w, b : RULE }
}
"""


@pytest.mark.parametrize("rule", ["SGD(lr = 0.01)", "Adam(lr = 0.01)", "Momentum(lr = 0.1)"])
def test_a_gradient_that_is_not_finite_stops_before_it_is_written(rule: str) -> None:
    """sqrt at 0: the objective is finite, its slope is not."""
    model = dltc.compile(text=SINGULAR.replace("RULE", rule)).load(examples=10, dtype=torch.float64)
    model.step(x=np.ones((4, 3)), y=np.zeros(4))
    kept = before(model)
    x = np.ones((4, 3))
    x[1] = 0
    with pytest.raises(Diverged) as info:
        model.step(x=x, y=np.zeros(4))
    text = str(info.value)
    assert info.value.step == 2 and "the gradients hold" in text
    assert (
        "the term e ~ Normal(0, std = 1)^0.5 (<text>:11) has no finite gradient by `w` (NaN in 3 of 3 entries)" in text
    )
    assert (
        "first gives infinity at <text>:8" in text and "y ~" not in text
    )  # the statement of r's slope, which holds e's
    for path, value in kept.items():
        np.testing.assert_array_equal(model.state(path).detach().numpy(), value)
    model.step(x=np.ones((4, 3)), y=np.zeros(4))


def test_only_singular_derivatives_are_looked_at() -> None:
    """Nothing is added to a step whose gradients are finite wherever its objective is."""
    smooth = SINGULAR.replace("RULE", "SGD(lr = 0.1)").replace("sqrt(r)", "tanh(r)")
    assert "gradients" not in dltc.compile(text=smooth).source
    assert "gradients" in dltc.compile(text=SINGULAR.replace("RULE", "SGD(lr = 0.1)")).source


@pytest.mark.parametrize(
    "argument", ["0.1 / (2 - t)", "log(2 - t)", "0.001 * exp(1000 * (t - 1))", "cosine(0.1, 2 - t)"]
)
def test_an_argument_that_cannot_be_computed_names_its_line(argument: str) -> None:
    """Plain arithmetic on t fails in Python; the user sees the step and the line, not a traceback."""
    model = module(f"SGD(lr = {argument})")
    model.step(x=np.ones((4, 3)), y=np.zeros(4))
    with pytest.raises(RunFailed, match=r"step 2 cannot be computed \(<text>:\d+\): .*; look at the arguments"):
        model.step(x=np.ones((4, 3)), y=np.zeros(4))


def test_a_diverged_replica_whose_values_ask_for_the_batch_size() -> None:
    """The terms are computed again to name the bad one: of as many examples as the batch has, not as there are replicas."""
    text = """dlt 1
model M {
  axis a = 2, b = 3, ab = (a, b)
  input x[ab]
  param w[b] ~ Normal(0, var = 1)
  h[a, b] = w[b] * x[a, b]
  f = log(sum[a, b](h) - 1e6)
  f ~ Gibbs()
  learn { w : SGD(lr = 0.1) }
  train { batch 5; steps 1; seeds 2 }
}
"""
    model = dltc.compile(text=text).load(examples=5)
    with pytest.raises(
        Diverged, match=r"the objective is NaN in replicas 0 \(seed 0\), 1 \(seed 1\) at step 1; the term"
    ):
        model.step(x=np.ones((5, 6)))
