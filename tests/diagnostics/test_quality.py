"""What every message promises: one fix, one message a cause, all independent mistakes at once, a suggestion for each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from dltc.compiler.diagnostics import Diagnostic
from dltc.compiler.pipeline import check

CASES = sorted((Path(__file__).parent / "cases").glob("*.dlt"))
SPEC = (Path(__file__).parents[1] / "conformance" / "digits_as_printed.dlt").read_text(encoding="utf-8")
SPEC = SPEC.replace("Precision()", "SGD(lr = 0.1)")


def items(text: str) -> list[Diagnostic]:
    return check(text, "m.dlt").findings.sorted()


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_every_mistake_names_a_fix(case: Path) -> None:
    """All but what is not compiled yet: there the fix is ours."""
    found = [d for d in items(case.read_text(encoding="utf-8")) if d.help is None and d.code != "E0901"]
    assert [f"{d.code} {d.message}" for d in found] == []


FAULTS = [
    ("axis pix = 64, hid = 128, cls = 10", "axis pix: 64, hid: 128, cls: 10"),
    ("axis pix = 64, hid = 128, cls = 10", "axis pix = 64, hid = 128"),
    ("param W[hid, pix]", "W[hid, pix]"),
    ("param W[hid, pix]", "param W[hid pix]"),
    ("h[hid] =", "h[hid] :="),
    ("h[hid] =", "h[hid] <-"),
    ("h[hid] =", "h(hid) ="),
    ("s[cls] =", "s[cls] +="),
    ("s[cls] =", "S[cls] ="),
    ("y ~ Categorical", "y = Categorical"),
    ("y: cls", "y[cls]"),
    ("y: cls", "y: label"),
    ("learn {", "optim {"),
    ("learn {", "learning {"),
    ("W, b : Adam", "W b : Adam"),
    ("W, b : Adam", "W, b ~ Adam"),
    ("W, b : Adam", "all : Adam"),
    ("lr = 2e-3)", "betas = (0.9, 0.99))"),
    ("x = data / 16", "x: data / 16"),
    ("x = data / 16", "X = data / 16"),
    ("x = data / 16", "x = data[0:9]"),
    ("y = target", "y == target"),
]


@pytest.mark.parametrize(("right", "wrong"), FAULTS)
def test_one_fault_is_one_message(right: str, wrong: str) -> None:
    assert items(SPEC) == []
    assert right in SPEC
    found = items(SPEC.replace(right, wrong, 1))
    assert [d.severity for d in found] == ["error"], [d.message for d in found]


def test_ten_independent_mistakes_are_ten_messages() -> None:
    text = """dlt 1
model M {
  axis i = 0
  axis j = 3
  input x[j]
  input y: bool
  param a ~ Norml(0, var = 1)
  param b ~ Normal(0, 2)
  param c in postive ~ Flat() init 1
  param d ~ Flat()
  h = relo(x[0])
  k[j] = x[jj]
  m = x[j] + 1
  n = x ** 2
  y ~ Bernouli(logits = x[0])
}
"""
    expected = "E0207 E0303 E0304 E0302 E0307 E0212 E0203 E0210 E0110 E0303"
    assert [d.code for d in items(text)] == expected.split()


@pytest.mark.parametrize(
    ("right", "wrong", "meant"),
    [
        ("input x[pix]", "input x[pxi]", "pix"),  # an axis
        ("* x[pix]", "* xx[pix]", "x"),  # a tensor
        ("relu(", "rleu(", "relu"),  # an operation
        ("Adam(", "Adma(", "Adam"),  # a rule
        ("~ LogNormal", "~ LogNromal", "LogNormal"),  # a distribution
        ("in positive", "in postive", "positive"),  # a domain
        ("logits = s", "logit = s", "logits"),  # an argument
        ("batch 32", "bacth 32", "batch"),  # a setting
        ("= target", "= traget", "target"),  # a column
        ('"digits"', '"digist"', "digits"),  # a data set
        ("sklearn(", "skelarn(", "sklearn"),  # a source
        ("accuracy(", "acuracy(", "accuracy"),  # a metric
        ("V, c :", "VV, c :", "V"),  # a parameter
        ("model ", "modle ", "model"),  # a block
        ("  param W", "  parm W", "param"),  # a statement
    ],
)
def test_did_you_mean(right: str, wrong: str, meant: str) -> None:
    assert right in SPEC
    (found,) = items(SPEC.replace(right, wrong, 1))
    assert found.help == f"did you mean `{meant}`?"
