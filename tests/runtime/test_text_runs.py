"""A text from the spec to its runs: the size of its axis, the alphabet that a run keeps, text out of samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dltc.cli import api
from dltc.cli.main import main
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.frontend.alphabet import axes_of_text

BIGRAM = """dlt 1
model Bigram {
  axis t = 8, ch
  input tok[t]: ch
  input nxt[t]: ch
  param E[ch', ch] ~ Normal(0, var = 1)   init 0
  s[t, ch] = E[tok[t], ch]
  nxt ~ Categorical(logits = s)
  learn { E : Adam(lr = 0.3) }
  data from text("play.txt", length = 8) { tok = tok; nxt = next; test 0.2 }
  train { epochs 30; batch 8; report accuracy(nxt, s) }
}
"""
CYCLE = "abcdé"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.dlt").write_text(BIGRAM, encoding="utf-8")
    Path("play.txt").write_text(CYCLE * 80, encoding="utf-8")
    return tmp_path


def edited(old: str, new: str) -> None:
    assert old in BIGRAM
    Path("m.dlt").write_text(BIGRAM.replace(old, new), encoding="utf-8")


def test_an_axis_has_the_size_of_the_alphabet(place: Path) -> None:
    assert api.compile("m.dlt").manifest["axes"]["ch"] == 5
    assert api.compile("m.dlt", set={"ch": 7}).manifest["axes"]["ch"] == 7
    edited("8, ch\n", "8, ch = 6\n")
    assert api.compile("m.dlt").manifest["axes"]["ch"] == 6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tok = tok; nxt = next", "tok = tok + 0; nxt = next // 1"),
        ('text("play.txt", length = 8)', 'csv("play.csv")'),
        ("axis t = 8, ch", "axis t = 8, ch = 5"),
        ("[t]: ch", "[t]: int"),
        ("model Bigram", "model text { input x\n x ~ Normal(0, std = 1) }\nmodel Bigram"),
    ],
)
def test_other_axes_are_left_alone(old: str, new: str) -> None:
    assert axes_of_text(BIGRAM, "m.dlt", None, {}) == {"ch": "play.txt"}
    assert axes_of_text(BIGRAM, "m.dlt", None, {"ch": "3"}) == {}
    assert old in BIGRAM
    assert axes_of_text(BIGRAM.replace(old, new), "m.dlt", None, {}) == {}


def test_a_text_that_is_not_there_leaves_the_axis_open(place: Path) -> None:
    Path("play.txt").unlink()
    with pytest.raises(SpecError, match="the size of `ch` is only known from the data"):
        api.compile("m.dlt")


def test_a_run_keeps_its_alphabet(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text may be gone, or be another: labels mean what they meant in training."""
    assert main(["train", "m.dlt", "-o", "run", "--quiet"]) == 0
    assert "test accuracy(nxt, s): 1" in capsys.readouterr().out
    Path("play.txt").unlink()
    Path("new.txt").write_text("éabcdéabcdé", encoding="utf-8")
    assert main(["sample", "run", "--given", "new.txt", "-n", "1"]) == 0
    drawn = json.loads(capsys.readouterr().out)
    assert (drawn["tok"], drawn["nxt"]) == ("éabcdéab", "abcdéabc")
    assert main(["predict", "run", "new.txt"]) == 0
    scores = json.loads(capsys.readouterr().out)["s"]
    assert [CYCLE[max(range(5), key=row.__getitem__)] for row in scores] == list("abcdéabc")
    Path("new.md").write_text("éabcdéabcdé", encoding="utf-8")  # a text of any name
    assert main(["predict", "run", "new.md"]) == 0
    assert json.loads(capsys.readouterr().out)["s"] == scores
    Path("odd.txt").write_text("abc\nabcdéabcd", encoding="utf-8")
    assert main(["predict", "run", "odd.txt"]) == 1
    assert "line 1 holds '\\n', which the text that the model learnt from does not hold" in capsys.readouterr().err


def test_a_changed_text_is_another_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "m.dlt", "-o", "run", "--quiet"]) == 0
    longer = ["--resume", "--set", "train.epochs=31", "--quiet"]
    assert main(["train", "m.dlt", "-o", "run", *longer]) == 0
    Path("play.txt").write_text(CYCLE * 80 + "z", encoding="utf-8")
    assert main(["train", "m.dlt", "-o", "run", *longer]) != 0
    assert "they differ in --set ch" in capsys.readouterr().err
    Path("play.txt").write_text(CYCLE * 80 + "a", encoding="utf-8")
    assert main(["train", "m.dlt", "-o", "run", *longer]) != 0
    assert "the data have changed" in capsys.readouterr().err


@pytest.mark.parametrize("alphabet", [3, "ba", "aab", ["a", "b"]])
def test_a_damaged_alphabet(alphabet: object, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "m.dlt", "-o", "run", "--quiet", "--set", "train.epochs=1"]) == 0
    path = Path("run/checkpoint/state.json")
    state = json.loads(path.read_text(encoding="utf-8"))
    assert state["alphabet"] == CYCLE
    path.write_text(json.dumps({**state, "alphabet": alphabet}), encoding="utf-8")
    assert main(["predict", "run", "play.txt"]) != 0
    assert "`alphabet` of state.json is no alphabet" in capsys.readouterr().err


def test_samples_of_a_spec_are_text(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of columns as they stand; numbers made of them stay numbers."""
    edited("nxt = next", "nxt = next % 2")
    assert main(["sample", "m.dlt", "--given", "play.txt", "-n", "2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["tok"] for row in rows] == ["abcdéabc", "déabcdéa"]
    assert rows[0]["nxt"] == [1, 0, 1, 0, 0, 1, 0, 1]
