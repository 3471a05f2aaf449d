"""`assert` at the end of training and in `eval`; `probe` of values and expressions: numbers against NumPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tolerances import METRIC

import dltc
from dltc.cli.main import main
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.asserts import failures
from dltc.runtime.errors import AssertFailed
from dltc.runtime.evaluate import CHUNK, evaluate

SPEC = """dlt 1
model M {
  axis d = 3, k = 2, pix = (k, d), dr = 1..2
  input x[d]
  input y: k
  param W[k, d] ~ Normal(0, var = 1)
  param far[dr] ~ Flat() init 2 frozen
  s[k] = W * x
  y ~ Categorical(logits = s)
  BODY
  learn { W : Adam(lr = 0.02) }
  data from npz("d.npz") { x = x; y = y; test 0.3 }
  train { epochs 20; dtype float64; MORE }
}
"""


@pytest.fixture
def spec(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    np.savez(tmp_path / "d.npz", x=x, y=(x[:, 0] > 0).astype(int))

    def write(body: str, more: str = "report accuracy(y, s)") -> str:
        path = tmp_path / "m.dlt"
        path.write_text(SPEC.replace("BODY", body).replace("MORE", more))
        return str(path)

    return write


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main([*arguments])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


HOLDING = """assert accuracy(y, s) > 0.5
  assert 0 < nll <= 2
  assert -50 < s < 50
  assert sum(W) != 0
  assert far
  assert norm(W) < 1000 * far[1]"""


def test_what_holds_is_silent(spec, tmp_path, capsys) -> None:
    code, out, _ = run(capsys, "train", spec(HOLDING), "-q", "-o", str(tmp_path / "r"))
    assert code == 0 and "test accuracy(y, s)" in out
    last = json.loads((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["final"] and last["failed"] == []
    assert run(capsys, "eval", str(tmp_path / "r"))[0] == 0


def test_what_fails_names_line_and_values(spec, tmp_path, capsys) -> None:
    """The run is complete and saved, its metrics are shown; then the failure, with exit code 4, in train and in eval."""
    body = "assert W < 0.5\n  assert accuracy(y, s) > 0.999 * far[1]"
    path = spec(body)
    code, out, err = run(capsys, "train", path, "-q", "-o", str(tmp_path / "r"))
    assert code == 4 and "test nll" in out and "Traceback" not in err
    model = dltc.compile(path).load(dtype=torch.float64)
    model.load_state_dict(_state(tmp_path / "r", model))
    w = model.W.detach().numpy()
    k, d = np.argwhere(w >= 0.5)[0]
    count = int((w >= 0.5).sum())
    wanted = f"(m.dlt:10): at k = {k}, d = {d} ({count} of 6 places): W = {w[k, d]:.6g}"
    assert wanted in err.replace(str(tmp_path) + "/", "")
    score = json.loads((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()[-1])["metrics"]["accuracy(y, s)"]
    assert f"accuracy(y, s) = {score:.6g}, 0.999 * far[1] = 1.998" in err
    code, out, again = run(capsys, "eval", str(tmp_path / "r"))
    assert code == 4 and "test nll" in out and f"accuracy(y, s) = {score:.6g}" in again
    code, out, _ = run(capsys, "eval", str(tmp_path / "r"), "--json")
    assert code == 4 and json.loads(out)["error"]["exit"] == 4
    assert run(capsys, "train", path, "-q", "-o", str(tmp_path / "r"), "--resume")[0] == 4
    with pytest.raises(AssertFailed, match="accuracy"):
        dltc.train(path, tmp_path / "again", quiet=True)


def _state(folder, model) -> dict[str, torch.Tensor]:
    from dltc.runtime.checkpoint import restore

    restore(folder / "checkpoint", model)
    return model.state_dict()


CASES = {
    "1 < far[dr] < 2": "at dr = 1 (2 of 2 places): far[dr] = 2",
    "x[0] < 0": "at example 1 of test (2 of 3 places): x[0] = 0.5",
    "x[d] <= 0.5 * d": "at example 1 of test, d = 0 (4 of 9 places): x[d] = 0.5, 0.5 * d = 0",
    "mean[batch](x[0]) < 0.4": "mean[batch](x[0]) = 0.5",
    "sum(far) - 4": "sum(far) - 4 = 0",
    "mae(x, x2) < 0.1": "mae(x, x2) = 2",
    "log(x[2]) >= x[2]": "at example 0 of test (3 of 3 places): log(x[2]) = nan, x[2] = -1",
}


@pytest.mark.parametrize("condition", CASES)
def test_places_and_values(condition: str) -> None:
    body = f"x2[d] = x - 2\n  assert {condition}\n  assert far == 2"
    artefact = compile_spec(SPEC.replace("BODY", body).replace("MORE", ""), "m.dlt")
    model = dltc.compile(text=artefact.text).load(dtype=torch.float64)
    x = np.array([[-1.0, -1.0, -1.0], [0.5, 1.0, -1.0], [2.0, 2.0, -1.0]])
    found = failures(model, model.checked({"x": x, "y": [0, 1, 0]}), "test")
    assert [line.partition("): ")[2] for line in found] == [CASES[condition]]
    assert found[0].startswith(f"assert {condition} does not hold (")


def test_more_examples_than_a_chunk() -> None:
    """A statistic over the examples is over all of them; the place of a failure is counted from the first."""
    body = "assert mean[batch](x[0]) == 1\n  assert x[1] < 5"
    artefact = compile_spec(SPEC.replace("BODY", body).replace("MORE", ""), "m.dlt")
    split = compile_spec(SPEC.replace("BODY", "assert x[1] < 5").replace("MORE", ""), "m.dlt")
    x = np.zeros((2 * CHUNK + 2, 3))
    x[:, 0] = np.where(np.arange(len(x)) < CHUNK, 0, (len(x)) / (CHUNK + 2))
    x[CHUNK + 7, 1] = 6
    for text in (artefact.text, split.text):
        model = dltc.compile(text=text).load(dtype=torch.float64)
        (line,) = failures(model, model.checked({"x": x, "y": np.zeros(len(x), int)}), "train")
        assert f"at example {CHUNK + 7} of train (1 of {len(x)} places): x[1] = 6" in line


def test_each_replica_is_looked_at(spec, tmp_path) -> None:
    path = spec("assert W[0, 0] > 1e9\n  assert nll < 1e9", "seeds 2; seed 5")
    with pytest.raises(AssertFailed) as failed:
        dltc.train(path, tmp_path / "r", quiet=True)
    lines = str(failed.value).splitlines()
    assert ["replica 0 (seed 5)" in lines[0], "replica 1 (seed 6)" in lines[1], len(lines)] == [True, True, 2]


RAGGED = """dlt 1
model M {
  axis t
  input x[t]
  param w ~ Normal(0, var = 1)
  h[t] = 2 * x[t]
  probe h, sum[t](x), abs(x[t]^2)
  probe only[t] = x + 1
  x ~ Normal(0, std = 1)
  assert h < 3
  assert mae(x, h) < 100
  learn { w : SGD(lr = 0.1) }
  data from npz("d.npz") { x = x; t = n }
}
"""


def test_probes_over_ending_axes_count_what_exists() -> None:
    """Two chunks of different lengths: each entry is the mean of the examples that have it."""
    rng = np.random.default_rng(1)
    rows = CHUNK + 300
    lengths = np.where(np.arange(rows) < CHUNK, rng.integers(1, 3, rows), rng.integers(1, 6, rows))
    x = np.where(np.arange(5) < lengths[:, None], rng.normal(size=(rows, 5)), 99.0)
    model = dltc.compile(text=RAGGED).load(dtype=torch.float64, examples=rows)
    _, probes = evaluate(model, model.checked({"x": x, "t": lengths}))
    there = np.arange(5) < lengths[:, None]
    clean = np.where(there, x, 0)
    each = there.sum(0)
    np.testing.assert_allclose(probes["h"], 2 * clean.sum(0) / each, rtol=METRIC)
    np.testing.assert_allclose(probes["abs(x[t]^2)"], (clean**2).sum(0) / each, rtol=METRIC)
    np.testing.assert_allclose(probes["only"], (clean + there).sum(0) / each, rtol=METRIC)
    np.testing.assert_allclose(probes["sum[t](x)"], clean.sum() / rows, rtol=METRIC)
    (line,) = failures(model, model.checked({"x": x, "t": lengths}), "train")
    first = np.argwhere(there & (2 * clean >= 3))[0]
    count = int((there & (2 * clean >= 3)).sum())
    assert f"at example {first[0]} of train, t = {first[1]} ({count} of {each.sum()} places)" in line


def test_probes_are_logged_beside_the_report(spec, tmp_path) -> None:
    """Keyed by their text, over the axes as written; a reported number is not logged twice."""
    body = "e = sum(s)\n  g = norm(W)\n  probe s, W, abs(s[k]), e, g\n  probe stop(x[d] * W[k, d])"
    path = spec(body, "report e, accuracy(y, s) every 30")
    done = dltc.train(path, tmp_path / "r", quiet=True)
    rows = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    probes = rows[-2]["probes"]
    assert set(probes) == {"s", "W", "abs(s[k])", "g", "stop(x[d] * W[k, d])"}
    assert np.shape(probes["W"]) == (2, 3) and np.shape(probes["abs(s[k])"]) == (2,)
    np.testing.assert_allclose(
        probes["stop(x[d] * W[k, d])"], probes["s"], rtol=METRIC
    )  # a product sums what it shares
    assert "e" in done.metrics
    assert done.model.PROBES["W"] == ("k", "d")
