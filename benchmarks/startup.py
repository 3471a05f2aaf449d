"""Whole-process times of the commands that people wait for: `dltc check` and `dltc build` on the digits spec.

    python benchmarks/startup.py

Goals: check below 0.6 s and without importing torch, build below 1.5 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import machine

SPEC = Path(__file__).resolve().parent.parent / "specs" / "digits.dlt"


def seconds(arguments: list[str], rounds: int = 11) -> list[float]:
    """Wall-clock seconds of each run, the first (cold) one left out."""
    times: list[float] = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "dltc", *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return times[1:]


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in {"check": ["check", str(SPEC)], "build": ["build", str(SPEC), "-o", folder]}.items():
            times = seconds(arguments)
            print(
                f"dltc {name} digits.dlt: median {statistics.median(times):.2f} s, {min(times):.2f} .. {max(times):.2f}"
            )
    probe = "import sys; from dltc.cli.main import main; sys.argv = ['dltc', 'check', sys.argv[1]]\ntry: main()\nexcept SystemExit: pass\nprint('torch imported:', 'torch' in sys.modules)"
    print(
        subprocess.run(
            [sys.executable, "-c", probe, str(SPEC)], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
