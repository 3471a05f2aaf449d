"""Labels and sizes as numbers, tables given by a formula, product axes in every position, computed labels: NumPy's word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import EMITTED

import dltc
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.errors import OutsideAxis

SPEC = (Path(__file__).parent / "labels.dlt").read_text()


def test_labels_sizes_and_tables() -> None:
    """Every equation of ``labels.dlt``, by the emitted module and by the interpreter."""
    rng = np.random.default_rng(0)
    x, d, lab = rng.normal(size=(3, 6)), np.array([-1, 0, 1]), np.array([-1, 0, 1])
    places = rng.integers(0, 6, (3, 3))
    model = dltc.compile(text=SPEC).load(seed=1, dtype=torch.float64, examples=10)
    p, w, e = (model.state(n).detach().numpy() for n in "PWE")
    assert np.array_equal(p, lab * 0.5)
    assert np.array_equal(e, np.eye(6))
    ranks, grid = np.argsort(np.argsort(-x, 1), 1), x.reshape(3, 2, 3)
    table = np.arange(6)[:, None] + lab
    expected = {
        "a": p[d + 1],
        "b": p * lab + 3 + 6,
        "c": grid + np.arange(6).reshape(2, 3),
        "e": x * np.arange(6),
        "f": np.take_along_axis(x, places, 1),
        "g": (1 + x).prod(1),
        "h": grid.cumsum(1).reshape(3, 6),
        "i": ranks,
        "j": x.argmax(1),
        "m": x.max(1),
        "mi": x.min(1),
        "n": np.where(ranks < 2, x, 0),
        "o": 2 * (p[0] + p[2]),
        "p": x[:, 5],
        "q": x * e.sum(1),
        "r": (grid**2).sum((1, 2)),
        "s": lab[d + 1] ** 2 / 2 + table.sum(),
        "tt": x @ w.T,
        "u": np.cumsum(p),
        "v": (grid * e.reshape(2, 3, 6)[:, :, 5]).sum(2),
        "w": x[:, 5],
        "xx": x + np.diag(e),
        "y": np.exp(x) / np.exp(x).sum(1, keepdims=True),
        "z": x.mean(1),
    }
    out = model(x=x, d=d, l=places)
    assert set(expected) == set(out)
    for name, wanted in expected.items():
        np.testing.assert_allclose(out[name].detach(), wanted, atol=EMITTED, err_msg=name)
    circuit = compile_spec(SPEC, "labels.dlt").circuit
    params = {"P": p, "W": w.reshape(4, 2, 3), "E": e.reshape(2, 3, 2, 3)}
    found = interpret(circuit, Env(inputs={"x": grid, "d": d, "l": places}, params=params))
    np.testing.assert_allclose(found["value s"].data, expected["s"], atol=EMITTED)
    np.testing.assert_allclose(found["value j"].data, expected["j"], atol=EMITTED)


def test_overrides_reach_axes_lets_and_tables() -> None:
    """`--set` of a size and of a `let`, where a size, a table and a label are computed from them."""
    text = """dlt 1
model M {
  axis a = 3, b = 2 * a
  let k = 2
  let T[b] = label(b) % k
  input x[b]
  s = T[b] * x[b] + size(b)
  s ~ Gibbs()
}
"""
    model = dltc.compile(text=text, set={"a": 2, "k": 3}).load(dtype=torch.float64)
    assert float(model(x=np.ones((1, 4)))["s"]) == 0 + 1 + 2 + 0 + 4


@pytest.mark.parametrize(
    ("index", "given", "message"),
    [
        ("n - 1", 0, r":6.*an index is -1, outside the axis `k`: its positions are 0\.\.2"),
        ("n // 2", 9, r":6.*an index is 4, outside the axis `k`"),
        ("n", -3, r":6.*an index is -3"),
    ],
)
def test_an_index_outside_its_axis_names_the_line(index: str, given: int, message: str) -> None:
    """A negative one is not counted from the end, and no bare error of torch comes through."""
    text = f"dlt 1\nmodel M {{\n  axis k = 3\n  input n: int\n  param w[k] ~ Normal(0, var = 1)\n  h = w[{index}]\n}}\n"
    model = dltc.compile(text=text).load()
    with pytest.raises(OutsideAxis, match=message):
        model(n=np.array([1, given]))
    assert "rt.inside" not in dltc.compile(text=text.replace(f"w[{index}]", f"w[({index}) % size(k)]")).source


def test_a_constant_index_of_an_axis_bound_by_data() -> None:
    text = "dlt 1\nmodel M {\n  axis t\n  input x[t]\n  h = x[4]\n}\n"
    model = dltc.compile(text=text).load()
    with pytest.raises(OutsideAxis, match=r":5.*an index is 4, outside the axis `t`: its positions are 0\.\.2"):
        model(x=np.ones((2, 3)))
    assert model(x=np.ones((2, 7)))["h"].shape == (2,)


def test_ends_and_computed_labels() -> None:
    """What lies beyond an example's own end is no label, however long the array."""
    text = """dlt 1
model M {
  axis t
  input x[t]
  input n: int
  h = x[n]
  data from npz("d.npz") { x = x; n = n; t = ends }
}
"""
    model = dltc.compile(text=text).load()
    x = np.arange(8.0).reshape(2, 4)
    assert model(x=x, n=np.array([3, 1]), t=np.array([4, 2]))["h"].tolist() == [3.0, 5.0]
    with pytest.raises(OutsideAxis, match="beyond the end of its example"):
        model(x=x, n=np.array([3, 2]), t=np.array([4, 2]))
