"""Sizes in emitted code: numbers where the spec knows them, else read off an input's shape."""

from __future__ import annotations

from collections.abc import Iterable

from ..graph.node import Pool
from .tree import Bin, Code, Lit, Var


def size_name(axis: str) -> str:
    """The local variable that holds a data-bound size."""
    return "n" if axis == "batch" else f"n_{axis}"


def size(pool: Pool, index: str) -> Code:
    """The size of one index."""
    known = pool.size(index)
    return Lit(known) if isinstance(known, int) else Var(size_name(known))


def count(pool: Pool, indices: Iterable[str]) -> Code:
    """The number of entries over several indices."""
    number, symbols = 1, list[Code]()
    for index in indices:
        known = pool.size(index)
        if isinstance(known, int):
            number *= known
        else:
            symbols.append(Var(size_name(known)))
    result: Code | None = Lit(number) if number != 1 or not symbols else None
    for symbol in symbols:
        result = symbol if result is None else Bin("*", result, symbol)
    return result if result is not None else Lit(1)
