"""Data against a spec, as diagnostics with places: from headers for ``check``, from findings of a run otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.diagnostics import Diagnostic, Note, Span, allowed
from ..runtime.errors import DataError, DataFileMissing, DataProblem, MissingDependency
from ..runtime.tables import Input

if TYPE_CHECKING:
    from ..compiler.frontend.model import Model


def header_findings(model: Model, folder: Path, *, allow_path: bool) -> list[Diagnostic]:
    """What the header of the data file says about the spec; a file that is not there is the warning W0601.

    Args:
        model: the typed model, without errors.
        folder: the spec's folder.
        allow_path: accept a file outside it.
    """
    data = model.data
    if data is None or ("path" not in data.source and not any(map(_combined, data.columns.values()))):
        return []  # the front end knows what these hold, and has compared it
    from ..runtime.data import DataPlan, check_schema, schema  # imports numpy: only for those who need it

    plan = DataPlan(data.source, data.columns, data.valid, data.test)
    try:
        problems = check_schema(plan, inputs_of(model), schema(data.source, folder, allow_path=allow_path))
    except DataFileMissing as error:
        problems = [DataProblem("W0601", str(error), "the columns are checked when it is there", severity="warning")]
    except MissingDependency as error:
        fix = "the columns are checked when it is installed"
        problems = [DataProblem("W0601", str(error), fix, severity="warning")]
    except DataError as error:
        problems = list(error.problems)
    declared = {name: item.tensor.span for name, item in model.inputs.items()}
    found = [diagnostic_of(problem, data.spans, data.span, declared) for problem in problems]
    return [item for item in found if not allowed(item, model.sources)]


def _combined(expr: list[Any]) -> bool:
    """Does the shape of a column expression follow from more than the shape of one column?"""
    names = {part[1] for part in _parts(expr) if part[0] == "column"}
    return len(names) > 1 or any(part[0] in ("slice", "permute") for part in _parts(expr))


def _parts(expr: list[Any]) -> Iterator[list[Any]]:
    """A column expression and all below."""
    stack = [expr]
    while stack:
        part = stack.pop()
        yield part
        stack += [x for x in part if isinstance(x, list)]


def inputs_of(model: Model) -> tuple[Input, ...]:
    """The inputs of a typed model as the runtime's table rows."""
    rows: list[Input] = []
    for name, item in model.inputs.items():
        tensor = item.tensor
        axis = model.axes[tensor.label] if item.kind == "label" and tensor.label is not None else None
        shape = tuple(model.axes[axis_name].size for axis_name in tensor.declared)
        labels, first = (axis.size, axis.low) if axis is not None else (None, 0)
        label = axis.name if axis is not None else None
        rows.append(Input(name, tensor.declared, shape, item.kind, labels, first, axis=label))
    return tuple(rows)


def diagnostic_of(
    problem: DataProblem,
    spans: Mapping[str, Span],
    block: Span | None = None,
    declared: Mapping[str, Span] | None = None,
) -> Diagnostic:
    """A finding about data as a diagnostic: at its input's column expression, else at the data block."""
    name = problem.input or ""
    place = (declared or {}).get(name)
    notes = (Note(f"`{name}` is declared here", place),) if place is not None else ()
    return Diagnostic(
        problem.code,
        problem.message,
        spans.get(name, block),
        help=problem.help,
        notes=notes,
        severity=problem.severity,
    )
