"""Several train blocks: what each takes over from the one before, and the lines of its own.

They run in order on the same parameters and states of the model; the states of rules, and the count of steps that rules and
schedules read, begin anew with each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from ..diagnostics import Findings, Note
from . import nodes as syntax

WHOLE_RUN = ("seed", "seeds", "dtype")
"""Settings that hold for the whole run, so they stand in the first block."""

HANDED_ON = (*WHOLE_RUN, "batch")
"""Settings that hold on until a later block gives another value."""

Block = TypeVar("Block", syntax.LearnBlock, syntax.InferBlock)


def own(block: syntax.TrainBlock | None, kind: type[Block]) -> list[Block]:
    """The `learn` or `infer` blocks inside a train block."""
    return [line for line in block.lines if isinstance(line, kind)] if block is not None else []


def in_effect(blocks: list[syntax.TrainBlock], findings: Findings) -> list[syntax.TrainBlock]:
    """Every train block with what it takes over: settings that hold on, and the reports where it has none of its own."""
    found: list[syntax.TrainBlock] = []
    for block in blocks:
        if not found:
            _refuse_start(block, findings)
            found.append(block)
            continue
        given = {line.name: line for line in block.lines if isinstance(line, syntax.Setting)}
        before = {line.name: line for line in found[0].lines if isinstance(line, syntax.Setting)}
        for name in WHOLE_RUN:
            if name in given:
                notes = [Note("the first block says it here", before[name].span)] if name in before else []
                message = f"`{name}` holds for the whole run"
                help = "write it in the first train block"
                findings.error("E0705", message, given[name].span, notes=notes, help=help)
        found.append(replace(block, lines=(*_taken_over(found[-1], block, given), *_without(block, WHOLE_RUN))))
    return found


def _refuse_start(first: syntax.TrainBlock, findings: Findings) -> None:
    for line in first.lines:
        if isinstance(line, syntax.Setting) and line.name in ("from", "redraw"):
            message = "the first train block begins with the initial values anyway"
            findings.error("E0705", message, line.span, help="remove this line")


def _taken_over(
    before: syntax.TrainBlock, block: syntax.TrainBlock, given: dict[str, syntax.Setting]
) -> list[syntax.Stmt]:
    reports = any(isinstance(line, syntax.ReportLine) for line in block.lines)
    return [
        line
        for line in before.lines
        if (
            isinstance(line, syntax.Setting)
            and line.name in HANDED_ON
            and (line.name in WHOLE_RUN or line.name not in given)
        )
        or (isinstance(line, syntax.ReportLine) and not reports)
    ]


def _without(block: syntax.TrainBlock, names: tuple[str, ...]) -> list[syntax.Stmt]:
    return [line for line in block.lines if not (isinstance(line, syntax.Setting) and line.name in names)]
