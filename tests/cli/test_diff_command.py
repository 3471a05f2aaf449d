"""`dltc diff`: what it compares, and its exit codes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def other(spec, folder) -> Path:
    """The same meaning in another layout."""
    path = folder / "other.dlt"
    path.write_text(spec.read_text().replace("  axis pix", "  # words\n\n  axis pix"))
    return path


def test_same_meaning(dltc, spec, other):
    done = dltc("diff", "digits.dlt", "other.dlt")
    assert (done.code, done.out, done.err) == (0, "digits.dlt -> other.dlt: same meaning\n", "")
    assert dltc("diff", "digits.dlt", "other.dlt", "--json").json["same"] is True


def test_another_meaning(dltc, spec, other):
    other.write_text(other.read_text().replace("relu(", "tanh("))
    done = dltc("diff", "digits.dlt", "other.dlt")
    assert done.code == 1
    assert done.out.strip()
    found = dltc("diff", "digits.dlt", "other.dlt", "--json")
    assert found.code == 1
    assert (found.json["schema"], found.json["same"]) == (1, False)
    assert found.json["changes"]


def test_only_some_classes_may_fail(dltc, spec, other):
    other.write_text(other.read_text().replace("relu(", "tanh("))
    assert dltc("diff", "digits.dlt", "other.dlt", "--fail-on", "semantic").code == 1
    assert dltc("diff", "digits.dlt", "other.dlt", "--fail-on", "prior").code == 0
    assert dltc("diff", "digits.dlt", "other.dlt", "--fail-on", "prior", "--fail-on", "semantic").code == 1
    done = dltc("diff", "digits.dlt", "other.dlt", "--fail-on", "priors")
    assert (done.code, "`priors` is not a class of changes; did you mean `prior`?" in done.err) == (2, True)


def test_levels(dltc, spec, other):
    assert dltc("diff", "digits.dlt", "other.dlt", "--level", "graph").code == 0
    done = dltc("diff", "digits.dlt", "other.dlt", "--level", "wiring")
    assert (done.code, "`wiring` is unknown; there are spec, graph, optimized" in done.err) == (2, True)
    done = dltc("diff", "digits.dlt", "other.dlt", "--level", "spec")
    assert (done.code, "`spec` is not compared yet: there is graph" in done.err) == (2, True)


def test_a_spec_with_mistakes_is_trouble(dltc, spec, other):
    other.write_text("dlt 1\nmodel M { frob }\n")
    done = dltc("diff", "digits.dlt", "other.dlt")
    assert done.code == 2
    assert "other.dlt:2:" in done.err
    assert dltc("diff", "digits.dlt", "missing.dlt").code == 2


def test_a_run_stands_for_the_spec_it_was_trained_from(dltc, spec):
    assert dltc("train", "digits.dlt", "-o", "r", "--quiet", "--set", "train.epochs=1").code == 0
    assert dltc("diff", "r", "digits.dlt", "--set", "train.epochs=1").code == 0
    spec.write_text(spec.read_text().replace("relu(", "tanh("))
    assert dltc("diff", "r", "digits.dlt", "--set", "train.epochs=1").code == 1
    empty = Path("empty")
    empty.mkdir()
    done = dltc("diff", "empty", "digits.dlt")
    assert done.code == 2
    assert "no checkpoint" in done.err


def test_a_git_revision_stands_for_the_spec_in_it(dltc, spec):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "digits.dlt"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    assert dltc("diff", "HEAD:digits.dlt", "digits.dlt").code == 0
    done = dltc("diff", "HEAD:nothing.dlt", "digits.dlt")
    assert done.code == 2
    assert "HEAD:nothing.dlt cannot be read: " in done.err
