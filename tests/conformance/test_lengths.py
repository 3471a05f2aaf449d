"""Axes that end per example (language, 2): by hand, through the commands, and what is refused.

That every operation skips what lies beyond an end is the business of the generated specs (``tests/property``).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import ENDS

import dltc
from dltc.runtime.errors import DataError, InputError, MissingInput

TEXT = """dlt 1
model Tagger {
  axis t, d = 3, cls = 4, td = (t, d)
  input x[td]
  input y[t]: cls
  param W[cls, d] ~ Normal(0, var = 1)
  param u[d] ~ Normal(0, var = 1)
  a[t, t'] = softmax[t'](x[t, d] * x[t', d])
  c[t, d] = a[t, t'] * x[t', d]
  s[t, cls] = W[cls, d] * c[t, d]
  end[d] = c[last, d]
  count = size(t)
  spread = var[t](x[t, d] * u[d])
  level = logsumexp(x[t, d] * u[d])
  best = argmax[t](x[t, d] * u[d])
  logs = sum[t](log((x[t, d] * u[d])^2))
  typical[t] = mean[batch](x[t, first])
  shift[t] = sin(t + 1) * (x[t', d] * x[t', d] * u[d])
  shifted = sum[t](shift)
  chance[t] = log_softmax[t](x[t, d] * u[d])
  scaled = 0.5 * u[0]
  chance ~ Gibbs(beta = scaled)
  probe Z[t] = x[t, first]
  y ~ Categorical(logits = s)
  logs ~ Gibbs()
  learn { * : SGD(lr = 0.01) }
  data from npz("d.npz") { x = x; y = y; t = ends; test 0.25 }
  train { batch 4; epochs 2; report accuracy(y, s), rmse(x[t, first], spread) }
}
"""
LENGTHS = np.array([5, 2, 1, 4, 3, 5, 1, 2])


def data(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Padded with what may not be read."""
    x, y = rng.normal(size=(8, 5, 3)), rng.integers(0, 4, (8, 5))
    for k, n in enumerate(LENGTHS):
        x[k, n:], y[k, n:] = np.nan, 99
    return {"x": x.reshape(8, 15), "y": y, "t": LENGTHS}


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return dltc.compile(text=TEXT).load(seed=3, dtype=torch.float64, examples=8)


def test_values_by_hand(model: torch.nn.Module) -> None:
    """Reductions, softmax, size, last, argmax and a singular function, against NumPy on the cut arrays."""
    given = data(np.random.default_rng(0))
    out, u = model(**given), model.state("u").detach().numpy()
    for k, n in enumerate(LENGTHS):
        x = given["x"].reshape(8, 5, 3)[k, :n]
        weights = np.exp(x @ x.T)
        weights /= weights.sum(1, keepdims=True)
        along = x @ u
        assert float(out["count"][k]) == n
        np.testing.assert_allclose(out["end"][k].detach(), (weights @ x)[-1], atol=ENDS)
        np.testing.assert_allclose(float(out["spread"][k].detach()), along.var(), atol=ENDS)
        np.testing.assert_allclose(float(out["level"][k].detach()), np.log(np.exp(x * u).sum()), atol=ENDS)
        np.testing.assert_allclose(float(out["logs"][k].detach()), np.log(along**2).sum(), atol=ENDS)
        assert int(out["best"][k]) == along.argmax()
        np.testing.assert_allclose(
            float(out["shifted"][k].detach()), np.sin(np.arange(n) + 1).sum() * (x**2 @ u).sum(), atol=ENDS
        )
        np.testing.assert_allclose(out["c"][k, :n].detach(), weights @ x, atol=ENDS)


def test_a_mean_over_the_batch_counts_those_that_are_that_long(model: torch.nn.Module) -> None:
    given = data(np.random.default_rng(1))
    expected = np.nanmean(given["x"].reshape(8, 5, 3)[:, :, 0], axis=0)
    np.testing.assert_allclose(model(**given)["typical"].detach(), expected, atol=ENDS)
    np.testing.assert_allclose(model.measure(**given)["Z"], expected, atol=ENDS)


def test_padding_changes_nothing(model: torch.nn.Module) -> None:
    """The same examples in longer arrays: densities and the whole step."""
    given = data(np.random.default_rng(2))
    longer = {
        "x": np.pad(given["x"], ((0, 0), (0, 12)), constant_values=np.inf),
        "y": np.pad(given["y"], ((0, 0), (0, 4)), constant_values=-1),
        "t": LENGTHS,
    }
    np.testing.assert_allclose(model.log_joint(**given).detach(), model.log_joint(**longer).detach(), atol=ENDS)
    program = dltc.compile(text=TEXT)
    after = []
    for inputs in (given, longer):
        fresh = program.load(seed=3, dtype=torch.float64, examples=8)
        fresh.step(**inputs)
        after.append({path: p.detach().clone() for path, p in fresh.named_parameters()})
    for path in after[0]:
        np.testing.assert_allclose(after[0][path], after[1][path], atol=ENDS)


def test_every_place_counts_once_in_a_metric(tmp_path: Path) -> None:
    """Accuracy and rmse over all places that exist, not over examples."""
    given = data(np.random.default_rng(4))
    np.savez(tmp_path / "d.npz", x=given["x"], y=given["y"], ends=LENGTHS)
    (tmp_path / "s.dlt").write_text(TEXT)
    run = dltc.train(tmp_path / "s.dlt", out=tmp_path / "run")
    assert set(run.metrics) == {"accuracy(y, s)", "rmse(x[t, first], spread)", "nll"}
    from dltc.runtime.evaluate import evaluate

    model = run.model
    inputs = model.checked(given)
    scores, _ = evaluate(model, inputs)
    found = scores.mean
    out = model(**given)
    exists = np.arange(5) < LENGTHS[:, None]
    right = out["s"].detach().numpy().argmax(-1) == given["y"]
    off = given["x"].reshape(8, 5, 3)[:, :, 0] - out["spread"].detach().numpy()[:, None]
    assert found["accuracy(y, s)"] == pytest.approx(right[exists].mean(), abs=1e-6)
    assert found["rmse(x[t, first], spread)"] == pytest.approx(np.sqrt((off[exists] ** 2).mean()), abs=1e-5)


def test_lengths_are_asked_for_and_checked(model: torch.nn.Module) -> None:
    given = data(np.random.default_rng(5))
    with pytest.raises(MissingInput, match=r"`t` ends per example: pass t=\.\.\. with x=\.\.\."):
        model(x=given["x"], y=given["y"])
    with pytest.raises(InputError, match=r"`t` holds the length 6; `x` has 5 along `t`: lengths are 1\.\.5"):
        model(**{**given, "t": LENGTHS + 1})
    with pytest.raises(InputError, match=r"`t` holds the length 0"):
        model(**{**given, "t": LENGTHS - 1})
    with pytest.raises(InputError, match=r"whole numbers"):
        model(**{**given, "t": LENGTHS / 2})


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (np.array([5, 2, 1, 4, 3, 5, 1, 6]), r"`t` takes whole numbers 1\.\.5, .*row 8 holds 6"),
        (np.array([5, 2, 1, 0, 3, 5, 1, 2]), r"row 4 holds 0"),
        (np.array([5, 2, 1.5, 4, 3, 5, 1, 2]), r"row 3 holds 1\.5"),
    ],
)
def test_the_length_column_is_checked(tmp_path: Path, ends: np.ndarray, message: str) -> None:
    given = data(np.random.default_rng(6))
    np.savez(tmp_path / "d.npz", x=given["x"], y=given["y"], ends=ends)
    (tmp_path / "s.dlt").write_text(TEXT)
    with pytest.raises((DataError, dltc.SpecError), match=message):
        dltc.train(tmp_path / "s.dlt", out=tmp_path / "run")


def test_dense_data_pay_nothing() -> None:
    """Without lengths the same spec has no mask."""
    dense = TEXT.replace("t = ends; ", "")
    source = dltc.compile(text=dense).source
    assert "torch.where" not in source.replace("torch.where(t", "")
    assert "rt.End" not in source


def test_diff_sees_the_ends(tmp_path: Path) -> None:
    """Dense or ended is another meaning; another name for the axis is not."""
    texts = {
        "ended": TEXT,
        "dense": TEXT.replace("t = ends; ", ""),
        "renamed": re.sub(r"\bt(?='|\b(?! *0))", "time", TEXT.replace("test", "TEST")).replace("TEST", "test"),
    }
    paths = {name: tmp_path / f"{name}.dlt" for name in texts}
    for name, path in paths.items():
        path.write_text(texts[name])
    different = dltc.diff(paths["ended"], paths["dense"])
    assert not different.same
    assert "t" in str(different)
    assert dltc.diff(paths["ended"], paths["renamed"]).same
