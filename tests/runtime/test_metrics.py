"""Reported numbers against NumPy and scikit-learn, over batches of unequal size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics as known
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import METRIC, SINGLE

from dltc.runtime.errors import AbiError
from dltc.runtime.metrics import Totals
from dltc.runtime.tables import Metric


def total(metric: Metric, arrays: list[np.ndarray], cuts: list[int]) -> float:
    """The value over batches cut at some rows."""
    totals = Totals((metric,))
    bounds = [0, *cuts, len(arrays[0])]
    for start, stop in pairwise(bounds):
        totals.add({name: torch.as_tensor(a[start:stop]) for name, a in zip(metric.stats, arrays, strict=True)})
    return totals.values()[metric.key]


R2 = Metric("r2", "r2", ("error", "truth"))
AUC = Metric("auc", "auc", ("truth", "score"))
MEAN = Metric("accuracy", "mean", ("right",))
CUTS = [1, 1, 40, 167]


def test_seventeen_of_eighteen_is_the_number_that_float64_knows():
    right = np.ones(18, np.float32)
    right[5] = 0
    assert total(MEAN, [right], [7]) == 17 / 18
    assert f"{total(MEAN, [right], []):.10f}" == "0.9444444444"


@pytest.mark.parametrize("offset", [0.0, 1e3, -1e5])
def test_r2_does_not_cancel(offset):
    rng = np.random.default_rng(0)
    y = (offset + rng.normal(size=(200, 3))).astype(np.float32)
    m = (y + 0.3 * rng.normal(size=y.shape)).astype(np.float32)
    wanted = known.r2_score(y.astype(float).ravel(), m.astype(float).ravel())
    assert total(R2, [(y.astype(float) - m) ** 2, y], CUTS) == pytest.approx(wanted, rel=METRIC)


def test_a_truth_that_does_not_vary_has_no_r2():
    y = np.full(20, 1000.1, np.float32)
    assert np.isnan(total(R2, [np.ones(20, np.float32), y], [3]))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(1, 6), st.integers(0, 2**16), st.lists(st.integers(0, 60), max_size=3))
def test_auc_is_that_of_scikit_learn(rows, values, seed, cuts):
    """Few distinct scores, so that ties lie in and between batches."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows).astype(np.float32)
    s = rng.integers(0, values, rows).astype(np.float32)
    found = total(AUC, [y, s], sorted(min(c, rows) for c in cuts))
    if len(set(y)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(known.roc_auc_score(y, s), rel=METRIC)


def test_auc_without_ties_and_with_numbers_that_are_none():
    rng = np.random.default_rng(1)
    y, s = rng.integers(0, 2, 500), rng.normal(size=500)
    assert total(AUC, [y, s], CUTS) == pytest.approx(known.roc_auc_score(y, s), rel=METRIC)
    s[7], s[8] = np.inf, -np.inf
    ranked = np.argsort(np.argsort(s))
    assert total(AUC, [y, s], CUTS) == pytest.approx(known.roc_auc_score(y, ranked), rel=METRIC)
    s[9] = np.nan
    assert np.isnan(total(AUC, [y, s], CUTS))


def test_places_beyond_an_end_do_not_count():
    rng = np.random.default_rng(2)
    y, s = rng.integers(0, 2, (30, 4)).astype(float), rng.normal(size=(30, 4))
    there = np.arange(4) < rng.integers(1, 5, (30, 1))
    s[~there] = np.nan
    metric = Metric("auc", "auc", ("truth", "score", "places"))
    wanted = known.roc_auc_score(y[there], s[there])
    assert total(metric, [y, s, there.astype(float)], [4, 5]) == pytest.approx(wanted, rel=METRIC)


def test_root_mean_is_finished_at_the_end():
    errors = np.array([4.0, 4.0, 1.0, 0.0], np.float32)
    assert total(Metric("rmse", "root_mean", ("e",)), [errors], [1]) == 1.5


def test_a_table_of_another_runtime_is_refused():
    with pytest.raises(AbiError, match="kind `median` with 1 statistics is not known"):
        Totals((Metric("m", "median", ("e",)),))
    with pytest.raises(AbiError, match="kind `auc` with 1 statistics is not known"):
        Totals((Metric("m", "auc", ("e",)),))
    with pytest.raises(AbiError, match="did not measure q"):
        Totals((Metric("q", "mean", ("q",)),)).add({})


SPEC = """dlt 1
model M {
  axis k = 3, two = 2
  input x[k]
  input y[k]
  input on: bool
  input side: two
  param w[k] ~ Normal(0, var = 1)
  param v[two, k] ~ Normal(0, var = 1)
  m[k] = w[k] * x[k] + 1000
  p = sum[k](m[k] - 1000)
  s[two] = v[two, k] * x[k]
  y ~ Normal(m, var = 1)
  on ~ Bernoulli(logits = p)
  side ~ Categorical(logits = s)
  learn { * : SGD(lr = 0) }
  train { batch 7; steps 1; report r2(y, m), rmse(y, m), mae(y, m), auc(on, p), auc(side, s[1] - s[0]), accuracy(on, p), accuracy(side, s), nll }
}
"""


def test_a_compiled_spec_in_float32_reports_what_scikit_learn_does(monkeypatch):
    import dltc
    from dltc.runtime.evaluate import evaluate

    model = dltc.compile(text=SPEC).load(seed=3)
    rng = np.random.default_rng(4)
    n = 50
    x, y = rng.normal(size=(n, 3)), 1000 + rng.normal(size=(n, 3))
    given = {"x": x, "y": y, "on": rng.random(n) < 0.4, "side": rng.integers(0, 2, n)}
    out = {key: value.detach().double().numpy() for key, value in model(**given).items()}
    y = y.astype(np.float32).astype(float)
    margin = out["s"][:, 1] - out["s"][:, 0]
    wanted = {
        "r2(y, m)": known.r2_score(y.ravel(), out["m"].ravel()),
        "rmse(y, m)": known.root_mean_squared_error(y.ravel(), out["m"].ravel()),
        "mae(y, m)": known.mean_absolute_error(y.ravel(), out["m"].ravel()),
        "auc(on, p)": known.roc_auc_score(given["on"], out["p"]),
        "auc(side, s[1] - s[0])": known.roc_auc_score(given["side"], margin),
        "accuracy(on, p)": known.accuracy_score(given["on"], out["p"] > 0),
        "accuracy(side, s)": known.accuracy_score(given["side"], margin > 0),
        "nll": -float(model.log_prob(**given).detach().double().mean()),
    }
    for chunk in (1024, 7, 49):
        monkeypatch.setattr("dltc.runtime.evaluate.CHUNK", chunk)
        found, _ = evaluate(model, model.checked(given))
        assert found.mean == pytest.approx(wanted, rel=SINGLE)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("auc(side, s)", "auc needs one score per `side`; this one also has the axis `two`"),
        ("auc(y, m)", "auc compares a bool, or a label of two, with a score"),
        ("auc(on, m)", "auc needs one score per `on`; this one also has the axis `k`"),
    ],
)
def test_what_auc_cannot_compare(metric, message):
    import dltc

    with pytest.raises(dltc.SpecError) as info:
        dltc.compile(text=SPEC.replace("auc(on, p)", metric))
    assert message in str(info.value.diagnostics[0].message)
