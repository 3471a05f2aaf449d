"""Generated specs: the helpers beside this file become importable, and the coverage table is printed when the run ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def coverage_table(request: pytest.FixtureRequest) -> list[str]:
    """Lines to print when the run ends."""
    return request.config.stash.setdefault(LINES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The coverage of op x domain x prior x rule of the generated specs."""
    lines = terminalreporter.config.stash.get(LINES, [])
    if lines:
        terminalreporter.section("generated specs")
        terminalreporter.write_line("\n".join(lines))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of a parallel run has no terminal; the main process never sees this file when it collects nothing here."""
    lines = session.config.stash.get(LINES, [])
    if lines and hasattr(session.config, "workerinput"):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print("\n".join(["", " generated specs ".center(80, "="), *lines]), file=sys.stderr, flush=True)
