"""Where data come from: bundled scikit-learn sets, files, grids, generators; headers first, arrays when asked.

Files are untrusted: no pickle, no path outside the spec's folder, damaged files become findings.  Importable without
torch.
"""

from __future__ import annotations

import csv
import math
import os
import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .columns import Column
from .errors import AbiError, DataError, DataFileMissing, DataProblem
from .generators import generated
from .parquet_source import parquet_columns, parquet_schema
from .sklearn_source import DATA_SETS, sklearn_columns, sklearn_schema
from .tables import did_you_mean
from .text_source import alphabet, overlap, text_columns, text_schema

Array = NDArray[Any]
Draw = Callable[[Mapping[str, Any], int], dict[str, Array]]
"""The columns of a source without a file, from the manifest's ``data.source`` and the seed of the run."""

_KINDS = {"f": "real", "i": "int", "u": "int", "b": "bool"}
_SAMPLE_ROWS = 20  # rows of a .csv that tell numbers from text


def locate(source: Mapping[str, Any], folder: Path, *, allow_path: bool = False) -> Path | None:
    """The file of a source, or None for a bundled data set.

    Args:
        source: the manifest's ``data.source``.
        folder: the spec's folder, which relative paths start from.
        allow_path: accept files outside that folder (links followed).

    Raises:
        DataError: E0601 unknown kind or data set, E0608 a path outside the folder.
    """
    kind = source.get("kind")
    if kind == "sklearn" and source["name"] not in DATA_SETS:
        help = f"there are {', '.join(DATA_SETS)}"
        name = source["name"]
        raise _refuse("E0601", f"there is no bundled data set `{name}`{did_you_mean(name, DATA_SETS)}", help)
    if kind in _MADE:
        return None
    if kind not in _FILES:
        fix = f"use {', '.join(f'{name}(..)' for name in (*_MADE, *_FILES))}"
        raise _refuse("E0601", f"the data source `{kind}` is not known", fix)
    path = folder / source["path"]
    if not allow_path and not path.resolve().is_relative_to(folder.resolve()):
        raise _refuse("E0608", f'"{source["path"]}" lies outside the folder of the spec', "pass --allow-path")
    return path


def schema(
    source: Mapping[str, Any], folder: Path, *, allow_path: bool = False, letters: str | None = None
) -> dict[str, Column]:
    """Columns of a source, read from headers only; see :func:`columns` for the arguments.

    Raises:
        DataFileMissing: when the file is not there.
        DataError: E0601, E0607 (cannot be read), E0608.
        MissingDependency: pyarrow is needed but not installed.
    """
    path = locate(source, folder, allow_path=allow_path)
    if path is None:
        return _MADE[source["kind"]][0](source)
    with _readable(path, source["path"]):
        return _FILES[source["kind"]][0](path, source, letters)


def columns(
    source: Mapping[str, Any],
    folder: Path,
    wanted: Collection[str],
    *,
    seed: int = 0,
    allow_path: bool = False,
    letters: str | None = None,
    draw: Draw | None = None,
) -> dict[str, Array]:
    """The arrays of the wanted columns, rows first; the columns must be in the schema.

    Args:
        source: the manifest's ``data.source``.
        folder: the spec's folder, which relative paths start from.
        wanted: names of columns.
        seed: that of the run, for what is generated.
        allow_path: accept files outside that folder (links followed).
        letters: the alphabet that a text is read in; by default its own.
        draw: makes the columns of a source that is a model.

    Raises:
        DataFileMissing: when the file is not there.
        DataError: E0601, E0607, E0608; E0606 for a text cell in a numeric column.
        MissingDependency: scikit-learn or pyarrow is needed but not installed.
    """
    path = locate(source, folder, allow_path=allow_path)
    if path is None:
        make = draw if source["kind"] == "model" else _MADE[source["kind"]][1]
        if make is None:
            raise AbiError("the data are drawn from a model: only its emitted module can do that")
        everything = make(source, seed)
        return {name: everything[name] for name in wanted}
    with _readable(path, source["path"]):
        return _FILES[source["kind"]][1](path, source, letters, wanted)


def alphabet_of(source: Mapping[str, Any], folder: Path, *, allow_path: bool = False) -> str | None:
    """The characters of a text in order; None of other sources.

    Raises:
        DataFileMissing, DataError: see :func:`schema`.
    """
    if source["kind"] != "text":
        return None
    path = locate(source, folder, allow_path=allow_path)
    assert path is not None
    with _readable(path, source["path"]):
        return alphabet(path)


def in_order(source: Mapping[str, Any]) -> int | None:
    """Of rows that follow each other (a text's windows): how many after one share data with it; None of other sources.

    Parts of such data are cut in order, the last one for the test, and rows that reach over a cut are left out.
    """
    return overlap(source) if source["kind"] == "text" else None


def _refuse(code: str, message: str, help: str | None = None, column: str | None = None) -> DataError:
    return DataError([DataProblem(code, message, help, column=column)])


@contextmanager
def _readable(path: Path, shown: str) -> Generator[None]:
    """Turn what a damaged file raises into E0607; a missing file is DataFileMissing."""
    if not os.path.exists(path):  # says no to names that are no names, where `Path.exists` raises
        raise DataFileMissing(f'the data file "{shown}" is not there')
    if not os.path.isfile(path):
        raise _refuse("E0607", f'"{shown}" is not a file')
    try:
        yield
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        csv.Error,
        MemoryError,
        RuntimeError,
        SyntaxError,  # numpy reads headers of arrays as Python literals
        tokenize.TokenError,
    ) as error:
        reason = "it does not fit in memory" if isinstance(error, MemoryError) else str(error)
        raise _refuse("E0607", f'the data file "{shown}" cannot be read: {reason}') from error


# .npz


def _npz_schema(path: Path) -> dict[str, Column]:
    result: dict[str, Column] = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as stream:
                    shape, dtype = _npy_header(stream)
                kind = _KINDS.get(dtype.kind, "text")
                rows = shape[0] if shape else None
                result[member.removesuffix(".npy")] = Column(tuple(shape[1:]), kind if shape else "scalar", rows)
    return result


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:  # version 3 exists for structured arrays only, which are no columns
        return (0,), np.dtype(object)
    shape, _, dtype = read(stream)
    return shape, dtype


def _npz_columns(path: Path, wanted: Collection[str]) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in wanted}


# .csv


def _identifier(text: str) -> str:
    """A header as a name that a spec can write: ``sepal length (cm)`` becomes ``sepal_length_cm``."""
    return re.sub(r"\W+", "_", text.strip(), flags=re.ASCII).strip("_")


def _header(rows: Iterator[list[str]]) -> list[str]:
    names = next(rows, None)
    if names is None:
        raise ValueError("it is empty; a header row is needed")
    cleaned = [_identifier(name) for name in names]
    if len(cleaned) == 1 and re.search(r"[;\t]", names[0]):
        raise ValueError("its header has one column; cells are separated by commas")
    if all(_is_number(name) for name in names):
        raise ValueError("its first row holds numbers; a header row with column names is needed")
    repeated = sorted({name for name in cleaned if cleaned.count(name) > 1})
    if repeated:
        raise ValueError(f"the column `{repeated[0]}` stands in the header twice")
    return cleaned


def _numbered(names: list[str]) -> dict[str, list[int]]:
    """Columns c0, c1, .. c9 (or c_0, ..) also form the two-dimensional column ``c``: name -> positions."""
    groups: dict[str, dict[int, int]] = {}
    for position, name in enumerate(names):
        match = re.fullmatch(r"(.*?)_?(0|[1-9]\d*)", name)
        if match and match[1]:
            groups.setdefault(match[1], {})[int(match[2])] = position
    return {
        stem: [found[i] for i in range(len(found))]
        for stem, found in groups.items()
        if stem not in names and sorted(found) == list(range(len(found)))
    }


def _csv_schema(path: Path) -> dict[str, Column]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream)
        names = _header(rows)
        sample = [row for row, _ in zip(rows, range(_SAMPLE_ROWS), strict=False) if row]
    kinds = ["real" if all(_is_number(row[i]) for row in sample if i < len(row)) else "text" for i in range(len(names))]
    result = {name: Column((), kind) for name, kind in zip(names, kinds, strict=True)}
    for stem, positions in _numbered(names).items():
        kind = "real" if all(kinds[i] == "real" for i in positions) else "text"
        result[stem] = Column((len(positions),), kind)
    return result


def _csv_columns(path: Path, wanted: Collection[str]) -> dict[str, Array]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream)
        names = _header(rows)
        groups = _numbered(names)
        where = {name: groups[name] if name in groups else [names.index(name)] for name in wanted}
        positions = sorted({i for indices in where.values() for i in indices})
        cells: dict[int, list[float]] = {i: [] for i in positions}
        for row in rows:
            if not row:
                continue
            if len(row) != len(names):
                raise ValueError(f"line {rows.line_num} has {len(row)} cells, the header has {len(names)}")
            for i in positions:
                cells[i].append(_number(row[i], names[i], rows.line_num))
    arrays = {i: np.array(values, dtype=np.float64) for i, values in cells.items()}
    return {
        name: np.stack([arrays[i] for i in where[name]], axis=1) if name in groups else arrays[where[name][0]]
        for name in wanted
    }


# grid


def _grid_schema(source: Mapping[str, Any]) -> dict[str, Column]:
    axes: Sequence[Mapping[str, Any]] = source["axes"]
    rows = math.prod(int(axis["size"]) for axis in axes)
    return {str(axis["name"]): Column((), "int", rows) for axis in axes}


def _grid_columns(source: Mapping[str, Any], seed: int) -> dict[str, Array]:
    """Every combination of labels once, the last axis fastest."""
    axes: Sequence[Mapping[str, Any]] = source["axes"]
    sizes = [int(axis["size"]) for axis in axes]
    labels = dict(zip([str(axis["name"]) for axis in axes], np.indices(sizes, dtype=np.int64), strict=True))
    low = {str(axis["name"]): int(axis["low"]) for axis in axes}
    return {name: labels[name].reshape(-1) + low[name] for name in labels}


# generators


def _generated_schema(source: Mapping[str, Any]) -> dict[str, Column]:
    """As the compiler has worked them out from the arguments."""
    return {name: Column(tuple(shape), kind, source["rows"]) for name, (shape, kind) in source["columns"].items()}


def _generated_columns(source: Mapping[str, Any], seed: int) -> dict[str, Array]:
    return generated(source["name"], source["arguments"], seed)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()
    return "_" not in cell


def _number(cell: str, column: str, line: int) -> float:
    if not _is_number(cell):
        shown = cell if len(cell) <= 30 else cell[:30] + ".."
        raise _refuse("E0606", f"the column `{column}` holds {shown!r} in line {line}, not a number", column=column)
    return float(cell) if cell.strip() else float("nan")


Header = Callable[[Path, Mapping[str, Any], str | None], dict[str, Column]]
Cells = Callable[[Path, Mapping[str, Any], str | None, Collection[str]], dict[str, Array]]


def _table(
    header: Callable[[Path], dict[str, Column]], cells: Callable[[Path, Collection[str]], dict[str, Array]]
) -> tuple[Header, Cells]:
    """The readers of a kind of file in which nothing but its path matters."""
    return lambda path, source, letters: header(path), lambda path, source, letters, wanted: cells(path, wanted)


_FILES: dict[str, tuple[Header, Cells]] = {
    "npz": _table(_npz_schema, _npz_columns),
    "csv": _table(_csv_schema, _csv_columns),
    "parquet": _table(parquet_schema, parquet_columns),
    "text": (text_schema, text_columns),
}
"""Kinds of files: how a header is read, and columns."""

_MADE: dict[str, tuple[Callable[[Mapping[str, Any]], dict[str, Column]], Draw | None]] = {
    "sklearn": (lambda source: sklearn_schema(source["name"]), lambda source, seed: sklearn_columns(source["name"])),
    "grid": (_grid_schema, _grid_columns),
    "generator": (_generated_schema, _generated_columns),
    "model": (_generated_schema, None),
}
"""Kinds of sources without a file: what they hold, and the arrays of all columns from the source and a seed (a model's are
drawn by its emitted class, see `teacher.py`)."""
