"""Column expressions of the data block, order and grouping of sums and products removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """A node of a column expression: a call, or a leaf whose ``facts`` say what it is."""

    op: str
    facts: tuple[Any, ...] = ()
    args: tuple[Column, ...] = ()


def column(tree: Any) -> Column | None:
    """The canonical form of a tree as the manifest holds it; None when there is none.

    Whole and real numbers stay apart (whole-number arithmetic is exact), except under a division, which is real.
    """
    match tree:
        case None:
            return None
        case ["num", value]:
            return Column("num", (type(value).__name__, value))
        case ["permute", inner, seed]:
            inside = column(inner)
            return Column("permute", (seed,), (inside,) if inside is not None else ())
        case ["call", op, *args]:
            return _call(str(op), [part for part in map(column, args) if part is not None])
        case [op, *facts]:
            return Column(str(op), tuple(facts))
        case _:
            return Column("unknown", (repr(tree),))


def _call(op: str, args: list[Column]) -> Column:
    if op == "sub":
        op, args = "add", [args[0], _negative(args[1])]
    if op == "neg":
        return _negative(args[0])
    if op == "div":
        args = [_real(x) for x in args]
    if op in ("add", "mul"):
        args = [part for x in args for part in (x.args if x.op == op else (x,))]
    if op in ("add", "mul", "eq", "ne"):
        args.sort(key=repr)
    return Column(op, (), tuple(args))


def _negative(x: Column) -> Column:
    """-x: it goes into a sum, and -(-x) is x."""
    if x.op == "neg":
        return x.args[0]
    if x.op == "add":
        return Column("add", (), tuple(sorted(map(_negative, x.args), key=repr)))
    return Column("neg", (), (x,))


def _real(x: Column) -> Column:
    """A whole number as the real one that it becomes."""
    return Column("num", ("float", float(x.facts[1]))) if x.op == "num" else x


def column_text(tree: Any) -> str:
    """A column expression with its numbers filled in."""
    match tree:
        case ["num", value]:
            return f"{value:g}" if isinstance(value, float) else str(value)
        case ["column", name]:
            return str(name)
        case ["slice", name, low, high]:
            return f"{name}[{low}..{high}]"
        case ["permute", inner, seed]:
            return f"permute({column_text(inner)}, seed = {seed})"
        case ["call", op, *args]:
            return f"{op}({', '.join(map(column_text, args))})"
        case _:
            return "none"
