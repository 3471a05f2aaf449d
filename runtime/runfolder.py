"""A run's folder: made or refused, locked by its writer, with append-only metrics, a log and checkpoints."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from .checkpoint import save
from .errors import RunFailed, RunFolderError
from .files import sweep, to_json, write_atomic
from .module import Module
from .run_record import CHECKPOINT_FOLDER, STATE_FILE

METRICS_FILE = "metrics.jsonl"
LOG_FILE = "log.txt"
SPEC_FILE = "spec.dlt"
MANIFEST_FILE = "manifest.json"
_LOCK_FILE = ".lock"


class RunFolder:
    """An open run folder; a context manager that holds the lock.

    Writing raises:
        RunFailed: when the folder cannot be written any more (a full disk).
    """

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self.checkpoint = path / CHECKPOINT_FOLDER
        self._lock = lock

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def write(self, name: str, text: str) -> None:
        """Replace a file of the run."""
        try:
            write_atomic(self.path / name, text.encode())
        except OSError as error:
            raise RunFailed(f"{self.path / name} cannot be written: {error}") from error

    def metrics(self, row: Mapping[str, Any]) -> None:
        """Append one object to metrics.jsonl."""
        self._append(METRICS_FILE, to_json(row))

    def log(self, text: str) -> None:
        """Append one line, with the time, to the log."""
        self._append(LOG_FILE, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}")

    def save(self, module: Module, extra: Mapping[str, Any], best: Mapping[str, Tensor] | None = None) -> None:
        """Write a checkpoint, see :func:`.checkpoint.save`."""
        try:
            save(self.checkpoint, module, extra, best)
        except OSError as error:
            raise RunFailed(f"the checkpoint in {self.checkpoint} cannot be written: {error}") from error

    def _append(self, name: str, line: str) -> None:
        """One whole line; a line that a crash cut short is ended first."""
        try:
            with (self.path / name).open("ab+") as stream:
                if stream.seek(0, os.SEEK_END) > 0:
                    stream.seek(-1, os.SEEK_END)
                    if stream.read(1) != b"\n":
                        stream.write(b"\n")
                stream.write(line.encode() + b"\n")
        except OSError as error:
            raise RunFailed(f"{self.path / name} cannot be written: {error}") from error


def open_run(path: Path | None, name: str, *, resume: bool = False, force: bool = False) -> RunFolder:
    """Make or reopen a run folder and lock it.

    Args:
        path: the folder; None for the next free ``runs/NAME-N`` (the newest one when resuming).
        name: the model's name in lower case.
        resume: go on from the checkpoint in it.
        force: drop the run in it and start over; files that no run writes are kept.

    Raises:
        RunFolderError: not empty without ``resume`` or ``force``, nothing to resume, locked, or not writable.
    """
    if resume and force:
        raise RunFolderError("--resume goes on with a run, --force drops it: pass one of them")
    try:
        if path is None:
            path = _newest(name) if resume else _next(name)
        path.mkdir(parents=True, exist_ok=True)
        if resume and not (path / CHECKPOINT_FOLDER / STATE_FILE).is_file():
            raise RunFolderError(f"{path} has no checkpoint to resume from")
        if not (resume or force) and _content(path):
            if (path / _LOCK_FILE).exists():
                _lock(path).close()  # a run in progress is refused as such
            raise RunFolderError(f"{path} is not empty: pass --resume to go on, --force to start over, or another -o")
        run = RunFolder(path, _lock(path))
        sweep(path)
        sweep(run.checkpoint)
        if force:
            _clear(path)
    except OSError as error:
        raise RunFolderError(f"the run folder {path} cannot be used: {error}") from error
    return run


def _content(path: Path) -> list[str]:
    return [entry.name for entry in path.iterdir() if entry.name != _LOCK_FILE]


def _numbered(name: str) -> dict[int, Path]:
    """Existing ``runs/NAME-N`` by N."""
    found: dict[int, Path] = {}
    folder = Path("runs")
    for entry in folder.iterdir() if folder.is_dir() else ():
        match = re.fullmatch(re.escape(name) + r"-([1-9]\d*)", entry.name)
        if match:
            found[int(match[1])] = entry
    return found


def _next(name: str) -> Path:
    """The next free ``runs/NAME-N``, made at once so that two runs never share one."""
    Path("runs").mkdir(exist_ok=True)
    number = max(_numbered(name), default=0) + 1
    while True:
        path = Path("runs") / f"{name}-{number}"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _newest(name: str) -> Path:
    found = _numbered(name)
    if not found:
        raise RunFolderError(f"there is no run of {name} under runs/ to resume: pass -o RUN")
    return found[max(found)]


def _clear(path: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for name in (METRICS_FILE, LOG_FILE, SPEC_FILE, MANIFEST_FILE, "curves.png"):
        (path / name).unlink(missing_ok=True)
    folder = path / CHECKPOINT_FOLDER
    if folder.is_dir():
        for file in [*folder.glob("step-*.safetensors"), folder / STATE_FILE]:
            file.unlink(missing_ok=True)


def _lock(path: Path) -> IO[str]:
    """Hold the folder's lock until the file is closed or the process ends."""
    stream = (path / _LOCK_FILE).open("a+", encoding="utf-8")
    try:
        _lock_stream(stream)
    except OSError as error:
        stream.close()
        raise RunFolderError(f"{path} is locked: another process is writing this run") from error
    return stream


if sys.platform == "win32":
    import msvcrt

    def _lock_stream(stream: IO[str]) -> None:
        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock_stream(stream: IO[str]) -> None:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
