"""The one file that touches pyarrow, which is untyped and optional.  Importable without either torch or it.

Columns of numbers and bools become arrays; columns of lists (fixed-size, or of one length in every row) become
two-dimensional ones.  A missing number is NaN, which the check of the values reports with its row.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Column
from .errors import DataError, DataProblem, MissingDependency

Array = NDArray[Any]


def _pyarrow(part: str) -> Any:
    """A module of pyarrow.

    Raises:
        MissingDependency: when it is not installed.
    """
    try:
        return import_module(part)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            'parquet("...") needs the package pyarrow: install it, or dltc with its extra `data`'
        ) from error


def parquet_schema(path: Path) -> dict[str, Column]:
    """Columns from the file's footer; of lists whose length the footer does not say, from the first row.

    Raises:
        MissingDependency: when pyarrow is not installed.
        OSError, ValueError: the file is damaged.
    """
    parquet, types = _pyarrow("pyarrow.parquet"), _pyarrow("pyarrow.types")
    with parquet.ParquetFile(path) as file:
        rows = int(file.metadata.num_rows)
        found: dict[str, Column] = {}
        for field in file.schema_arrow:
            shape: tuple[int, ...] = ()
            value = field.type
            if types.is_fixed_size_list(value):
                shape, value = (int(value.list_size),), value.value_type
            elif types.is_list(value) or types.is_large_list(value):
                shape, value = (_first_length(file, str(field.name)),), value.value_type
            found[str(field.name)] = Column(shape, _kind(types, value), rows)
    return found


def _kind(types: Any, value: Any) -> str:
    if types.is_boolean(value):
        return "bool"
    if types.is_integer(value):
        return "int"
    return "real" if types.is_floating(value) or types.is_decimal(value) else "text"


def _first_length(file: Any, name: str) -> int:
    """Numbers in the first row of a column of lists."""
    batch: Any = next(iter(file.iter_batches(batch_size=1, columns=[name])), None)
    first: Any = batch.column(0)[0].as_py() if batch is not None else None
    return len(first) if first is not None else 0


def parquet_columns(path: Path, wanted: Collection[str]) -> dict[str, Array]:
    """The arrays of the wanted columns, rows first.

    Raises:
        MissingDependency: when pyarrow is not installed.
        DataError: E0604 for lists of different lengths.
        OSError, ValueError: the file is damaged.
    """
    table: Any = _pyarrow("pyarrow.parquet").read_table(path, columns=list(wanted))
    return {name: _array(table.column(name).combine_chunks(), name) for name in wanted}


def _array(column: Any, name: str) -> Array:
    types = _pyarrow("pyarrow.types")
    if not (types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type)):
        return _numbers(column)
    lengths = [0 if row is None else len(row) for row in column.to_pylist()]
    if len(set(lengths)) > 1:
        row = next(k for k, n in enumerate(lengths) if n != lengths[0])
        message = f"the column `{name}` has {lengths[0]} numbers in row 1 and {lengths[row]} in row {row + 1}"
        raise DataError([DataProblem("E0604", message, "pad the rows, and give their lengths: t = length", None, name)])
    flat = _numbers(column.flatten())
    return flat.reshape(len(lengths), lengths[0] if lengths else 0)


def _numbers(column: Any) -> Array:
    """A flat column as NumPy numbers; missing ones are NaN."""
    types = _pyarrow("pyarrow.types")
    if types.is_decimal(column.type) or (column.null_count and not types.is_floating(column.type)):
        column = column.cast("float64")
    return np.asarray(column.to_numpy(zero_copy_only=False))
