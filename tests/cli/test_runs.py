"""`new`, `predict`, `sample` and `plot`: what is made of specs and runs beside training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import dltc as package
from dltc.cli.new import TEMPLATES
from dltc.runtime.curves import read_series

MIXTURE = """dlt 1
model Mix {
  axis k = 2, d = 2
  input z: k
  input x[d]
  input n: int
  input b: bool
  input u
  param mu[k, d] ~ Normal(3, var = 0.25)   init 0
  z ~ Categorical(logits = 1.0 * k)
  x ~ Normal(mu[z], std = 0.1)
  r = exp(0.3 * x[0])
  n ~ Poisson(r)
  b ~ Bernoulli(logits = x[1] - u)
}
"""


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_starter_checks_is_laid_out_and_trains(template, dltc, folder):
    assert dltc("new", "my_start", "--template", template).out == "my_start.dlt\n"
    assert dltc("check", "my_start.dlt").err.strip() == ""
    assert dltc("fmt", "--check", "my_start.dlt").code == 0
    assert "model MyStart {" in Path("my_start.dlt").read_text()
    done = dltc("train", "my_start.dlt", "--set", "train.epochs=1", "-o", "run", "--json")
    assert done.code == 0, done.err
    assert Path("run/curves.png").read_bytes().startswith(b"\x89PNG")


def test_new_never_replaces_what_is_there(dltc, folder):
    Path("a.dlt").write_text("mine")
    done = dltc("new", "a")
    assert (done.code, Path("a.dlt").read_text()) == (2, "mine")
    assert "a.dlt is there already" in done.err
    assert dltc("new", "a", "--force").code == 0
    assert dltc("new", "1x").code == 2
    assert "cannot name a model" in dltc("new", "a-b").err
    assert "the folder nowhere is not there" in dltc("new", "nowhere/x").err
    assert "did you mean" in dltc("new", "b", "--template", "sequences").err


@pytest.fixture(scope="module")
def regression(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """A run on data of known statistics."""
    place = tmp_path_factory.mktemp("regression")
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, size=(40, 2))
    np.savez(place / "d.npz", data=x, target=x @ [1.0, -2.0])
    (place / "s.dlt").write_text(
        "dlt 1\nmodel Reg {\n  axis d = 2\n  input x[d]\n  input y\n  param w[d] ~ Normal(0, var = 1)\n"
        "  m = w[d] * x[d]\n  h[d] = 2 * x\n  output m, h\n  y ~ Normal(m, std = 1)\n  learn { w : SGD(lr = 0.1) }\n"
        '  data from npz("d.npz") { x = standardize(data); y = target; test 0.25 }\n'
        "  train { batch 10; epochs 2; seed 3 }\n}\n"
    )
    package.train(place / "s.dlt", out=place / "run")
    return place, {"data": x}


def test_predictions_are_the_models_outputs(regression, dltc, folder):
    """Standardised by the training rows, the target missing, in every format."""
    place, data = regression
    np.savez("new.npz", data=data["data"][:7])
    done = dltc("predict", str(place / "run"), "new.npz")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert dltc("predict", str(place / "run"), "new.npz", "-o", "out.npz", "--json").json["rows"] == 7
    with np.load("out.npz") as found:
        np.testing.assert_allclose([row["m"] for row in rows], found["m"], rtol=1e-6)
        assert found["h"].shape == (7, 2)
        # every row of the spec's own data, standardised by its own training part, gives the same
        from dltc.runtime.data import DataPlan, inputs_of, load

        program = package.compile(str(place / "s.dlt"))
        plan = DataPlan.from_manifest(program.manifest)
        inputs = load(plan, inputs_of(program.manifest), place, 3).inputs
        model = package.train(str(place / "s.dlt"), out=folder / "again").model
        expected = model(x=torch.tensor(inputs["x"][:7], dtype=torch.float32))["m"]
        np.testing.assert_allclose(found["m"], expected.detach(), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.npz"], 2, "is not there"),
        (["d.log"], 2, "of no known kind"),
        (["d.txt"], 2, "does not fit: the data of this spec are of the kind"),
        (["empty.npz"], 1, "has the columns of no input"),
        (["wide.npz"], 1, "E0604"),
        (["nan.npz"], 1, "E0606"),
        (["pickled.npz"], 1, "E060"),
        (["new.npz", "-o", "out.txt"], 2, "of no known kind"),
        (["new.npz", "-o", "missing/out.npz"], 2, "cannot be written"),
    ],
)
def test_bad_data_for_predictions(arguments, code, message, regression, dltc, folder):
    place, data = regression
    np.savez("new.npz", data=data["data"][:3])
    np.savez("empty.npz", other=np.ones(3))
    np.savez("wide.npz", data=np.ones((3, 5)))
    np.savez("nan.npz", data=np.full((3, 2), np.nan))
    np.savez("pickled.npz", data=np.array([[{}, {}]], dtype=object))
    for name in ("d.log", "d.txt"):
        Path(name).write_text("1")
    done = dltc("predict", str(place / "run"), *arguments)
    assert (done.code, "Traceback" in done.err) == (code, False), done.err
    assert message in done.err + done.out


def test_samples_follow_the_declared_joint(dltc, folder):
    """Moments of every kind of draw, given the parameters that the prior gave."""
    Path("mix.dlt").write_text(
        MIXTURE.replace("}\n", '  data from npz("u.npz") { z = z; x = x; n = n; b = b; u = u }\n}\n', 1)
    )
    rows = 20_000
    np.savez("u.npz", u=np.linspace(-1, 1, rows))
    done = dltc("sample", "mix.dlt", "--given", "u.npz", "--seed", "4", "-o", "draws.npz")
    assert done.code == 0, done.err
    with np.load("draws.npz") as found:
        z, x, n, b, u = (found[name] for name in ("z", "x", "n", "b", "u"))
        np.testing.assert_allclose(found["r"], np.exp(0.3 * x[:, 0]), rtol=1e-5)
    assert abs(z.mean() - 1 / (1 + np.exp(-1))) < 0.02
    means = np.array([x[z == k].mean(0) for k in (0, 1)])
    assert (np.abs(means - 3) < 2.5).all()  # from the prior, not from `init 0`
    assert abs(np.std(x - means[z]) - 0.1) < 0.003
    assert abs(n.mean() - np.exp(0.3 * x[:, 0]).mean()) < 0.05
    assert abs(b.mean() - (1 / (1 + np.exp(u - x[:, 1]))).mean()) < 0.01
    first = dltc("sample", "mix.dlt", "--given", "u.npz", "--seed", "4", "-n", "3").out.splitlines()
    assert [json.loads(line)["z"] for line in first] == z[:3].tolist()
    assert dltc("sample", "mix.dlt", "--given", "u.npz", "--seed", "5", "-n", "3").out.splitlines() != first


LATENT = """dlt 1
model M {
  axis d = 2, k = 3, c = 4
  input x[d]
  param mu[k, d] ~ Normal(0, var = 25)
  param D[d, c] ~ Normal(0, var = 1)
  let share[k] = [0.5, 0.3, 0.2]
  latent z: k ~ Categorical(p = share)
  latent a[c] in positive ~ Exponential(rate = 2)
  x ~ Normal(mu[z] + D * a, std = 0.1)
  p[k] = posterior(z)
  twice[k] = 2 * p
  total = sum(a)
  infer { z : Enumerate; a : EG(lr = 0.01, steps = 3) }
}
"""


def test_samples_have_latents_from_their_priors(dltc, folder):
    """What observes them is drawn given them; what would follow from an inference is left out."""
    Path("m.dlt").write_text(LATENT)
    done = dltc("sample", "m.dlt", "-n", "20000", "-o", "draws.npz")
    assert done.code == 0, done.err
    with np.load("draws.npz") as found:
        assert sorted(found) == ["a", "total", "x", "z"]
        z, a, x = found["z"], found["a"], found["x"]
        np.testing.assert_allclose(found["total"], a.sum(1), rtol=1e-5)
    np.testing.assert_allclose(np.bincount(z) / len(z), [0.5, 0.3, 0.2], atol=0.02)
    assert a.min() > 0 and abs(a.mean() - 0.5) < 0.02
    design = np.concatenate([np.eye(3)[z], a], axis=1)
    off = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    assert abs(off.std() - 0.1) < 0.003


def test_samples_of_a_run_have_its_parameters(regression, dltc, folder):
    place, data = regression
    np.savez("new.npz", data=data["data"][:30])
    predicted = [json.loads(s)["m"] for s in dltc("predict", str(place / "run"), "new.npz").out.splitlines()]
    drawn = [json.loads(s) for s in dltc("sample", str(place / "run"), "--given", "new.npz").out.splitlines()]
    np.testing.assert_allclose([row["m"] for row in drawn], predicted, rtol=1e-5)
    off = np.array([row["y"] - row["m"] for row in drawn])
    assert 0.6 < off.std() < 1.5


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("  b ~ Bernoulli(logits = x[1] - u)\n", "", "`b` cannot be drawn: no density describes it"),
        ("n ~ Poisson(r)", "n ~ Poisson(r)^0.5", "`n` cannot be drawn: its density has a power"),
        ("x ~ Normal(mu[z], std = 0.1)", "x[0] ~ Normal(0, std = 1)", "its density describes a part of it only"),
        (
            "x ~ Normal(mu[z], std = 0.1)",
            "x ~ Normal(mu[z], std = 0.1)\n  x ~ Laplace(0, scale = 1)",
            "several densities",
        ),
        ("x ~ Normal(mu[z], std = 0.1)", "x ~ Normal(mu[z] * n, std = 0.1)", "depends on itself through"),
        (
            "logits = 1.0 * k",
            "logits = 1.0 * k",
            "`u` cannot be drawn: no density describes it; pass its values with --given",
        ),
    ],
)
def test_what_cannot_be_drawn_says_why(old, new, why, dltc, folder):
    assert old in MIXTURE
    text = MIXTURE.replace(old, new)
    if "`u`" not in why:
        text = text.replace("  input u\n", "").replace(" - u", "")
    Path("mix.dlt").write_text(text)
    done = dltc("sample", "mix.dlt", "-n", "4")
    assert done.code == 2
    assert why in done.err


def test_plot(regression, dltc, folder):
    place, _ = regression
    run = str(place / "run")
    assert dltc("plot", run).out.strip() == (place / "run" / "curves.png").as_posix()
    assert dltc("plot", run, run, "-o", "both.svg").code == 0
    assert "<svg" in Path("both.svg").read_text()
    assert read_series(place / "run")[("nll", "test")]
    assert dltc("plot", "nowhere").code == 2
    assert "of no known kind" in dltc("plot", run, "-o", "a.gif").err


def test_a_damaged_log(regression, dltc, folder):
    """A line cut by a kill at the end is left out; damage before it is said."""
    place, _ = regression
    lines = (place / "run" / "metrics.jsonl").read_text().splitlines()
    for name, text in (("cut", "\n".join([*lines, lines[-1][:20]])), ("bad", "\n".join(['{"metrics": 1}', *lines]))):
        Path(name).mkdir()
        (Path(name) / "metrics.jsonl").write_text(text)
    assert dltc("plot", "cut").code == 0
    done = dltc("plot", "bad")
    assert (done.code, "line 1 of" in done.err) == (2, True)
