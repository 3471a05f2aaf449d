"""Updates in place: order against readers, circles, and the forms chosen; all held to the interpreter elsewhere."""

from __future__ import annotations

import re

import pytest

from dltc.compiler.pipeline import compile_spec

SPEC = """dlt 1
{rules}
model M {{
  axis i = 3, o = 2
  input x[i]
  input y[o]
  param W[o, i] ~ Flat() init Normal(0, var = 1)
  param b[o] ~ Normal(0, var = 1) init 0
  h[o] = W * x + b
  y ~ Normal(h, var = 1)
  learn {{ W : {w}; b : {b} }}
}}
"""


def step(w: str = "SGD(lr = 0.1)", b: str = "SGD(lr = 0.1)", rules: str = "") -> str:
    """The body of the emitted step, comments removed."""
    source = compile_spec(SPEC.format(w=w, b=b, rules=rules), "m.dlt").source
    body = source[source.index("    def _step(") :].split("\n\n\n")[0]
    return re.sub(r"^ *#.*\n", "", body, flags=re.MULTILINE)


def test_the_weight_gradient_never_exists() -> None:
    """Plain gradient descent on a matrix is one accumulation into it."""
    body = step()
    assert re.search(r"W\.addmm_\(\w+\.T, x, alpha=-0\.1\)", body), body
    assert "grad_W" not in body


def test_weight_decay_goes_into_the_same_accumulation() -> None:
    body = step(w="Decay()", rules="rule Decay() on real { w <- 0.5 * w - 0.1 * grad }")
    assert re.search(r"W\.addmm_\(\w+\.T, x, beta=0\.5, alpha=-0\.1\)", body), body


def test_states_use_fused_additions() -> None:
    body = step(w="Adam()")
    assert "W_m.mul_(0.9).add_(grad_W, alpha=" in body
    assert "W_v.mul_(0.999).addcmul_(grad_W, grad_W, value=" in body
    assert "W.addcdiv_(W_m, " in body


def test_an_update_waits_for_every_reader_of_the_old_value() -> None:
    """The new state reads the old one and w; w's update reads the old state: nothing may be overwritten too early."""
    rules = "rule Swap() on real {\n  state m = 1\n  let old = m\n  m <- w + grad\n  w <- w + old\n}"
    body = step(w="Swap()", rules=rules)
    late = re.search(r"(W|W_m)\.copy_\((\w+)\)", body)
    assert late, body
    other = "W" if late[1] == "W_m" else "W_m"
    assert body.index(late[0]) > body.rindex(f"{other}.")


def test_multiplicative_updates_scale_in_place() -> None:
    text = SPEC.replace(
        "param b[o] ~ Normal(0, var = 1) init 0", "param b[o] in positive ~ LogNormal(0, std = 1) init 1"
    )
    source = compile_spec(text.format(w="SGD(lr = 0.1)", b="EG(lr = 0.1)", rules=""), "m.dlt").source
    assert "b.mul_(torch.exp(" in source


@pytest.mark.parametrize("rule", ["SGD(lr = 0.1)", "Momentum(lr = 0.1)", "Adam()", "AdamW()", "Lion()"])
def test_no_copy_of_a_parameter_is_made(rule: str) -> None:
    assert "copy_" not in step(w=rule, b=rule)
