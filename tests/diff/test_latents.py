"""Latents in a diff: what they are, and how they are found."""

from __future__ import annotations

import pytest

from dltc.compiler.diff import diff_artefacts
from dltc.compiler.pipeline import compile_spec

SPEC = """dlt 1
model M {
  axis pix = 6, k = 3
  input x[pix]
  param D[pix, k] ~ Normal(0, var = 1)
  param W[k, pix] ~ Normal(0, var = 1)
  latent z[k] ~ Normal(0, var = 1)
  mu[k] = W * x
  x ~ Normal(D[pix, k] * z[k], var = 0.1)
  infer { z ~ Normal(mu, std = 0.5) }
  learn { * : SGD(lr = 0.1) }
}
"""


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("", "", []),
        ("D[pix, k]", "E[pix, k]", [("rename", "parameter")]),
        ("std = 0.5", "std = 0.25", [("learning", "infer")]),
        ("z ~ Normal(mu, std = 0.5)", "z : Newton(steps = 2)", [("learning", "infer")]),
        ("latent z[k] ~ Normal(0, var = 1)", "latent z[k] ~ Normal(0, var = 2)", None),
        ("mu[k] = W * x", "mu[k] = 2 * W * x", None),
    ],
)
def test_changes(old: str, new: str, kinds: list[tuple[str, str]] | None) -> None:
    found = diff_artefacts(
        compile_spec(SPEC, "a.dlt"), compile_spec(SPEC.replace(old, new) if old else SPEC, "b.dlt"), level="graph"
    )
    if kinds is None:
        assert not found.same
    else:
        assert [(c.cls, c.what) for c in found.changes] == kinds


def test_the_steps_of_a_search() -> None:
    one = SPEC.replace("z ~ Normal(mu, std = 0.5)", "z : Adam(lr = 0.1, steps = 5)")
    for old, new in (
        ("steps = 5", "steps = 6"),
        ("lr = 0.1, steps", "lr = 0.2, steps"),
        ("steps = 5", "steps = 5, through = true"),
    ):
        found = diff_artefacts(compile_spec(one, "a.dlt"), compile_spec(one.replace(old, new), "b.dlt"), level="graph")
        assert [(c.cls, c.what, c.path) for c in found.changes] == [("learning", "infer", "z")]
