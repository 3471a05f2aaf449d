"""Recurrences under `diff`: names and order leave no trace, whatever changes the value is seen."""

from __future__ import annotations

import pytest

import dltc

A = """dlt 1
model M {
  axis t, pix = 3, hid = 4, cls = 2, node = 7
  input x[t, pix]
  input y: cls
  param A[hid, hid'] ~ Normal(0, var = 1/hid)
  param B[hid, pix] ~ Normal(0, var = 1/pix)
  param V[cls, hid] ~ Normal(0, var = 1/hid)
  param b[hid] ~ Normal(0, var = 1)
  z[t, hid] = sigmoid(B[hid, pix] * x[t, pix] + A[hid, hid'] * h[t-1, hid'])
  c[t, hid] = z[t, hid] * c[t-1, hid] + (1 - z[t, hid]) * tanh(B[hid, pix] * x[t, pix])   start 0
  h[t, hid] = tanh(c[t, hid]) * sin(A[hid, hid'] * c[t-1, hid'])   start b
  g[node, hid] = tanh(0.5 * g[(node-1)//2, hid] + b)   start h[last]
  s[cls] = V[cls, hid] * g[last, hid]
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 0.1) }
}
"""
B = """dlt 1
model M {
  axis when, tree = 7, pix = 3, kid = 4, cls = 2
  input u[when, pix]
  input y: cls
  param bias[kid] ~ Normal(0, var = 1)
  param Q[kid, kid'] ~ Normal(0, var = 1/kid)
  param P[kid, pix] ~ Normal(0, var = 1/pix)
  param V[cls, kid] ~ Normal(0, var = 1/kid)
  s[cls] = V[cls, kid] * r[last, kid]
  r[tree, kid] = tanh(bias + r[(tree-1)//2, kid] * 0.5)   start a[last]
  a[when, kid] = sin(Q[kid, kid'] * w[when-1, kid']) * tanh(w[when, kid])   start bias
  w[when, kid] = (1 - gate[when, kid]) * tanh(P[kid, pix] * u[when, pix]) + gate[when, kid] * w[when-1, kid]   start 0
  gate[when, kid] = sigmoid(Q[kid, kid'] * a[when-1, kid'] + u[when, pix] * P[kid, pix])
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 0.1) }
}
"""


def test_names_and_order_have_no_meaning(tmp_path):
    assert diff(A, B, tmp_path).same
    assert diff(B, A, tmp_path).same
    assert diff(A, A, tmp_path).same


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c[t-1, hid] +", "c[t-2, hid] +"),
        ("h[t-1, hid']", "h[t-2, hid']"),
        ("start 0", "start 1"),
        ("start b", "start 0"),
        ("tanh(c[t, hid])", "sin(c[t, hid])"),
        ("(node-1)//2", "(node-2)//2"),
        ("A[hid, hid'] * c[t-1, hid']", "A[hid, hid'] * h[t-1, hid']"),
        ("start h[last]", "start h[first]"),
    ],
)
def test_what_changes_the_value_is_seen(old, new, tmp_path):
    assert old in A
    found = diff(A, A.replace(old, new, 1), tmp_path)
    assert not found.same
    assert any(change.cls == "semantic" for change in found.changes)


def test_the_other_direction(tmp_path):
    back = A.replace("t-1", "t+1")
    assert not diff(A, back, tmp_path).same


def diff(a: str, b: str, folder):
    for name, text in (("a", a), ("b", b)):
        (folder / f"{name}.dlt").write_text(text)
    return dltc.diff(folder / "a.dlt", folder / "b.dlt")
