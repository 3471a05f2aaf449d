"""What people type who come from Python, numpy or JAX, past the grammar: the fix is named."""

from __future__ import annotations

import pytest

from dltc.compiler.pipeline import check

FRAME = "dlt 1\nmodel M {\n  axis i = 3, j = 2\n  input x[i]\n  input z[i, j]\n  h[i, j] = %s + x[i] * z[i, j]\n}\n"


@pytest.mark.parametrize(
    ("code", "text", "help"),
    [
        ("E0215", "x.shape", "the size of an axis is written size(axis)"),
        ("E0215", "z.T", "write its axes in the other order: x[j, i]"),
        ("E0215", "x.grad", "it is declared x[i]"),
        ("E0212", "x.mean()", "write mean(x)"),
        ("E0212", "torch.relu(x)", "did you mean `relu`?"),
        ("E0213", "softmax(x, dim = 0)", "the axes stand in brackets: softmax[i](..)"),
        ("E0215", "x(i)", "index it with brackets: x[..]"),
        ("E0201", "True", "write 1"),
        ("E0201", "None", "there is no empty value"),
        ("E0216", "x[3]", "write a label from 0 to 2"),
    ],
)
def test_the_fix_is_named(code: str, text: str, help: str) -> None:
    (found,) = check(FRAME % text, "m.dlt").findings.items
    assert (found.code, found.help) == (code, help)
