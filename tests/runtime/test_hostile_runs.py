"""Run folders that somebody else made, or that a full disk cut short: refused with a message, never a traceback, never believed."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dltc.cli.main import main

SPEC = """dlt 1
model Tiny {
  axis f = 4, cls = 3
  input x[f]
  input y: cls
  param W[cls, f] ~ Normal(0, var = 1)   init 0
  s[cls] = W * x
  y ~ Categorical(logits = s)
  learn { W : Adam(lr = 0.05) }
  data from sklearn("iris") { x = standardize(data); y = target; test 0.2 }
  train { batch 16; epochs 2; seed 0; report accuracy(y, s) every 5 }
}
"""
READERS = (
    ("eval", "run"),
    ("train", "tiny.dlt", "-o", "run", "--resume"),
    ("predict", "run", "new.npz"),
    ("sample", "run", "-n", "3"),
    ("diff", "run", "tiny.dlt"),
    ("plot", "run", "-o", "out.png"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "tiny.dlt").write_text(SPEC)
    np.savez(folder / "new.npz", data=np.ones((400, 4)))
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert main(["train", "tiny.dlt", "-o", "run", "--quiet"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "place"
    shutil.copytree(trained, place)
    monkeypatch.chdir(place)
    return place


def files(run: Path) -> list[Path]:
    return sorted(p for p in run.rglob("*") if p.is_file() and p.name != ".lock" and p.suffix != ".png")


def answers(
    capsys: pytest.CaptureFixture[str],
    what: str,
    readers: tuple[tuple[str, ...], ...] = READERS,
    *,
    codes: tuple[int, ...] = (0, 1, 2, 4),
) -> list[int]:
    """Commands that read a run: their exit codes, and no traceback."""
    found: list[int] = []
    for command in readers:
        code = main(list(command))
        done = capsys.readouterr()
        text = done.out + done.err
        assert code in codes and "Traceback" not in text and "internal error" not in text, (
            what,
            command,
            code,
            text[-800:],
        )
        found.append(code)
    return found


def test_a_sound_run_is_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answers(capsys, "sound") == [0, 0, 0, 2, 0, 0]  # what no density describes cannot be drawn


def _state(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        path = run / "checkpoint" / "state.json"
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return apply


def _text(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(content) and None


DAMAGE: dict[str, Callable[[Path], None]] = {
    "no state": lambda run: (run / "checkpoint" / "state.json").unlink(),
    "state is a list": _text("checkpoint/state.json", b"[]"),
    "state is deep": _text("checkpoint/state.json", b"[" * 100_000),
    "state is binary": _text("checkpoint/state.json", bytes(range(256))),
    "state has a huge number": _text("checkpoint/state.json", b'{"step": ' + b"9" * 5000 + b"}"),
    "no spec": _state(lambda s: s.pop("spec")),
    "the spec is a number": _state(lambda s: s.update(spec=3)),
    "the spec has NUL": _state(lambda s: s["spec"].update(text="dlt 1\0")),
    "the spec is another": _state(lambda s: s["spec"].update(text="dlt 1\nmodel M {\n  input x\n  h = x\n}\n")),
    "used files are numbers": _state(lambda s: s["spec"].update(used={"a": 3})),
    "used files are a list": _state(lambda s: s["spec"].update(used=[1])),
    "the folder is a list": _state(lambda s: s.update(folder=["/"])),
    "options are odd": _state(lambda s: s.update(options={"set": {"a": {}}, "without": 3, "seed": True})),
    "a newer version": _state(lambda s: s.update({k: 999 for k in s if "version" in k or k == "checkpoint"})),
    "tensors elsewhere": _state(lambda s: s["tensors"].update(file="../../etc/passwd")),
    "tensors of another hash": _state(lambda s: s["tensors"].update(sha256="0" * 64)),
    "step is text": _state(lambda s: s.update({k: "x" for k, v in s.items() if isinstance(v, int)})),
    "manifest is a list": _text("manifest.json", b"[]"),
    "manifest is text": _text("manifest.json", b"{"),
    "metrics are text": _text("metrics.jsonl", b"not json\n{\n[]\n3\n"),
    "metrics are NaN": _text("metrics.jsonl", b'{"step": NaN, "nll": 1e999}\n{"step": "x"}\n'),
    "module is another": _text("tiny.py", b"import os\nos.abort()\n"),
    "no module": lambda run: (run / "tiny.py").unlink(),
    "spec file is another": _text("spec.dlt", b"dlt 9"),
    "checkpoint is a file": lambda run: None,
    "an empty folder": lambda run: None,
    "a link out of the folder": lambda run: None,
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DAMAGE[name](folder / "run")
    by_record = READERS[0], READERS[4]  # the others read the same record; seeds below take them all
    answers(capsys, name, (READERS[5],) if name.startswith("metrics") else (READERS[1], *by_record))
    assert not (folder / "core").exists()


def test_nothing_of_a_run_is_executed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The module in a run folder is text to read: what runs is compiled from the spec again."""
    (folder / "run" / "tiny.py").write_text('raise SystemExit("executed")\n')
    for command in READERS:
        assert main(list(command)) in (0, 1, 2)
        assert "executed" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 8))])
def test_bytes_changed_at_random(
    seed: int, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file of the run with a few bytes changed, cut, or doubled; the run is read by one command each time."""
    r = random.Random(seed)
    for k in range(25):
        place = tmp_path / str(k)
        shutil.copytree(trained, place)
        monkeypatch.chdir(place)
        path = r.choice(files(place / "run"))
        content = bytearray(path.read_bytes())
        match r.randrange(3):
            case 0:
                for _ in range(r.randint(1, 4)):
                    content[r.randrange(len(content))] = r.randrange(256)
            case 1:
                del content[r.randrange(len(content)) :]
            case _:
                content += content[: r.randrange(len(content))]
        path.write_bytes(bytes(content))
        command = r.choice(READERS)
        code = main(list(command))
        done = capsys.readouterr()
        text = done.out + done.err
        assert code in (0, 1, 2, 4) and "Traceback" not in text and "internal error" not in text, (
            path.name,
            command,
            text[-800:],
        )
        shutil.rmtree(place)


def limited(limit: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process whose files may not grow beyond so many bytes, as on a full disk."""
    return subprocess.run(
        [sys.executable, "-m", "dltc", *arguments],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_full_disk_while_training(folder: Path) -> None:
    """The error names the file and why; what was saved last is whole, nothing half-written is left, and the run goes on."""
    state = folder / "run" / "checkpoint" / "state.json"
    before = {p: p.read_bytes() for p in (folder / "run" / "checkpoint").iterdir()}
    done = limited(600, "train", "tiny.dlt", "-o", "run", "--resume", "--set", "train.epochs=3")
    assert done.returncode in (2, 4) and "Traceback" not in done.stderr and "internal error" not in done.stderr, (
        done.stderr
    )
    assert "cannot be written" in done.stderr and "file too large" in done.stderr.lower()
    assert {p: p.read_bytes() for p in before} == before and state in before
    assert not list((folder / "run").rglob("*.part"))
    assert main(["train", "tiny.dlt", "-o", "run", "--resume", "--set", "train.epochs=3", "--quiet"]) == 0


@pytest.mark.parametrize(
    "command",
    [("build", "tiny.dlt", "-o", "out"), ("fmt", "tiny.dlt"), ("predict", "run", "new.npz", "-o", "out.npz"), ("new", "fresh"),
     ("plot", "run", "-o", "out.png"), ],
    ids=lambda c: c[0],
)  # fmt: skip
def test_a_full_disk_elsewhere(command: tuple[str, ...], folder: Path) -> None:
    """Every command that writes says which file, and leaves what was there."""
    (folder / "tiny.dlt").write_text(SPEC.replace("axis f", "axis    f"))
    before = (folder / "tiny.dlt").read_bytes()
    done = limited(100, *command)
    assert done.returncode in (2, 4) and "Traceback" not in done.stderr and "internal error" not in done.stderr, (
        done.stderr
    )
    assert "cannot be written" in done.stderr, done.stderr
    assert (folder / "tiny.dlt").read_bytes() == before and not list(folder.rglob("*.part"))


def test_a_file_in_the_way(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").write_text("mine")
    for command in (("build", "tiny.dlt", "-o", "out"), ("train", "tiny.dlt", "-o", "out")):
        assert main(list(command)) == 2
        assert "internal error" not in "".join(capsys.readouterr())
    assert (folder / "out").read_text() == "mine"
