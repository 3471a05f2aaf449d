"""Column expressions of a ``data`` block: their shapes from headers alone, and their values.  Importable without torch.

An expression is a list as in the manifest: ``["num", 16]``, ``["column", "data"]``, ``["call", OP, EXPR, ...]`` or
``["slice", "data", 0, 9]`` (columns 0..9, both ends included), ``["permute", EXPR, 3]`` (the numbers of each row in an
order keyed by the seed 3).  Rows come first; shapes below leave them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .errors import AbiError
from .philox import permutation

Array = NDArray[Any]
Expr = list[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """What a header says: shape without rows, kind (real, int, bool, text, scalar), number of rows and of labels where known."""

    shape: tuple[int, ...]
    kind: str
    rows: int | None = None
    labels: int | None = None


class ColumnError(Exception):
    """An expression that does not fit its columns; ``code`` is the diagnostic's code."""

    def __init__(self, code: str, message: str, column: str | None, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.column, self.help = code, message, column, help


def _floordiv(a: Array, b: Array) -> Array:
    return np.floor_divide(a, b)


_ARITHMETIC: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "floordiv": _floordiv,
    "mod": np.mod,
    "pow": np.power,
}
_COMPARE: dict[str, Callable[..., Array]] = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
_UNARY: dict[str, Callable[..., Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "log1p": np.log1p,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
}
_REAL = {"div", "log1p", "exp", "log", "sqrt", "standardize"}  # their result is real whatever they read
OPS = {**dict.fromkeys(_ARITHMETIC, 2), **dict.fromkeys(_COMPARE, 2), **dict.fromkeys(_UNARY, 1), "standardize": 1}


def of_label(expr: Expr, label: int) -> Expr:
    """The expression at one label of the axis of the tasks: ``["label", AXIS]`` is a number, and so is a seed made of it."""
    if expr[:1] == ["label"]:
        return ["num", label]
    made: Expr = [of_label(cast(Expr, part), label) if isinstance(part, list) else part for part in expr]
    if made[:1] == ["permute"] and isinstance(made[2], list):
        return ["permute", made[1], int(evaluate(cast(Expr, made[2]), {}, np.arange(0)))]
    return made


def reads_split(expr: Expr) -> bool:
    """Does the value of an expression depend on which rows are for training?"""
    return expr[:2] == ["call", "standardize"] or any(isinstance(e, list) and reads_split(cast(Expr, e)) for e in expr)


def used(expr: Expr) -> Iterator[str]:
    """Names of the columns that an expression reads, in order, with repeats.

    Raises:
        AbiError: when the expression is of no known form.
    """
    head = expr[0] if expr else None
    if head in ("column", "slice"):
        yield expr[1]
    elif head == "permute":
        yield from used(expr[1])
    elif head == "call" and OPS.get(expr[1]) == len(expr) - 2:
        for argument in expr[2:]:
            yield from used(argument)
    elif head not in ("num", "label"):
        raise AbiError(f"the manifest holds a column expression that this runtime does not know: {expr!r}")


def infer(expr: Expr, columns: Mapping[str, Column]) -> Column:
    """Shape, kind and rows of an expression from headers alone.

    Args:
        expr: an expression whose columns are all in ``columns``.
        columns: what the headers say.

    Raises:
        ColumnError: text in arithmetic (E0606), a slice outside its column or shapes that do not match (E0604).
    """
    head = expr[0]
    if head in ("num", "label"):
        return Column((), "int" if head == "label" or isinstance(expr[1], int) else "real")
    if head == "column":
        return _numeric(expr[1], columns)
    if head == "slice":
        _, name, first, last = expr
        column = _numeric(name, columns)
        _check_slice(name, column.shape, first, last)
        return Column((last - first + 1, *column.shape[1:]), column.kind, column.rows)
    if head == "permute":
        column = infer(expr[1], columns)
        if not column.shape:
            name = next(used(expr), None)
            raise ColumnError("E0604", "`permute` reorders the numbers of each row; this has one per row", name)
        return column
    op = expr[1]
    parts = [infer(argument, columns) for argument in expr[2:]]
    shape = parts[0].shape
    for part in parts[1:]:
        shape = _common(shape, part.shape)
    kind = "real" if op in _REAL or "real" in [p.kind for p in parts] else "int"
    rows = next((p.rows for p in parts if p.rows is not None), None)
    return Column(shape, "bool" if op in _COMPARE else kind, rows)


def evaluate(expr: Expr, columns: Mapping[str, Array], train: NDArray[np.int64]) -> Array:
    """The values of an expression over all rows, in float64 unless everything in it is whole.

    Args:
        expr: an expression that :func:`infer` accepted.
        columns: arrays, rows first.
        train: the rows of the training part, which alone determine ``standardize``.

    Returns:
        An array with rows first (a number alone stays 0-dim).
    """
    head = expr[0]
    if head == "num":
        return np.asarray(expr[1])
    if head == "column":
        return _plain(columns[expr[1]])
    if head == "slice":
        return _plain(columns[expr[1]])[:, expr[2] : expr[3] + 1]
    if head == "permute":
        values = evaluate(expr[1], columns, train)
        flat = values.reshape(len(values), -1)
        return flat[:, permutation(expr[2], "data.permute", flat.shape[1])].reshape(values.shape)
    op = expr[1]
    values = [evaluate(argument, columns, train) for argument in expr[2:]]
    with np.errstate(all="ignore"):  # what is not finite is reported by the check of the inputs, with its row
        if op == "standardize":
            return _standardize(values[0], train)
        if op in _UNARY:
            return _UNARY[op](values[0])
        left, right = _align(values[0], values[1])
        if op == "pow":
            left = left.astype(np.float64)  # NumPy refuses negative whole exponents
        return (_ARITHMETIC.get(op) or _COMPARE[op])(left, right)


def _numeric(name: str, columns: Mapping[str, Column]) -> Column:
    column = columns[name]
    if column.kind not in ("real", "int", "bool"):
        what = "one number for all rows" if column.kind == "scalar" else "text, not numbers"
        raise ColumnError("E0606", f"the column `{name}` holds {what}", name)
    return column


def _check_slice(name: str, shape: tuple[int, ...], first: int, last: int) -> None:
    if not shape:
        raise ColumnError("E0604", f"`{name}[{first}..{last}]`: the column `{name}` has one number per row", name)
    if not 0 <= first <= last < shape[0]:
        help = f"the last one is `{name}[0..{shape[0] - 1}]`"
        raise ColumnError("E0604", f"`{name}[{first}..{last}]`: the column has {shape[0]} numbers per row", name, help)


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an elementwise operation; one number per row goes with any shape."""
    if a and b and a != b:
        raise ColumnError("E0604", f"columns with {list(a)} and {list(b)} numbers per row do not go together", None)
    return a or b


def _plain(array: Array) -> Array:
    """Bools as 0 and 1, small integers and floats widened, so that arithmetic neither wraps nor rounds early."""
    if array.dtype.kind in "bui":
        return array.astype(np.int64)
    return array.astype(np.float64)


def _align(a: Array, b: Array) -> tuple[Array, Array]:
    """Give the operand with fewer axes trailing ones: rows match rows (0-dim numbers match anything)."""
    if a.ndim and b.ndim:
        rank = max(a.ndim, b.ndim)
        a, b = (x.reshape(x.shape + (1,) * (rank - x.ndim)) for x in (a, b))
    return a, b


def _standardize(values: Array, train: NDArray[np.int64]) -> Array:
    """Per feature: minus the training mean, over the training standard deviation (1 where a feature is constant)."""
    rows = values[train].astype(np.float64)
    spread = rows.std(axis=0)
    return (values - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
