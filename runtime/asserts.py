"""`assert`: what must hold at the end of training, looked at on the examples that final metrics are of."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .evaluate import CHUNK
from .metrics import Totals
from .module import Module
from .tables import Assert, Metric

_OPS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
Array = NDArray[np.float64]


def failures(module: Module, examples: Mapping[str, Tensor], part: str) -> tuple[str, ...]:
    """One line for every assertion that does not hold (of replicas, for each one where it does not).

    Args:
        module: the trained model; measured with ``training`` = 0.
        examples: every input, checked, [rows, ..]; of replicas [replica, rows, ..].
        part: what the examples are called: train, valid or test.
    """
    if not module.ASSERTS:
        return ()
    found = _compared(module, examples)
    lines: list[str] = []
    for r, seed in enumerate(module.seeds):
        mine = {name: value[r] for name, value in found.items()} if module.REPLICAS else found
        which = f", replica {r} (seed {seed})" if module.REPLICAS else ""
        for k, assertion in enumerate(module.ASSERTS):
            problem = _problem(assertion, mine, f"{k}/places", part)
            if problem is not None:
                lines.append(f"assert {assertion.text} does not hold ({assertion.place}{which}): {problem}")
    return tuple(lines)


def _compared(module: Module, examples: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All operands over all examples, chunk by chunk where none reduces over them."""
    rows = next(iter(examples.values())).shape[module.batch_dim]
    size = rows if any(a.whole for a in module.ASSERTS) else CHUNK
    chunks: list[dict[str, Tensor]] = []
    for start in range(0, rows, size):
        batch = {
            name: value.narrow(module.batch_dim, start, min(size, rows - start)) for name, value in examples.items()
        }
        chunks.append({name: value.cpu() for name, value in module.compared(batch).items()})
    batched = {f"{k}/" for k, a in enumerate(module.ASSERTS) if a.batched}
    whole: dict[str, Tensor] = {}
    for name, first in chunks[0].items():
        joined = name.partition("/")[0] + "/" in batched or name.count("/") > 1  # statistics of metrics always are
        whole[name] = torch.cat([chunk[name] for chunk in chunks], module.batch_dim) if joined else first
    return whole


def _problem(assertion: Assert, stats: Mapping[str, Tensor], places: str, part: str) -> str | None:
    """Where and by which values an assertion fails; None: it holds."""
    values = [_value(operand, stats) for operand in assertion.operands]
    if assertion.ops:
        links = [_OPS[op](a, b) for op, a, b in zip(assertion.ops, values, values[1:], strict=False)]
        holds = np.logical_and.reduce(np.broadcast_arrays(*links))
    else:
        holds = np.not_equal(values[0], 0)
    exists = np.asarray(stats[places] > 0) if places in stats else np.ones(holds.shape, dtype=bool)
    failing = np.argwhere(~holds & exists)
    if not len(failing):
        return None
    first = tuple(int(i) for i in failing[0])
    shown = [
        f"{text} = {float(np.broadcast_to(value, holds.shape)[first]):.6g}"
        for text, value in zip(assertion.texts, values, strict=True)
        if not _literal(text)
    ]
    where = _where(assertion, first, len(failing), int(exists.sum()), part)
    return f"{where}{', '.join(shown)}"


def _value(operand: str | Metric, stats: Mapping[str, Tensor]) -> Array:
    """An operand as numbers: of every place, or the one number of a metric."""
    if isinstance(operand, str):
        return np.asarray(stats[operand].to(torch.float64))
    totals = Totals([operand])
    totals.add(stats)
    return np.asarray(totals.values()[operand.key])


def _where(assertion: Assert, place: tuple[int, ...], failing: int, count: int, part: str) -> str:
    """``at example 3 of test, hid = 2 (7 of 100 places): ``; nothing for a single number."""
    if not place:
        return ""
    labels = place[1:] if assertion.batched else place
    at = [f"example {place[0]} of {part}"] if assertion.batched else []
    at += [f"{name} = {low + label}" for (name, low), label in zip(assertion.axes, labels, strict=True)]
    return f"at {', '.join(at)} ({failing} of {count} places): "


def _literal(text: str) -> bool:
    """Is an operand a number as written?"""
    try:
        float(text)
    except ValueError:
        return False
    return True
