"""The graph diff on generated specs: what computes the same is the same, and one token that changes a number never is.

The interpreter in float64 decides whether a changed spec computes something else (``spec_mutants.py``).
"""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from spec_mutants import computed, differ, mutants
from spec_strategy import ODD_NAMES, Spec, corpus, specs

from dltc.compiler.diff import Diff, diff_artefacts
from dltc.compiler.pipeline import compile_spec


def compared(a: str, b: str) -> Diff:
    return diff_artefacts(compile_spec(a, "a.dlt"), compile_spec(b, "b.dlt"))


def permuted(text: str, random: Random) -> str:
    """The statements of the model in another order (a generated spec has one on each line, blocks last)."""
    head, model, body = text.partition("model Generated {\n")
    end = re.search(r"(?m)^(?:  (?:learn|train) \{|\})", body)
    assert end is not None
    rows = body[: end.start()].splitlines(keepends=True)
    random.shuffle(rows)
    return head + model + "".join(rows) + body[end.start() :]


def renamed(spec: Spec) -> str:
    """Every value and axis under another name."""
    model = compile_spec(spec.text, "a.dlt").model
    names = {n for n in (*model.values, *model.axes) if re.sub(r"_?\d*$", "", n) not in {*ODD_NAMES, *"abekmp"}}
    head, start, body = spec.text.partition("model Generated {\n")
    return head + start + re.sub(r"\b[A-Za-z_]\w*\b", lambda m: f"{m[0]}_z" if m[0] in names else m[0], body)


def check_same(spec: Spec) -> None:
    assert compared(spec.text, spec.text).changes == []
    assert compared(spec.text, permuted(spec.text, Random(spec.seed))).same
    found = compared(spec.text, renamed(spec))
    assert found.same, f"{found}\n{renamed(spec)}"


def check_mutants(spec: Spec, seed: int, count: int) -> tuple[int, int]:
    """How many of the changed texts are specs, and how many of them compute something else: each of these is told."""
    before, good, other = computed(spec.text, spec), 0, 0
    assert before is not None
    for text in mutants(spec, Random(seed), count):
        try:
            after = computed(text, spec)
        except ValueError:  # the data no longer fit: an index leaves its axis
            continue
        good += after is not None
        root = differ(before, after) if after is not None else ""
        if root:
            other += 1
            assert not compared(spec.text, text).same, f"`{root}` differs\n{text}\nfrom\n{spec.text}"
    return good, other


def test_same_meaning() -> None:
    for spec in corpus(70, 6):
        check_same(spec)


def test_one_token_that_changes_a_number_is_told() -> None:
    counts = [check_mutants(spec, 1, 12) for spec in corpus(71, 3)]
    assert sum(other for _, other in counts) >= 5  # it is a test of something


SETTINGS = {
    "batch": ("batch 2", "batch 3"),
    "steps": ("steps 3", "steps 4"),
    "every": ("every 2", "every 3"),
    "report": ("report nll", "report mae(y, m), nll"),
    "rule argument": ("lr = 0.1", "lr = 0.2"),
    "column": ("x = a / 2", "x = a / 3"),
    "column operator": ("x = a / 2", "x = a * 2"),
    "test part": ("test 0.2", "test 0.3"),
}
SMALL = """dlt 1
model M {
  input x
  input y
  param w ~ Normal(0, var = 1)
  m = w * x
  y ~ Normal(m, var = 1)
  learn { w : SGD(lr = 0.1) }
  data from csv("d.csv") { x = a / 2; y = b; test 0.2 }
  train { batch 2; steps 3; report nll every 2 }
}
"""


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_interpreter_does_not_run_is_told(name: str) -> None:
    old, new = SETTINGS[name]
    assert old in SMALL
    assert not compared(SMALL, SMALL.replace(old, new)).same


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(specs(), st.integers(0, 2**32))
def test_any_spec(spec: Spec, seed: int) -> None:
    check_same(spec)
    check_mutants(spec, seed, 20)
