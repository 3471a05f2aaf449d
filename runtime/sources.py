"""Where data come from: bundled scikit-learn sets, .npz, .csv and .parquet files, grids; headers first, arrays when asked.

Files are untrusted: no pickle, no path outside the spec's folder, damaged files become findings.  Importable without
torch.
"""

from __future__ import annotations

import csv
import math
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
from .errors import DataError, DataFileMissing, DataProblem
from .parquet_source import parquet_columns, parquet_schema
from .sklearn_source import DATA_SETS, sklearn_columns, sklearn_schema
from .tables import did_you_mean

Array = NDArray[Any]
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
    if kind == "sklearn":
        if source["name"] not in DATA_SETS:
            help = f"there are {', '.join(DATA_SETS)}"
            name = source["name"]
            raise _refuse("E0601", f"there is no bundled data set `{name}`{did_you_mean(name, DATA_SETS)}", help)
        return None
    if kind == "grid":
        return None
    if kind not in _FILES:
        fix = "use sklearn(..), npz(..), csv(..), parquet(..) or grid(..)"
        raise _refuse("E0601", f"the data source `{kind}` is not known", fix)
    path = folder / source["path"]
    if not allow_path and not path.resolve().is_relative_to(folder.resolve()):
        raise _refuse("E0608", f'"{source["path"]}" lies outside the folder of the spec', "pass --allow-path")
    return path


def schema(source: Mapping[str, Any], folder: Path, *, allow_path: bool = False) -> dict[str, Column]:
    """Columns of a source, read from headers only; see :func:`locate` for the arguments.

    Raises:
        DataFileMissing: when the file is not there.
        DataError: E0601, E0607 (cannot be read), E0608.
        MissingDependency: pyarrow is needed but not installed.
    """
    path = locate(source, folder, allow_path=allow_path)
    if path is None:
        return _grid_schema(source["axes"]) if source["kind"] == "grid" else sklearn_schema(source["name"])
    with _readable(path, source["path"]):
        return _FILES[source["kind"]][0](path)


def columns(
    source: Mapping[str, Any], folder: Path, wanted: Collection[str], *, allow_path: bool = False
) -> dict[str, Array]:
    """The arrays of the wanted columns, rows first; the columns must be in the schema.

    Raises:
        DataFileMissing: when the file is not there.
        DataError: E0601, E0607, E0608; E0606 for a text cell in a numeric column.
        MissingDependency: scikit-learn or pyarrow is needed but not installed.
    """
    path = locate(source, folder, allow_path=allow_path)
    if path is None and source["kind"] == "grid":
        return _grid_columns(source["axes"], wanted)
    if path is None:
        everything = sklearn_columns(source["name"])
        return {name: everything[name] for name in wanted}
    with _readable(path, source["path"]):
        return _FILES[source["kind"]][1](path, wanted)


def _refuse(code: str, message: str, help: str | None = None, column: str | None = None) -> DataError:
    return DataError([DataProblem(code, message, help, column=column)])


@contextmanager
def _readable(path: Path, shown: str) -> Generator[None]:
    """Turn what a damaged file raises into E0607; a missing file is DataFileMissing."""
    if not path.exists():
        raise DataFileMissing(f'the data file "{shown}" is not there')
    if not path.is_file():
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


def _grid_schema(axes: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    rows = math.prod(int(axis["size"]) for axis in axes)
    return {str(axis["name"]): Column((), "int", rows) for axis in axes}


def _grid_columns(axes: Sequence[Mapping[str, Any]], wanted: Collection[str]) -> dict[str, Array]:
    """Every combination of labels once, the last axis fastest."""
    sizes = [int(axis["size"]) for axis in axes]
    labels = dict(zip([str(axis["name"]) for axis in axes], np.indices(sizes, dtype=np.int64), strict=True))
    low = {str(axis["name"]): int(axis["low"]) for axis in axes}
    return {name: labels[name].reshape(-1) + low[name] for name in wanted}


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


_FILES: dict[str, tuple[Callable[[Path], dict[str, Column]], Callable[[Path, Collection[str]], dict[str, Array]]]] = {
    "npz": (_npz_schema, _npz_columns),
    "csv": (_csv_schema, _csv_columns),
    "parquet": (parquet_schema, parquet_columns),
}
"""Kinds of files: how a header is read, and columns."""
