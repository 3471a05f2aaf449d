"""Data drawn from a model of the file: what its densities say, the same again from the same seed, and nothing of the student."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tolerances import GENERATED

from dltc.cli.main import main
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.diff import diff_artefacts
from dltc.compiler.pipeline import Artefact, Options, compile_spec
from dltc.runtime.session import Job, load_data

TEACHER = """
  axis d = 3, k = 4, row = 3, col = 2, pix = (row, col)
  input x[d]
  input y
  input tone[pix]
  latent z: k ~ Categorical(p = q)
  param q[k] in simplex[k] ~ Dirichlet(5)
  param w[d] ~ Normal(0, var = 1)
  param mu[k] ~ Normal(0, var = 25)
  x ~ Normal(0, std = 2)
  m = w * x + mu[z]
  y ~ Normal(m, std = 0.1)
  tone ~ Gamma(shape = 3, rate = 2)
  total = sum[d](w)
"""

STUDENT = """
  axis d = 3, k = 4
  input a[d]
  input b
  input c: k
  input e
  input f[tones]
  axis tones = 6
  input g
  param w[d] ~ Normal(0, var = 1)
  b ~ Normal(w * a, std = 1)
  learn { w : Adam(lr = 0.1) }
  data from Teacher(n = 3000) { a = x; b = y; c = z; e = m; f = tone; g = total; test 0.2 }
  train { steps 3; batch 10 }
"""


def spec(teacher: str = TEACHER, student: str = STUDENT) -> str:
    return f"dlt 1\nmodel Teacher {{{teacher}}}\nmodel Student {{{student}}}\n"


def compiled(text: str, **overrides: str) -> Artefact:
    return compile_spec(text, "m.dlt", Options(set=overrides))


def inputs(text: str, **overrides: str) -> Mapping[str, Any]:
    artefact = compiled(text, **overrides)
    return load_data(Job(artefact.source, artefact.manifest, artefact.text, Path(), {})).inputs


def test_columns_are_a_sample_of_the_joint() -> None:
    """Inputs and latents from their densities, equations of them, what depends on parameters alone in every row."""
    found = inputs(spec())
    assert {n: v.shape[1:] for n, v in found.items()} == {"a": (3,), "b": (), "c": (), "e": (), "f": (6,), "g": ()}
    design = np.concatenate([found["a"], np.eye(4)[found["c"]]], axis=1)
    weights = np.linalg.lstsq(design, found["e"], rcond=None)[0]
    np.testing.assert_allclose(design @ weights, found["e"], atol=GENERATED)  # m = w * x + mu[z], exactly
    np.testing.assert_allclose(found["g"], weights[:3].sum(), atol=GENERATED)
    for values, law in (
        (found["a"].ravel(), stats.norm(scale=2)),
        (found["b"] - found["e"], stats.norm(scale=0.1)),
        (found["f"].ravel(), stats.gamma(3, scale=1 / 2)),
    ):
        assert stats.kstest(values, law.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(np.concatenate([found["f"], found["a"]], axis=1).T) - np.eye(9)).max() < 0.1
    assert set(np.unique(found["c"])) == {0, 1, 2, 3}


def test_a_positive_latent_is_drawn_within_its_domain() -> None:
    teacher = "input x\nlatent z in positive ~ Normal(0, var = 4)\nx ~ Normal(z, std = 0.1)"
    student = "input z\nz ~ HalfNormal(std = 1)\ndata from Teacher(n = 2000) { z = z }"
    assert stats.kstest(inputs(spec(teacher, student))["z"], stats.halfnorm(scale=2).cdf).pvalue > 1e-3


def test_the_seed_decides() -> None:
    """That of `train`, unless the source has its own; more rows begin with the same ones."""
    first = inputs(spec())
    assert all(np.array_equal(first[name], value) for name, value in inputs(spec()).items())
    assert not np.array_equal(first["a"], inputs(spec(), **{"train.seed": "1"})["a"])
    own = STUDENT.replace("n = 3000", "n = 3000, seed = 1")
    one = inputs(spec(), **{"train.seed": "1"})["a"]
    assert np.array_equal(one, inputs(spec(student=own))["a"])
    assert np.array_equal(one, inputs(spec(student=own), **{"train.seed": "5"})["a"])
    assert np.array_equal(first["a"][:50], inputs(spec(student=STUDENT.replace("n = 3000", "n = 50")))["a"])


def test_a_student_does_not_start_at_its_teacher(tmp_path: Path) -> None:
    """Parameters of one name, prior and seed in both: were they drawn alike, there would be nothing to learn."""
    text = spec()
    module = _class(compiled(text), "Student")
    found = inputs(text)
    design = np.concatenate([found["a"], np.eye(4)[found["c"]]], axis=1)
    taught = np.linalg.lstsq(design, found["e"], rcond=None)[0][:3]
    assert abs(taught - module.w.detach().numpy()).max() > 0.1


def _class(artefact: Artefact, name: str) -> Any:
    from dltc.runtime.loader import load_class

    return load_class(artefact.source, name)(seed=0, examples=1)


OWN = """dlt 1
model M {
  axis d = 3, k = 2
  input x[d]
  input y
  param w[d] ~ Normal(0, var = 1)
  param b[k] ~ Normal(0, var = 9)
  let half[k] = [1/2, 1/2]
  latent z: k ~ Categorical(p = half)
  x ~ Normal(0, std = 1)
  y ~ Normal(w * x + b[z], std = 0.2)
  infer { z : Enumerate }
  p[k] = posterior(z)
  certain = max[k](p)
  learn { * : Adam(lr = 0.1) }
  data from M(n = 400) { x = x; y = y; test 0.2 }
  train { epochs 40; batch 20; report certain }
}
"""


@pytest.mark.slow
def test_a_model_learns_from_its_own_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Train, evaluate, resume and draw; what follows from an inference is no column."""
    path = tmp_path / "m.dlt"
    path.write_text(OWN)
    run = str(tmp_path / "run")
    assert main(["train", str(path), "-o", run, "--quiet"]) == 0
    trained = capsys.readouterr().out
    nll = float(trained.split("test nll: ")[1].split()[0])
    unit = 0.5 + np.log(2 * np.pi) / 2  # entropy of a standard normal number
    assert nll < 3 * unit + (unit + np.log(0.2)) + np.log(2) + 0.3  # near the entropy of what was drawn
    assert main(["eval", run]) == 0
    assert float(capsys.readouterr().out.split("test nll: ")[1].split()[0]) == nll
    assert main(["train", str(path), "-o", run, "--resume", "--set", "train.epochs=41", "--quiet"]) == 0
    assert main(["sample", run, "-n", "2"]) == 0
    assert '"z": ' in capsys.readouterr().out


def test_what_is_inferred_is_no_column() -> None:
    with pytest.raises(SpecError, match="has no column `certain`"):
        compiled(OWN.replace("y = y", "y = certain"))


def test_names_of_classes_do_not_meet() -> None:
    text = spec().replace("model Student", "model TeacherData")
    source = compiled(text).source
    assert "class TeacherData_(rt.Module)" in source and "class TeacherData(rt.Module)" in source
    assert len(inputs(text)["a"]) == 3000


def test_overrides_reach_both_models(tmp_path: Path) -> None:
    assert inputs(spec(), d="5")["a"].shape == (3000, 5)
    assert inputs(spec(), row="2", tones="4")["f"].shape == (3000, 4)  # `row` is the teacher's alone
    with pytest.raises(SpecError, match="no axis or `let` of that name"):
        compiled(spec(), rwo="2")


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("x ~ Normal(0, std = 2)", "", "E0613", "`Teacher` cannot draw `x`: no density describes it"),
        ("y ~ Normal(m, std = 0.1)", "y ~ Normal(m, std = 0.1)^2", "E0613", "its density has a power"),
        ("x ~ Normal(0, std = 2)", "x ~ Normal(y, std = 2)", "E0613", "depends on itself through y"),
        ("total = sum[d](w)", "total = sum[d](w)\n  m ~ Laplace(0, scale = 1)", "E0613", "its value `m` has a density"),
        ("from Teacher(", "from Techer(", "E0601", "did you mean `Teacher`?"),
        ("n = 3000", "m = 3000", "E0213", "its arguments are n = 1000, seed"),
        ("n = 3000", "n = 300000000", "E0601", "numbers, more than"),
        ("e = m", "e = mm", "E0602", "did you mean `m`?"),
        ("a = x", "a = y", "E0604", "one number per example"),
        ("axis d = 3, k = 4\n  input a", "axis d = 3, k = 3\n  input a", "E0605", "labels up to 3"),
        ("m = w * x + mu[z]", "m = w * x + nu[z]", "E0201", "unknown name `nu`"),
    ],
)
def test_mistakes(old: str, new: str, code: str, words: str) -> None:
    text = spec()
    assert old in text
    with pytest.raises(SpecError) as caught:
        compiled(text.replace(old, new))
    assert {d.code for d in caught.value.diagnostics if d.severity == "error"} == {code}
    assert words in "".join(f"{d.message} {d.label} {d.help}" for d in caught.value.diagnostics)


def test_a_change_of_the_teacher_is_a_change_of_the_data() -> None:
    text = spec()
    same = compiled(text.replace("w * x + mu[z]", "mu[z] + x * w").replace("  total", "\n  total"))
    assert diff_artefacts(compiled(text), same).same
    for old, new in (("std = 2", "std = 3"), ("Dirichlet(5)", "Dirichlet(6)"), ("n = 3000", "n = 3001")):
        found = diff_artefacts(compiled(text), compiled(text.replace(old, new)))
        assert [change.cls for change in found.changes] == ["schedule"], new


def test_no_data_without_the_emitted_class() -> None:
    from dltc.runtime.errors import AbiError
    from dltc.runtime.sources import columns

    with pytest.raises(AbiError, match="only its emitted module"):
        columns(compiled(spec()).manifest["data"]["source"], Path(), ["x"])
