"""Schedules: functions of the step written in the language, against torch's schedulers and closed forms."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import CLOSED_FORM
from torch.optim import lr_scheduler

import dltc
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.pipeline import compile_spec

RECORD = """dlt 1
rule Record(lr) on real {{ state rate[] = 0; rate <- lr }}
model M {{
  axis k = 2
  let half = 0.5
  input x
  param w ~ Flat() init 0
  x ~ Normal(w, std = 1)
  learn {{ w : Record(lr = {call}) }}
  {train}
}}
"""

TINY = 1e-15
"""A rate of 0 at the end of a schedule is a difference of rounded numbers."""


def rates(call: str, steps: int, train: str = "", examples: int = 10) -> list[float]:
    """The argument at every step, of the emitted module; the interpreter says the same."""
    artefact = compile_spec(RECORD.format(call=call, train=train), "m.dlt")
    model = dltc.compile(text=artefact.text).load(dtype=torch.float64, examples=examples)
    found: list[float] = []
    for t in range(1, steps + 1):
        model.step(x=[1.0])
        found.append(float(model.state("w@rate")))
        state = {"w@rate": np.zeros(())}
        env = Env(inputs={"x": np.ones(1)}, params={"w": np.zeros(())}, states=state, step=t, examples=examples)
        wanted = float(interpret(artefact.step, env)["next w@rate"].data)
        np.testing.assert_allclose(found[-1], wanted, rtol=CLOSED_FORM, atol=TINY)
    return found


def torch_rates(
    make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], lr: float, steps: int
) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = make(optimizer)
    found: list[float] = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


TORCH = {
    "warmup(0.2, 5)": lambda o: lr_scheduler.LinearLR(o, 1 / 5, 1, total_iters=4),
    "cosine(0.2, 9, 0.01)": lambda o: lr_scheduler.LambdaLR(
        o, lambda e: (0.01 + 0.19 * (1 + math.cos(math.pi * min(e, 9) / 9)) / 2) / 0.2
    ),
    "linear_decay(0.2, 8, final = 0.1)": lambda o: lr_scheduler.LinearLR(o, 1, 0.5, total_iters=8),
    "polynomial_decay(0.2, 2, 8)": lambda o: lr_scheduler.PolynomialLR(o, total_iters=8, power=2),
    "exponential_decay(0.2, 0.9)": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "step_decay(0.2, 0.5, 3)": lambda o: lr_scheduler.StepLR(o, 3, 0.5),
    "restarts(0.2, 4, 0.02)": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4, eta_min=0.02),
    "piecewise(0.2, 2, piecewise(0.1, 6, 0.05))": lambda o: lr_scheduler.MultiStepLR(o, [2, 6], 0.5),
}


@pytest.mark.parametrize("call", TORCH)
def test_torch_has_the_same_schedule(call: str) -> None:
    np.testing.assert_allclose(rates(call, 12), torch_rates(TORCH[call], 0.2, 12), rtol=CLOSED_FORM, atol=TINY)


def test_cosine_annealing_up_to_its_end() -> None:
    """torch's own goes up again after its end; ours stays."""
    wanted = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 9, 0.01), 0.2, 10)
    np.testing.assert_allclose(rates("cosine(0.2, 9, 0.01)", 10), wanted, rtol=CLOSED_FORM)
    assert rates("cosine(0.2, 9, 0.01)", 14)[9:] == [0.01] * 5


CLOSED: dict[str, Callable[[int], float]] = {
    "inverse_sqrt(0.1, 4)": lambda t: 0.1 * min(t / 4, math.sqrt(4 / t)),
    "exponential_decay(0.1, 0.5, steps = 3)": lambda t: 0.1 * 0.5 ** ((t - 1) / 3),
    "warmup_cosine(0.1, 3, 9, final = 0.01)": lambda t: (
        0.1 * t / 3 if t < 3 else 0.01 + 0.09 * (1 + math.cos(math.pi * (min(t, 9) - 3) / 6)) / 2
    ),
    "warmup_linear(0.1, 3, steps = 9)": lambda t: 0.1 * t / 3 if t < 3 else 0.1 * (1 - (min(t, 9) - 3) / 6),
    "half * warmup(size(k) * 0.1, 2 + 2)^2 / t": lambda t: 0.5 * (0.2 * min(1, t / 4)) ** 2 / t,
    "max(cosine(lr = 0.2, steps = 6), warmup(steps = 3, lr = 0.05))": lambda t: max(
        0.1 * (1 + math.cos(math.pi * min(t - 1, 6) / 6)), 0.05 * min(1, t / 3)
    ),
}


@pytest.mark.parametrize("call", CLOSED)
def test_closed_forms(call: str) -> None:
    np.testing.assert_allclose(rates(call, 12), [CLOSED[call](t) for t in range(1, 13)], rtol=CLOSED_FORM, atol=TINY)


@pytest.mark.parametrize(
    "train", ["batch 4; epochs 3", "batch all; epochs 9", "batch 7; steps 9", "batch 100; epochs 9"]
)
def test_the_length_of_the_run_is_known(train: str) -> None:
    """10 examples in batches of 4 are 3 steps an epoch: 9 steps in all; a batch is never larger than the data."""
    block = f'data from npz("d.npz") {{ x = x }}\n  train {{ {train} }}'
    for call, told in (
        ("warmup_cosine(0.1, 2)", "warmup_cosine(0.1, 2, 9)"),
        ("linear_decay(0.1)", "linear_decay(0.1, 9)"),
    ):
        np.testing.assert_allclose(rates(call, 12, block), rates(told, 12), rtol=CLOSED_FORM, atol=TINY)


def test_every_schedule_of_the_library_is_tested() -> None:
    tested = " ".join([*TORCH, *CLOSED])
    library = (Path(__file__).parents[2] / "specs" / "std" / "schedules.dlt").read_text()
    names = [
        line.split("(")[0].removeprefix("circuit ") for line in library.splitlines() if line.startswith("circuit ")
    ]
    assert len(names) > 8
    assert [name for name in names if f"{name}(" not in tested] == []


def test_the_compiler_knows_no_schedule_by_name() -> None:
    root = Path(__file__).parents[2]
    library = (root / "specs" / "std" / "schedules.dlt").read_text()
    names = {
        line.split("(")[0].removeprefix("circuit ") for line in library.splitlines() if line.startswith("circuit ")
    }
    for path in (root / "compiler").rglob("*.py"):
        texts = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
        assert not names & texts, path


MISTAKES = {
    "cosine()": ("E0213", "`cosine` needs `lr`"),
    "cosine(0.1, 5, 0, 1)": ("E0213", "`cosine` takes 3 arguments"),
    "cosine(0.1, stepz = 5)": ("E0213", "`cosine` has no argument `stepz`"),
    "cosine(0.1, lr = 0.2)": ("E0213", "`lr` is given twice"),
    "cosine(0.1)": ("E0406", "`cosine` needs the length of the run, and there is no `train` block that says it"),
    "cosin(0.1, 5)": ("E0212", "unknown operation `cosin`"),
    "cosine(w, 5)": ("E0406", "an argument of a rule is a number or an expression of t; `w` is a tensor of the model"),
    "warmup[k](0.1, 5)": ("E0213", "`warmup` takes no index in brackets"),
}


@pytest.mark.parametrize("call", MISTAKES)
def test_mistakes(call: str) -> None:
    with pytest.raises(SpecError) as refused:
        compile_spec(RECORD.format(call=call, train=""), "m.dlt")
    assert [(d.code, d.message) for d in refused.value.diagnostics] == [MISTAKES[call]]


def test_schedules_are_no_operations_of_equations() -> None:
    text = "dlt 1\nmodel M {\n  input x\n  h = warmup(x, 3)\n}\n"
    with pytest.raises(SpecError, match="unknown operation `warmup`"):
        compile_spec(text, "m.dlt")
