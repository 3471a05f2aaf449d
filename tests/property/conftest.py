"""Generated specs: the helpers beside this file become importable, and the coverage table is printed when the run ends."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

UNREACHED = {"hole", "scan", "result"}  # recurrences: no spec can reach them yet
SECOND_ORDER = {"trigamma"}  # only in derivatives of derivatives


def pytest_configure(config: pytest.Config) -> None:
    """One folder for what all workers exercised."""
    if not hasattr(config, "workerinput"):
        os.environ["DLTC_COVERAGE"] = tempfile.mkdtemp(prefix="dltc-coverage-")


def _records() -> list[dict[str, Any]]:
    folder = Path(os.environ["DLTC_COVERAGE"])
    return [
        record for path in sorted(folder.glob("chunk*.json")) for record in json.loads(path.read_text(encoding="utf-8"))
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The coverage of op x domain x prior x rule of the generated specs."""
    records = _records()
    if not records:
        return
    equations = sorted(int(r["equations"]) for r in records)
    terminalreporter.section("generated specs")
    terminalreporter.write_line(
        f"{len(records)} specs, equations: median {statistics.median(equations):g}, {equations[0]} .. {equations[-1]}"
    )
    for name in ("ops", "densities", "inputs"):
        count = Counter(item for r in records for item in r[name])
        terminalreporter.write_line(f"{name}: " + ", ".join(f"{k} {v}" for k, v in sorted(count.items())))
    table = Counter(tuple(row) for r in records for row in r["parameters"])
    terminalreporter.write_line("domain x prior x rule:")
    for (domain, prior, rule), count in sorted(table.items()):
        terminalreporter.write_line(f"  {domain:9} {prior:10} {rule:10} {count}")
