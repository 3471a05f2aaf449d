"""Loss curves and metrics of runs as a picture.  Needs matplotlib (the extra ``plot``); imports no torch."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from .errors import InputError, MissingDependency
from .runfolder import METRICS_FILE

CURVES_FILE = "curves.png"
_COLUMNS = 3  # panels in a row

Point = tuple[int, float]
Series = dict[tuple[str, str], list[Point]]
"""Points (step, value) by metric and part of the data."""


def can_draw() -> bool:
    """Is matplotlib there?"""
    return find_spec("matplotlib") is not None


def read_series(run: Path) -> Series:
    """The numbers that a run has logged.

    Raises:
        InputError: there is no log, or it is damaged beyond its last line (which a kill may have cut).
    """
    try:
        lines = (run / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{run} has no readable {METRICS_FILE}: is it a run folder?") from error
    series: Series = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if "metrics" not in row:  # a note, that a run was resumed
                continue
            step, part = int(row["step"]), str(row["part"])
            _add(series, step, part, cast("Mapping[str, Any]", row["metrics"]))
            _add(series, step, "train", cast("Mapping[str, Any]", row.get("train") or {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines):
                break
            raise InputError(f"line {number} of {run / METRICS_FILE} is damaged") from error
    return series


def _add(series: Series, step: int, part: str, values: Mapping[str, Any]) -> None:
    for metric, value in values.items():
        if isinstance(value, (int, float)) and math.isfinite(value):
            points = series.setdefault((metric, part), [])
            if not points or points[-1][0] != step:
                points.append((step, float(value)))


def draw(runs: Sequence[Path], *, kind: str = "png") -> bytes:
    """One panel per metric, one colour per run, a line style per part of the data.

    Args:
        runs: run folders.
        kind: png, svg or pdf.

    Raises:
        InputError: a folder without a log, or nothing in it to draw.
        MissingDependency: matplotlib is not installed.
    """
    if not can_draw():
        raise MissingDependency("drawing needs matplotlib: pip install 'dltc[plot]'")
    each = {run: read_series(run) for run in runs}
    metrics = list(dict.fromkeys(metric for series in each.values() for metric, _ in series))
    if not metrics:
        raise InputError(f"{runs[0]} has logged no numbers yet")
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    figure: Any = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    for k, metric in enumerate(metrics):
        axes = figure.add_subplot(rows, columns, k + 1)
        _panel(axes, metric, each, legend=k == 0)
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()


def _panel(axes: Any, metric: str, each: Mapping[Path, Series], *, legend: bool) -> None:
    for number, (run, series) in enumerate(each.items()):
        for part, style in (("train", ":"), ("valid", "-"), ("test", "o")):
            points = series.get((metric, part))
            if points:
                steps, values = zip(*points, strict=True)
                label = f"{run.name} {part}" if len(each) > 1 else part
                axes.plot(steps, values, style, color=f"C{number % 10}", label=label, markersize=5, linewidth=1.4)
    axes.set_title(metric, fontsize=10)
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(fontsize=8)
