"""Timing for benchmarks: variants take turns, disturbed samples are dropped, medians are reported.

A sample in which this process's threads waited for a core longer than 4 % of its length was disturbed by other work on
the machine; such samples are left out as long as enough quiet ones remain.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reading:
    """Median milliseconds per call, the 10 % and 90 % points, whether the samples were quiet."""

    ms: float
    low: float
    high: float
    samples: int
    quiet: bool


def waited_seconds() -> float:
    """Total time that this process's threads were ready to run but did not (Linux; 0 elsewhere)."""
    total = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        try:
            total += int(task.read_text().split()[1])
        except OSError:
            continue
    return total / 1e9


def compare(
    variants: Mapping[str, Callable[[], object]], *, rounds: int = 15, sample_s: float = 0.05, limit_s: float = 60
) -> dict[str, Reading]:
    """Median time per call of every variant, sampled in turns."""
    repeats = {name: _repeats(fn, sample_s) for name, fn in variants.items()}
    quiet: dict[str, list[float]] = {name: [] for name in variants}
    noisy: dict[str, list[float]] = {name: [] for name in variants}
    end = time.perf_counter() + limit_s
    gc.collect()
    gc.disable()
    while min(len(v) for v in quiet.values()) < rounds and time.perf_counter() < end:
        for name, fn in variants.items():
            waited, start = waited_seconds(), time.perf_counter()
            for _ in range(repeats[name]):
                fn()
            took = time.perf_counter() - start
            calm = waited_seconds() - waited < 0.04 * took
            (quiet if calm else noisy)[name].append(took / repeats[name] * 1e3)
    gc.enable()
    return {name: _reading(quiet[name], noisy[name]) for name in variants}


def _repeats(fn: Callable[[], object], sample_s: float) -> int:
    for _ in range(3):
        fn()
    start = time.perf_counter()
    fn()
    return max(1, int(sample_s / max(time.perf_counter() - start, 1e-7)))


def _reading(quiet: list[float], noisy: list[float]) -> Reading:
    calm = len(quiet) >= 3
    samples = sorted(quiet if calm else quiet + noisy)
    if not calm:  # no quiet window: the least disturbed third
        samples = samples[: max(3, len(samples) // 3)]
    return Reading(
        statistics.median(samples), samples[len(samples) // 10], samples[-1 - len(samples) // 10], len(samples), calm
    )


def table(title: str, readings: Mapping[str, Reading], ours: str) -> str:
    """A Markdown table; the last column is each variant's median over ours."""
    best = min(r.ms for name, r in readings.items() if name != ours)
    lines = [f"### {title}", "", "| variant | median ms | 10 % .. 90 % | x ours |", "|---|---:|---|---:|"]
    for name, r in sorted(readings.items(), key=lambda item: item[1].ms):
        mark = "" if r.quiet else " (disturbed)"
        lines.append(f"| {name}{mark} | {r.ms:.3f} | {r.low:.3f} .. {r.high:.3f} | {r.ms / readings[ours].ms:.2f} |")
    lines += ["", f"ours / best peer = {readings[ours].ms / best:.3f}", ""]
    return "\n".join(lines)


def machine() -> str:
    """One line about where the numbers come from."""
    cpu = next(
        (
            x.partition(":")[2].strip()
            for x in Path("/proc/cpuinfo").read_text().splitlines()
            if x.startswith("model name")
        ),
        "unknown CPU",
    )
    return f"{cpu}, {os.cpu_count()} cores"
