"""Changes of the data block and of the training settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..diagnostics import Span
from ..frontend import nodes as syntax
from ..frontend.model import Data, Metric
from .columns import column, column_text
from .match import Match, leftover
from .report import Change
from .side import Side


def schedule(m: Match) -> Iterator[Change]:
    """Data, settings, report."""
    yield from _data(m)
    yield from training(m)
    yield from _asserts(m)


def training(m: Match) -> Iterator[Change]:
    """Settings and report of a train block."""
    yield from _settings(m)
    yield from _report(m)


# ---------------------------------------------------------------- data


def _data(m: Match) -> Iterator[Change]:
    a, b = m.a.model.data, m.b.model.data
    if a is None or b is None:
        if a is not None or b is not None:
            places = m.places(a.span if a else None, b.span if b else None)
            yield Change("schedule", "data", "", *places, _source(a), _source(b))
        return
    if _identity(a) != _identity(b):
        yield Change("schedule", "data", "source", *m.places(a.span, b.span), _source(a), _source(b))
    for new, old in m.pairing.inputs.items():
        if column(a.columns.get(old)) != column(b.columns.get(new)):
            spans = a.spans.get(old), b.spans.get(new)
            texts = [side.text(s) if s else None for side, s in zip((m.a, m.b), spans, strict=True)]
            numbers = column_text(a.columns.get(old)), column_text(b.columns.get(new))
            shown = m.shown((texts[0] or "", texts[1] or ""), numbers) or (*numbers, "")
            yield Change("schedule", "column", new, *m.places(*spans), *shown)
    for part, old, new in (("valid", a.valid, b.valid), ("test", a.test, b.test)):
        if old != new:
            places = m.places(_part(m.a, part) or a.span, _part(m.b, part) or b.span)
            yield Change("schedule", "data", part, *places, f"{old:g}", f"{new:g}")


def _identity(data: Data) -> dict[str, Any]:
    """What is said of a source; of a model its name is a word, and what it makes follows from its own statements."""
    derived = ("name", "class", "columns") if data.source["kind"] == "model" else ()
    return {key: value for key, value in data.source.items() if key not in derived}


def _source(data: Data | None) -> str | None:
    if data is None:
        return None
    if data.source["kind"] == "grid":
        axes = ", ".join(
            f"{axis['name']} = {axis['low']}..{axis['low'] + axis['size'] - 1}" for axis in data.source["axes"]
        )
        return f"grid({axes})"
    if data.source["kind"] == "generator":
        given = ", ".join(
            f"{name} = {value:g}" for name, value in data.source["arguments"].items() if value is not None
        )
        return f"{data.source['name']}({given})"
    if data.source["kind"] == "model":
        seed = "" if data.source["seed"] is None else f", seed = {data.source['seed']}"
        return f"{data.source['name']}(n = {data.source['rows']}{seed})"
    if data.source["kind"] == "text":
        return 'text("{path}", length = {length}, stride = {stride})'.format(**data.source)
    return f'{data.source["kind"]}("{data.source.get("name", data.source.get("path"))}")'


def _part(side: Side, part: str) -> Span | None:
    blocks = [stmt for stmt in side.body() if isinstance(stmt, syntax.DataBlock)]
    lines = [line for block in blocks for line in block.lines if isinstance(line, syntax.DataPart)]
    return next((line.span for line in lines if line.part == part), None)


# ---------------------------------------------------------------- settings


def _settings(m: Match) -> Iterator[Change]:
    """One change per setting; how long to train is one, whether said in epochs or in steps."""
    a, b = _values(m.a), _values(m.b)
    for name in dict.fromkeys([*a, *b]):
        old, new = a.get(name), b.get(name)
        same = old == new or (old and new and old[0] == new[0] and m.alike(old[1], new[1]))
        if not same:
            spans = _setting(m.a, old[0]) if old else None, _setting(m.b, new[0]) if new else None
            texts = old[1] if old else None, new[1] if new else None
            yield Change("schedule", "setting", new[0] if new else name, *m.places(*spans), *texts)


def _values(side: Side) -> dict[str, tuple[str, str]]:
    """Settings by what they set: the word that sets it, and its value as text."""
    train = side.model.train
    if train is None:
        return {}
    found = {
        "batch": ("batch", "all" if train.batch is None else str(train.batch)),
        "seed": ("seed", str(train.seed)),
        "dtype": ("dtype", train.dtype),
        "seeds": ("seeds", str(train.seeds)),
    }
    if train.begin != "on":
        found["begin"] = ({"start": "from", "redraw": "redraw"}[train.begin], "from " + train.begin)
    if train.over is not None:
        found["over"] = ("over", f"over {train.over}")
        found["replay"] = ("replay", f"{train.replay:g}")
    if train.epochs is not None:
        found["length"] = ("epochs", f"{train.epochs} epochs")
    if train.steps is not None:
        found["length"] = ("steps", f"{train.steps} steps")
    if train.every is not None:
        found["every"] = ("every", str(train.every))
    if train.clip is not None:
        found["clip"] = ("clip", str(train.clip))
    if train.watch is not None and train.watch.patience is not None:
        found["stop"] = ("stop", f"after {train.watch.patience} without {train.watch.metric}")
    if train.watch is not None and train.watch.keep:
        found["keep"] = ("keep", f"best by {train.watch.metric}")
    return found


def _setting(side: Side, name: str) -> Span | None:
    """Where a setting is written; a default is at its block, or at the model."""
    blocks = [stmt for stmt in side.body() if isinstance(stmt, syntax.TrainBlock)]
    blocks.sort(key=lambda stmt: side.model.train is None or stmt.span != side.model.train.span)  # its own first
    for line in (line for block in blocks for line in block.lines):
        if isinstance(line, syntax.Setting) and line.name == name:
            return line.span
        if isinstance(line, syntax.ReportLine) and name == "every" and line.every is not None:
            return line.every.span
    train = side.model.train
    return train.span if train is not None and train.span is not None else side.model.span


# ---------------------------------------------------------------- report


def _report(m: Match) -> Iterator[Change]:
    """What is measured: metrics that no equal one answers, as a whole or by themselves."""
    a, b = _metrics(m.a), _metrics(m.b)
    left = leftover(m.whole[0].metrics, m.whole[1].metrics)
    if left[0] or left[1]:
        left = leftover(m.cut[0].metrics, m.cut[1].metrics, left)
    for k in list(left[0]):
        hit = next((j for j in left[1] if m.alike(a[k].key, b[j].key)), None)
        if hit is not None:  # it differs by what it reads, which is reported
            left[0].remove(k)
            left[1].remove(hit)
    for k, j in zip(*left, strict=False):
        places = m.places(a[k].span, b[j].span)
        yield Change("schedule", "report", b[j].key, *places, a[k].key, b[j].key)
    shared = min(map(len, left))
    for k in left[0][shared:]:
        yield Change("schedule", "report", a[k].key, m.a.place(a[k].span), None, a[k].key, None)
    for j in left[1][shared:]:
        yield Change("schedule", "report", b[j].key, None, m.b.place(b[j].span), None, b[j].key)


def _asserts(m: Match) -> Iterator[Change]:
    """Assertions that no equal one answers, as a whole or by themselves."""
    a, b = m.a.model.asserts, m.b.model.asserts
    left = leftover(m.whole[0].asserts, m.whole[1].asserts)
    if left[0] or left[1]:
        left = leftover(m.cut[0].asserts, m.cut[1].asserts, left)
    for k in list(left[0]):
        hit = next((j for j in left[1] if m.alike(a[k].text, b[j].text)), None)
        if hit is not None:  # it differs by what it reads, which is reported
            left[0].remove(k)
            left[1].remove(hit)
    shared = min(map(len, left))
    for k, j in zip(left[0], left[1], strict=False):
        yield Change("schedule", "assert", b[j].text, *m.places(a[k].span, b[j].span), a[k].text, b[j].text)
    for k in left[0][shared:]:
        yield Change("schedule", "assert", a[k].text, m.a.place(a[k].span), None, a[k].text, None)
    for j in left[1][shared:]:
        yield Change("schedule", "assert", b[j].text, None, m.b.place(b[j].span), None, b[j].text)


def _metrics(side: Side) -> tuple[Metric, ...]:
    return side.model.measures()
