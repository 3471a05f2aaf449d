"""Whatever the bytes: findings with places and exit code 1 or 2 (0 for what is fine), in time, never a traceback.

Inputs go through the real commands, in this process: `check` (every sixth with options of the same seed), `fmt`, and what
checks without an error on to `show`, `build`, `explain` and `diff`.  Data files of all kinds are checked and loaded.  Seeds
are fixed; a failure prints the input.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from fuzz_data import case
from fuzz_inputs import Fuzzed, inputs, truncations
from fuzz_options import options
from fuzz_run import answer, in_time

from dltc.compiler.diagnostics import SpecError
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.errors import DataError
from dltc.runtime.session import Job, load_data

FAST, SLOW, EACH = 2_000, 100_000, 5_000


def problem_of(path: Path, number: int) -> tuple[int, str | None]:
    """The exit code of `check`, and what is wrong with its answer or with that of a further command, if anything."""
    as_json, optional = number % 7 == 0, number % 6 == 0
    content = path.read_bytes()
    extra = options(random.Random(content + bytes([number % 256])), content) if optional else []
    command = ("check", *(["--json"] if as_json else []), *extra, path.name)
    code, out, problem = answer(command, (0, 1, 2))
    if problem is None and code == 1 and not optional:  # what is wrong with an option has no place in the text
        problem = _json_problem(out, path) if as_json else _text_problem(out)
    if problem is None and number % 4 == 1:
        problem = answer(("fmt", "--diff", path.name), (0, 1) if code == 0 else (0, 1, 2))[2]
    if problem is None and code == 0 and not optional:
        problem = _later_problem(number)
    return code, problem


def _text_problem(out: str) -> str | None:
    heads = re.findall(r"^(?:error|warning)\[.*$", out, flags=re.MULTILINE)
    placeless = [h for h in heads if not re.search(r"(?:f|std/\w+)\.dlt:\d+:\d+$", h)]
    return f"without a place: {placeless[0]}" if placeless or not heads else None


def _json_problem(out: str, path: Path) -> str | None:
    rows = json.loads(out)["diagnostics"]
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    for row in [r for r in rows if not str(r["file"]).startswith("std/")]:
        if row["line"] is None or not 1 <= row["line"] <= len(lines):
            return f"line {row['line']} of {len(lines)}: {row['message']}"
        if (row["end_line"], row["end_column"]) < (row["line"], row["column"]) or row["column"] < 1:
            return f"ends before it begins: {row}"
    return None if any(row["severity"] == "error" for row in rows) else "exit code 1 without an error"


STAGES = ("syntax", "model", "graph", "step", "optimized", "plan", "code")


def _later_problem(number: int) -> str | None:
    """A spec without errors goes on to code, or is refused with a code; it means the same as itself."""
    if number % 3 == 0:
        commands = [("show", "f.dlt", "--stage", STAGES[number % 7]), ("build", "f.dlt", "-o", "out")]
    elif number % 3 == 1:
        commands = [("explain", "f.dlt"), ("show", "--json", "f.dlt", "--stage", STAGES[2 + number % 3])]
    else:
        commands = [("diff", "f.dlt", "f.dlt")]
    for command in commands:
        code, _, problem = answer(command, (0, 1, 2))
        if problem is None and command[0] == "diff" and code == 1:
            problem = "a spec differs from itself"
        if problem is not None:
            return problem
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


def run_data(count: int, seed: int, folder: Path) -> Counter[str]:
    """Check and load ``count`` data files; how often each exit code came, and how many could be loaded."""
    r, seen = random.Random(seed), Counter[str]()
    for _ in range(count):
        made = case(r)
        (folder / "f.dlt").write_text(made.spec)
        (folder / made.name).write_bytes(made.content)
        code, _, problem = answer(("check", "f.dlt"), (0, 1))
        assert problem is None, f"{problem}\n{made}"
        seen[f"{made.kind} {code}"] += 1
        if code == 0:
            seen[f"{made.kind} loaded"] += _loaded(folder)
    return seen


def _loaded(folder: Path) -> bool:
    """Whether the data of a spec that checks can be had; a refusal names its code, anything else is a failure."""
    try:
        artefact = compile_spec((folder / "f.dlt").read_text(), "f.dlt")
        with in_time():
            load_data(Job(artefact.source, artefact.manifest, artefact.text, folder, {}))
    except (DataError, SpecError):
        return False
    return True


def test_some_data_files(folder: Path) -> None:
    seen = run_data(200, 1, folder)
    assert all(seen[f"{kind} 1"] for kind in ("npz", "csv", "parquet")), seen
    assert seen["npz loaded"] and seen["csv loaded"], seen


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_many_data_files(folder: Path) -> None:
    run_data(10_000, 2, folder)
