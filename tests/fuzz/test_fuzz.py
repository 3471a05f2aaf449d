"""Whatever the bytes: findings with places and exit code 1 or 2 (0 for what is fine), in time, never a traceback.

Inputs go through the real command, in this process.  What checks without an error is built and shown as well, for a part
of them.  Seeds are fixed; a failure prints the input.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from fuzz_inputs import Fuzzed, inputs, truncations

from dltc.cli.main import main

LONGEST = 10
"""Seconds of processor time that an input may take."""

FAST, SLOW, EACH = 2_000, 100_000, 5_000


class TooSlow(BaseException):
    """An input used up its time; not an ``Exception``, so that nothing on the way takes it for an internal error."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Stop after :data:`LONGEST` seconds of this process's own time (other load does not count)."""

    def stop(_: int, frame: FrameType | None) -> None:
        places: list[str] = []
        while frame is not None and len(places) < 8:
            places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            frame = frame.f_back
        raise TooSlow(f"more than {LONGEST} s, in {' < '.join(places)}")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), in_time():
        code = main(arguments)
    return code, out.getvalue(), err.getvalue()


def problem_of(path: Path, number: int) -> tuple[int, str | None]:
    """The exit code of `check`, and what is wrong with its answer, if anything."""
    as_json = number % 7 == 0
    try:
        code, out, err = run("check", *(["--json"] if as_json else []), path.name)
    except TooSlow as problem:
        return -1, str(problem)
    if code not in (0, 1, 2) or "Traceback" in out + err or "internal error" in err:
        return code, f"exit code {code}: {err[-600:]}"
    if code == 1:
        return code, _json_problem(out, path) if as_json else _text_problem(out)
    if code == 0 and number % 3 == 0:
        return code, _later_problem(number)
    return code, None


def _text_problem(out: str) -> str | None:
    heads = re.findall(r"^(?:error|warning)\[.*$", out, flags=re.MULTILINE)
    placeless = [h for h in heads if not re.search(r"f\.dlt:\d+:\d+$", h)]
    return f"without a place: {placeless[0]}" if placeless or not heads else None


def _json_problem(out: str, path: Path) -> str | None:
    rows = json.loads(out)["diagnostics"]
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    for row in rows:
        if row["line"] is None or not 1 <= row["line"] <= len(lines):
            return f"line {row['line']} of {len(lines)}: {row['message']}"
        if (row["end_line"], row["end_column"]) < (row["line"], row["column"]) or row["column"] < 1:
            return f"ends before it begins: {row}"
    return None if any(row["severity"] == "error" for row in rows) else "exit code 1 without an error"


def _later_problem(number: int) -> str | None:
    """A spec without errors goes on to code, or is refused with a code."""
    stage = ("syntax", "model", "graph", "step", "optimized", "plan", "code")[number % 7]
    commands = (("show", "f.dlt", "--stage", stage), ("build", "f.dlt", "-o", "out"))
    for command in commands:
        try:
            code, out, err = run(*command)
        except TooSlow as problem:
            return f"{command}: {problem}"
        if code not in (0, 1) or "Traceback" in out + err:
            return f"{command}: exit code {code}: {err[-600:]}"
    return None


def run_all(items: Iterable[Fuzzed], folder: Path) -> Counter[str]:
    """Check every input; how often each exit code came."""
    path, seen, failures = folder / "f.dlt", Counter[str](), []
    for number, item in enumerate(items):
        path.write_bytes(item.content)
        code, problem = problem_of(path, number)
        seen[str(code)] += 1
        if problem is not None:
            kept = folder / f"failure{len(failures)}.dlt"
            kept.write_bytes(item.content)
            failures.append(f"{item.kind} ({kept}): {problem}\n{item.content[:1500]!r}")
            if len(failures) == 5:
                break
    assert not failures, "\n\n".join(failures)
    return seen


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fuzzed_inputs(folder: Path) -> None:
    """The fast tier: 2,000 inputs of every kind."""
    seen = run_all(inputs(FAST, seed=1, large=False), folder)
    assert sum(seen.values()) == FAST
    assert seen["1"] > FAST / 2 and seen["0"] > FAST / 100, seen  # both answers are tried


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("chunk", range(SLOW // EACH))
def test_many_fuzzed_inputs(folder: Path, chunk: int) -> None:
    """The slow tier: 100,000 inputs."""
    seen = run_all(inputs(EACH, seed=1000 + chunk), folder)
    assert sum(seen.values()) == EACH


def test_some_truncations(folder: Path) -> None:
    """Shipped specs cut at every 97th byte."""
    run_all(truncations(97), folder)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_truncations_at_every_byte(folder: Path) -> None:
    """Every shipped spec cut at every byte."""
    run_all(truncations(), folder)
