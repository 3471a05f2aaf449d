"""Data of a spec: checked against its inputs (headers alone, or everything), split, standardised.  Without torch.

Problems are typed findings with a registered code; the command line turns them into diagnostics with places.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Column as Column
from .columns import ColumnError, Expr, evaluate, infer, of_label, reads_split, used
from .errors import DataError, DataProblem, InputError
from .philox import permutation
from .sources import Draw, alphabet_of, in_order
from .sources import columns as read_columns
from .sources import schema as schema
from .tables import End, Input, did_you_mean

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class DataPlan:
    """The ``data`` block: where data come from, an expression per input, and the parts held out (fractions); ``draw`` makes
    data that come from a model; ``tasks`` is the axis of the tasks (its first label, how many, what tells them apart)."""

    source: Mapping[str, Any]
    columns: Mapping[str, Expr]
    valid: float = 0.0
    test: float = 0.0
    draw: Draw | None = None
    tasks: Mapping[str, Any] | None = None

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], draw: Draw | None = None) -> DataPlan | None:
        """The plan of a manifest, or None when the spec has no ``data`` block."""
        block = manifest.get("data")
        if block is None:
            return None
        parts = block.get("valid") or 0.0, block.get("test") or 0.0
        return cls(block["source"], block["columns"], *parts, draw, block.get("tasks"))

    @property
    def labels(self) -> range | None:
        """The labels for each of which all rows stand in the data once; None where an input tells the tasks apart, or
        there are none."""
        if self.tasks is None or self.tasks["input"] is not None:
            return None
        return range(self.tasks["first"], self.tasks["first"] + self.tasks["labels"])

    def at(self, label: int) -> DataPlan:
        """The plan with a label in its columns."""
        return replace(self, columns={name: of_label(expr, label) for name, expr in self.columns.items()})


@dataclass(frozen=True, slots=True)
class Dataset:
    """Checked data: ``inputs`` maps names to arrays [rows, axes..], ``parts`` train, valid and test to row numbers, of
    replicas [replica, rows].  ``tasks`` is the task that each row of the table belongs to, from 0, where there are tasks."""

    inputs: Mapping[str, Array]
    parts: Mapping[str, NDArray[np.int64]]
    tasks: NDArray[np.int64] | None = None

    def by_task(self, name: str) -> list[NDArray[np.int64]]:
        """The row numbers of a part, task by task; of replicas [replica, rows].

        Raises:
            DataError: E0609, a task without examples in this part, or replicas that do not have equally many.
        """
        assert self.tasks is not None
        rows = self.parts[name]
        found: list[NDArray[np.int64]] = []
        for task in range(int(self.tasks.max()) + 1):
            each = [row[self.tasks[row] == task] for row in np.atleast_2d(rows)]
            if min(map(len, each)) != max(map(len, each)) or not len(each[0]):
                why = "no example" if not min(map(len, each)) else "not the same number of examples in every replica"
                raise DataError([DataProblem("E0609", f"task {task} has {why} in the part `{name}`")])
            found.append(np.stack(each) if rows.ndim == 2 else each[0])
        return found

    def part(self, name: str) -> dict[str, Array]:
        """The inputs of one part; ``name`` is train, valid or test."""
        return self.rows(self.parts[name])

    def rows(self, numbers: NDArray[np.int64]) -> dict[str, Array]:
        """The inputs of some rows, shaped as their numbers are, then as declared."""
        return {key: value[numbers] for key, value in self.inputs.items()}

    def count(self, name: str) -> int:
        """Number of examples in a part (of each replica)."""
        return self.parts[name].shape[-1]

    def sha256(self) -> str:
        """Hash of every value and of the split; a resumed run compares it."""
        digest = hashlib.sha256()
        for group in (self.inputs, self.parts):
            for name, array in sorted(group.items()):
                digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def inputs_of(manifest: Mapping[str, Any]) -> tuple[Input, ...]:
    """The inputs of a manifest as table rows."""
    return tuple(
        Input(
            row["name"],
            tuple(row["axes"]),
            tuple(row["shape"]),
            row["kind"],
            row.get("labels"),
            row.get("first", 0),
            tuple(End(*end) for end in row.get("ends", ())),
            tuple(row["support"]) if row.get("support") else None,
            row.get("axis"),
        )
        for row in manifest["inputs"]
    )


def check_schema(plan: DataPlan, inputs: Sequence[Input], header: Mapping[str, Column]) -> list[DataProblem]:
    """Findings that headers alone can tell: unknown columns, text, sizes; in the order of the inputs."""
    problems: list[DataProblem] = []
    rows: dict[int, str] = {}
    for spec in inputs:
        expr = plan.columns.get(spec.name)
        if expr is None:
            help = f"add `{spec.name} = ...` to the `data` block"
            problems.append(DataProblem("E0603", f"the input `{spec.name}` has no column", help, spec.name))
            continue
        unknown = [name for name in used(expr) if name not in header]
        for name in dict.fromkeys(unknown):
            message = f"there is no column `{name}`{did_you_mean(name, header)}"
            problems.append(DataProblem("E0602", message, _listing(header), spec.name, name))
        if not unknown:
            try:
                found = infer(expr, header)
            except ColumnError as error:
                problems.append(DataProblem(error.code, error.message, error.help, spec.name, error.column))
                continue
            problems += _check_shape(spec, found, expr)
            problems += _check_rows(spec, expr, header, rows)
            problems += _check_labels(spec, expr, header)
    return problems


def load(
    plan: DataPlan,
    inputs: Sequence[Input],
    folder: Path,
    seed: int,
    *,
    allow_path: bool = False,
    replicas: int | None = None,
) -> Dataset:
    """Read, check, split and convert the data of a spec.

    Args:
        plan: the ``data`` block.
        inputs: the model's inputs.
        folder: the spec's folder.
        seed: key of the split.
        allow_path: accept a file outside ``folder``.
        replicas: split so many times, as with seed, seed + 1, ...

    Returns:
        Real inputs in float64, labels and whole numbers in int64, bools as bool, shaped [rows, declared axes..].

    Raises:
        DataError: with every finding.
        DataFileMissing: when the data file is not there.
        MissingDependency: when the source needs a package that is not installed.
    """
    header = schema(plan.source, folder, allow_path=allow_path)
    _raise(check_schema(plan, inputs, header))
    names = dict.fromkeys(name for spec in inputs for name in used(plan.columns[spec.name]))
    arrays = read_columns(plan.source, folder, list(names), seed=seed, allow_path=allow_path, draw=plan.draw)
    if not arrays:
        raise DataError([DataProblem("E0603", "no input reads a column, so the data have no rows")])
    _raise(_equal_rows(arrays))
    rows = len(next(iter(arrays.values())))
    if replicas is None:
        parts = _parts(plan, rows, seed)
        return _with_tasks(plan, _table(plan, inputs, arrays, parts["train"]), _repeated(plan, parts, rows), rows)
    each = [_parts(plan, rows, seed + r) for r in range(replicas)]
    alike = not any(reads_split(plan.columns[spec.name]) for spec in inputs)
    tables = [_table(plan, inputs, arrays, parts["train"]) for parts in (each[:1] if alike else each)]
    length = rows * len(plan.labels or [0])
    stacked = _stacked([_repeated(plan, parts, rows) for parts in each], 0 if alike else length)
    return _with_tasks(plan, _concatenated(tables), stacked, rows)


def _table(
    plan: DataPlan, inputs: Sequence[Input], arrays: Mapping[str, Array], train: NDArray[np.int64]
) -> dict[str, Array]:
    """Every input over all rows: once, or once for every label that the columns read."""
    if plan.labels is None:
        return _inputs(plan, inputs, arrays, train)
    return _concatenated([_inputs(plan.at(label), inputs, arrays, train) for label in plan.labels])


def _repeated(plan: DataPlan, parts: Mapping[str, NDArray[np.int64]], rows: int) -> dict[str, NDArray[np.int64]]:
    """Row numbers of the parts in the table: an example is in the same part for every label."""
    offsets = rows * np.arange(len(plan.labels or [0]))
    return {name: (offsets[:, None] + numbers).reshape(-1) for name, numbers in parts.items()}


def _with_tasks(plan: DataPlan, table: dict[str, Array], parts: Mapping[str, NDArray[np.int64]], rows: int) -> Dataset:
    if plan.tasks is None:
        return Dataset(table, parts)
    length = len(next(iter(table.values())))
    told = plan.tasks["input"]
    tasks = table[told] - plan.tasks["first"] if told is not None else np.arange(length) // rows % plan.tasks["labels"]
    return Dataset(table, parts, np.asarray(tasks, dtype=np.int64))


FILE_KINDS = {".npz": "npz", ".csv": "csv", ".parquet": "parquet", ".txt": "text"}
"""Kinds of data files by suffix; a text may have any other too."""


def load_new(
    plan: DataPlan,
    inputs: Sequence[Input],
    path: Path,
    folder: Path,
    seed: int,
    *,
    allow_path: bool = False,
    letters: str | None = None,
) -> dict[str, Array]:
    """The inputs whose columns another file has, checked and converted like the spec's own data.

    The spec's own data (see :func:`load` for ``folder``, ``seed`` and ``allow_path``) are read only where an expression
    needs statistics of their training rows, or a text the alphabet of theirs, unless ``letters`` gives it.

    Raises:
        InputError: a file of no known kind.
        DataError: with every finding; E0602 when the file has the columns of no input.
        DataFileMissing, MissingDependency: see :func:`load`.
    """
    if plan.labels is not None:
        raise InputError("the columns of this spec read the label of a task, which new data do not say")
    kind = FILE_KINDS.get(path.suffix, "text" if plan.source["kind"] == "text" else None)
    if kind is None:
        raise InputError(f"{path.name} is of no known kind: pass {', '.join(FILE_KINDS)}")
    if (kind == "text") != (plan.source["kind"] == "text"):
        raise InputError(f"{path.name} does not fit: the data of this spec are of the kind {plan.source['kind']}")
    source = {**(plan.source if kind == "text" else {}), "kind": kind, "path": path.name}
    letters = letters or alphabet_of(plan.source, folder, allow_path=allow_path)
    header = schema(source, path.parent, allow_path=True, letters=letters)
    found = [
        spec for spec in inputs if spec.name in plan.columns and all(n in header for n in used(plan.columns[spec.name]))
    ]
    if not found:
        wanted = ", ".join(dict.fromkeys(f"`{n}`" for spec in inputs for n in used(plan.columns[spec.name])))
        message = f"{path.name} has the columns of no input: the spec reads {wanted}"
        raise DataError([DataProblem("E0602", message, _listing(header))])
    _raise(check_schema(plan, found, header))
    names = list(dict.fromkeys(name for spec in found for name in used(plan.columns[spec.name])))
    arrays = read_columns(source, path.parent, names, allow_path=True, letters=letters)
    _raise(_equal_rows(arrays))
    rows = len(next(iter(arrays.values())))
    train = np.arange(rows)
    if any(reads_split(plan.columns[spec.name]) for spec in found):
        own = read_columns(plan.source, folder, names, seed=seed, allow_path=allow_path, draw=plan.draw)
        _raise(_equal_rows(own))
        train = rows + _parts(plan, len(next(iter(own.values()))), seed)["train"]
        arrays = {name: np.concatenate([arrays[name], own[name]]) for name in names}
    return {name: value[:rows] for name, value in _inputs(plan, found, arrays, train).items()}


def _concatenated(tables: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """The rows of all tables, one after another."""
    if len(tables) == 1:
        return tables[0]
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _stacked(each: Sequence[Mapping[str, NDArray[np.int64]]], offset: int) -> dict[str, NDArray[np.int64]]:
    """Row numbers [replica, rows]; the table of each replica begins ``offset`` rows after the one before."""
    return {name: np.stack([parts[name] + r * offset for r, parts in enumerate(each)]) for name in each[0]}


def _inputs(
    plan: DataPlan, inputs: Sequence[Input], arrays: Mapping[str, Array], train: NDArray[np.int64]
) -> dict[str, Array]:
    """Every input's values over all rows; ``train`` are the rows that statistics are of."""
    rows = len(next(iter(arrays.values())))
    result: dict[str, Array] = {}
    problems: list[DataProblem] = []
    raw = {spec.name: evaluate(plan.columns[spec.name], arrays, train) for spec in inputs}
    for spec in inputs:
        values, found = _ended(spec, raw, rows)
        converted, more = (values, []) if found else _convert(spec, values)
        result[spec.name] = converted
        problems += found + more
    _raise(problems)
    return result


def _ended(spec: Input, raw: Mapping[str, Array], rows: int) -> tuple[Array, list[DataProblem]]:
    """The values with zeros beyond the ends of each row (the first label, where that is none), and the findings about
    the lengths: whole numbers from 1 to what the column holds."""
    values = _shaped(spec, raw[spec.name], rows)
    beyond: NDArray[np.bool_] = np.zeros(values.shape, dtype=np.bool_)
    for end in spec.ends:
        lengths = np.broadcast_to(raw[end.axis], (rows,))
        size = values.shape[1 + end.dim]
        most = size // (end.before * end.after)
        wrong = ~((lengths >= 1) & (lengths <= most) & (lengths == np.floor(lengths)))
        if wrong.any():
            row = int(np.argmax(wrong))
            message = (
                f"`{end.axis}` takes whole numbers 1..{most}, the length of `{spec.name}` in each row; "
                f"row {row + 1} holds {lengths[row]:g}"
            )
            return values, [DataProblem("E0605", message, _length_help(lengths, most), end.axis)]
        place: NDArray[np.int64] = np.arange(size, dtype=np.int64) // end.after % most
        shape = [1] * values.ndim
        shape[0], shape[1 + end.dim] = rows, size
        beyond = np.logical_or(beyond, np.reshape(place >= lengths[:, None], shape))
    return np.where(beyond, spec.first, values) if spec.ends else values, []


def _length_help(lengths: Array, most: int) -> str | None:
    if lengths.min() == 0:
        return "an example has at least one label: leave such rows out"
    return f"the column of the values has {most} per row: pad it" if lengths.max() > most else None


def _shaped(spec: Input, values: Array, rows: int) -> Array:
    """Rows first, then the declared axes."""
    if values.ndim == 0:
        values = np.broadcast_to(values, (rows, *(n or 1 for n in spec.shape)))
    fixed = [n for n in spec.shape if n is not None]
    return values.reshape(rows, *fixed) if len(fixed) == len(spec.shape) else values


def _parts(plan: DataPlan, rows: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Row numbers of the parts, as the source wants them cut."""
    shared = in_order(plan.source)
    if shared is None:
        return split(rows, plan.valid, plan.test, seed)
    return split_in_order(rows, plan.valid, plan.test, shared)


def split_in_order(rows: int, valid: float, test: float, shared: int) -> dict[str, NDArray[np.int64]]:
    """Row numbers of rows that follow each other, each sharing data with the ``shared`` after it: train, then valid, then
    test, and no row before a cut that shares data with one behind it.

    Raises:
        DataError: E0609, see :func:`split`.
    """
    sizes = {name: len(numbers) for name, numbers in split(rows, valid, test, 0).items()}
    parts: dict[str, NDArray[np.int64]] = {}
    end = rows
    for name in ("test", "valid", "train"):
        if name in sizes:
            begin = 0 if name == "train" else end - sizes[name]
            parts[name] = np.arange(begin, end if end == rows else end - shared)
            end = begin
    if any(len(numbers) == 0 for numbers in parts.values()):
        raise DataError(
            [DataProblem("E0609", f"the {rows} windows are too few to be cut into parts that share nothing")]
        )
    return parts


def split(rows: int, valid: float, test: float, seed: int) -> dict[str, NDArray[np.int64]]:
    """Row numbers of train, valid and test (a part of fraction 0 is absent): a permutation keyed by the seed, cut.

    Raises:
        DataError: E0609 when a fraction is out of range or a part would be empty.
    """
    sizes = {"test": round(test * rows), "valid": round(valid * rows)}
    wanted = {"test": test, "valid": valid}
    if test < 0 or valid < 0 or test + valid >= 1:
        message = f"valid {valid:g} and test {test:g} must be at least 0 and leave something to train on"
        raise DataError([DataProblem("E0609", message)])
    empty = [name for name, size in sizes.items() if wanted[name] > 0 and size == 0]
    if empty or rows <= sum(sizes.values()):
        message = f"the {rows} rows are too few for the part `{empty[0] if empty else 'train'}`"
        raise DataError([DataProblem("E0609", message)])
    order = permutation(seed, "data.split", rows)
    parts: dict[str, NDArray[np.int64]] = {}
    start = 0
    for name, size in sizes.items():
        if size:
            parts[name] = np.sort(order[start : start + size])
            start += size
    parts["train"] = np.sort(order[start:])
    return parts


def _raise(problems: Sequence[DataProblem]) -> None:
    if problems:
        raise DataError(problems)


def _listing(header: Mapping[str, Column]) -> str:
    names = list(header)
    return f"the columns are {', '.join(names[:12])}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _declared(spec: Input) -> str:
    axes = [a if n is None else f"{a} = {n}" for a, n in zip(spec.axes, spec.shape, strict=True)]
    return f"{spec.name}[{', '.join(axes)}]" if axes else spec.name


def _check_shape(spec: Input, found: Column, expr: Expr) -> list[DataProblem]:
    """Compare numbers per row; a fixed shape may come in another arrangement with as many numbers."""
    column = next(used(expr), None)
    fixed = [n for n in spec.shape if n is not None]
    if len(fixed) == len(spec.shape):
        wanted = math.prod(fixed)
        if math.prod(found.shape) == wanted or (found.rows is None and column is None):
            return []
        message = (
            f"`{_declared(spec)}` takes {_count(wanted)} per example; its column has {_count(math.prod(found.shape))}"
        )
        message += f" (shape [rows, {', '.join(map(str, found.shape))}])" if found.shape else " (one number per row)"
        help = f"declare `axis {spec.axes[0]} = {found.shape[0]}`" if len(spec.axes) == len(found.shape) == 1 else None
        return [DataProblem("E0604", message, help, spec.name, column)]
    fits = len(found.shape) == len(spec.shape) and all(
        w is None or w == n for w, n in zip(spec.shape, found.shape, strict=True)
    )
    if fits:
        return []
    message = f"`{_declared(spec)}` does not fit its column, which has {list(found.shape)} numbers per row"
    return [DataProblem("E0604", message, None, spec.name, column)]


def _count(number: int) -> str:
    return "one number" if number == 1 else f"{number} numbers"


def _check_rows(spec: Input, expr: Expr, header: Mapping[str, Column], rows: dict[int, str]) -> list[DataProblem]:
    """Columns of known length must agree; reported once, at the first input that differs."""
    for name in used(expr):
        count = header[name].rows
        if count is not None and rows and count not in rows:
            other, owner = next(iter(rows.items()))
            message = f"the column `{name}` has {count} rows, but `{owner}` has {other}"
            return [DataProblem("E0604", message, None, spec.name, name)]
        if count is not None:
            rows.setdefault(count, name)
    return []


def _check_labels(spec: Input, expr: Expr, header: Mapping[str, Column]) -> list[DataProblem]:
    """A column read as it stands, of more labels than the input's axis has."""
    count = header[expr[1]].labels if expr[0] == "column" else None
    if count is None or spec.kind != "label" or spec.labels is None or spec.first + spec.labels >= count:
        return []
    message = f"`{spec.name}` has labels {spec.first}..{spec.first + spec.labels - 1}; its column has {count} labels"
    help = f"write axis {spec.axis} = {count}" if spec.axis is not None else None
    return [DataProblem("E0605", message, help, spec.name, expr[1])]


def _equal_rows(arrays: Mapping[str, Array]) -> list[DataProblem]:
    first, *rest = arrays.items()
    return [
        DataProblem(
            "E0604", f"the column `{name}` has {len(a)} rows, but `{first[0]}` has {len(first[1])}", None, None, name
        )
        for name, a in rest
        if len(a) != len(first[1])
    ]


def _convert(spec: Input, values: Array) -> tuple[Array, list[DataProblem]]:
    """Values in the kind and shape of an input, with findings about the values themselves."""
    finite = np.isfinite(values)
    if not finite.all():
        bad = int(finite.size - finite.sum())
        where = int(np.argwhere(~finite)[0][0]) + 1
        message = f"the values of `{spec.name}` hold {_bad(bad)}, the first in row {where}"
        return values, [DataProblem("E0606", message, "clean the column, or leave these rows out", spec.name)]
    beyond = _beyond(spec, values)
    if beyond:
        return values, beyond
    if spec.kind == "real":
        return values.astype(np.float64), []
    low, high = _bounds(spec)
    outside = (values < low) | (values > high) | (values != np.floor(values))
    if outside.any():
        place = np.argwhere(outside)[0]
        value = values[tuple(place)]
        wanted = "whole numbers" if math.isinf(high) else f"{low:g}..{high:g}"
        noun = "the label " if spec.kind == "label" else ""
        message = f"`{spec.name}` takes {wanted}; row {int(place[0]) + 1} holds {noun}{value:g}"
        return values, [DataProblem("E0605", message, _label_help(spec, values), spec.name)]
    return values.astype(np.bool_ if spec.kind == "bool" else np.int64), []


def _beyond(spec: Input, values: Array) -> list[DataProblem]:
    """A value where the density of its input is 0: no parameter could explain it."""
    if spec.support is None:
        return []
    low, strict, high, density = spec.support
    outside = (values <= low if strict else values < low) | (values > (math.inf if high is None else high))
    if not outside.any():
        return []
    place = np.argwhere(outside)[0]
    wanted = f"above {low:g}" if strict else f"at least {low:g}" if high is None else f"in {low:g}..{high:g}"
    message = f"`{spec.name}` is {density}, so its values are {wanted}; row {int(place[0]) + 1} holds {values[tuple(place)]:g}"
    return [DataProblem("E0612", message, "clean the column, or describe the input by another density", spec.name)]


def _bad(count: int) -> str:
    return "one number that is not finite" if count == 1 else f"{count} numbers that are not finite"


def _bounds(spec: Input) -> tuple[float, float]:
    if spec.kind == "bool":
        return 0, 1
    if spec.kind == "label" and spec.labels is not None:
        return spec.first, spec.first + spec.labels - 1
    return -math.inf, math.inf


def _label_help(spec: Input, values: Array) -> str | None:
    """The usual slip: labels that start at 1."""
    if spec.kind != "label" or spec.labels is None:
        return None
    if values.min() == 1 and values.max() == spec.labels:
        return f"labels start at 0: write `{spec.name} = ... - 1`"
    axis = "the axis" if spec.axis is None else f"the axis `{spec.axis}`"
    return f"{axis} needs {int(values.max()) + 1} labels" if values.min() >= 0 else None
