"""Run folders: numbered, refused when in use or not empty, cleared only of what a run writes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dltc.runtime.errors import RunFailed, RunFolderError
from dltc.runtime.runfolder import open_run


def test_default_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = []
    for _ in range(2):
        with open_run(None, "digits") as run:
            paths.append(run.path.as_posix())
    (tmp_path / "runs" / "digits-10").mkdir()
    (tmp_path / "runs" / "digits-x").mkdir()
    with open_run(None, "digits") as run:
        paths.append(run.path.as_posix())
    with open_run(None, "iris") as run:
        paths.append(run.path.as_posix())
    assert paths == ["runs/digits-1", "runs/digits-2", "runs/digits-11", "runs/iris-1"]


def test_a_folder_that_is_not_empty_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="is not empty: pass --resume to go on, --force to start over"):
        open_run(tmp_path, "m")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_force_removes_what_a_run_writes_and_nothing_else(tmp_path):
    with open_run(tmp_path / "r", "m") as run:
        run.metrics({"a": 1})
        run.log("x")
        run.write("spec.dlt", "dlt 1\n")
        run.checkpoint.mkdir()
        (run.checkpoint / "state.json").write_text("{}")
        (run.checkpoint / "step-3.safetensors").write_text("")
        (run.path / "notes.md").write_text("mine")
    with open_run(tmp_path / "r", "m", force=True) as run:
        assert sorted(p.name for p in run.path.iterdir()) == [".lock", "checkpoint", "notes.md"]
        assert list(run.checkpoint.iterdir()) == []


def test_resume_needs_a_checkpoint(tmp_path, monkeypatch):
    with pytest.raises(RunFolderError, match="has no checkpoint to resume from"):
        open_run(tmp_path, "m", resume=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError, match="no run of m under runs/ to resume"):
        open_run(None, "m", resume=True)
    with pytest.raises(RunFolderError, match="pass one of them"):
        open_run(None, "m", resume=True, force=True)


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path):
    code = f"from pathlib import Path; from dltc.runtime.runfolder import open_run; open_run(Path({str(tmp_path)!r}), 'm', force=True)"
    with open_run(tmp_path, "m"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "is locked: another process is writing this run" in done.stderr
        (tmp_path / "metrics.jsonl").write_text("{}\n")
        with pytest.raises(RunFolderError, match="is locked"):
            open_run(tmp_path, "m")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_metrics_are_whole_lines_even_after_a_crash(tmp_path):
    with open_run(tmp_path / "r", "m") as run:
        run.metrics({"step": 1, "x": float("nan")})
        with (run.path / "metrics.jsonl").open("a") as stream:
            stream.write('{"step": 2, "cut')
        run.metrics({"step": 3})
        lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(lines[0]), json.loads(lines[2])] == [{"step": 1, "x": None}, {"step": 3}]
    assert lines[1] == '{"step": 2, "cut'


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be used"):
        open_run(tmp_path / "file" / "run", "m")
    with open_run(tmp_path / "r", "m") as run:
        (run.path / "metrics.jsonl").mkdir()
        with pytest.raises(RunFailed, match="cannot be written"):
            run.metrics({})
