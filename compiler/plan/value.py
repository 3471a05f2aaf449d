"""Values of the plan: code with a layout, and the reshaping that lines them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .tree import Code, Field, Item, Lit, Method, Whole


@dataclass(frozen=True, slots=True)
class Val:
    """Code that computes a value, its axes in memory order and its dtype.

    A *host* value is a Python number (no axes, the same for every element): sizes, ``t``, constants and what is
    computed from them alone.
    """

    code: Code
    axes: tuple[str, ...]
    dtype: str
    host: bool = False
    windowed: Windowed | None = None  # what it is windows of, for convolutions
    product: Product | None = None  # what it is a product of, summed
    folded: Folded | None = None  # the product that it is a fold of


@dataclass(frozen=True, slots=True)
class Part:
    """One axis of a window: read at ``sum(factor * label of index) + offset``."""

    axis: str
    terms: tuple[tuple[str, int], ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Windowed:
    """A value, and the windows that were taken of it."""

    source: Val
    parts: tuple[Part, ...]


Product = tuple[Val, Val, frozenset[str]]
"""Two factors and the indices that their product is summed over."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A product, and the folds that were made of it."""

    product: Product
    parts: tuple[Part, ...]


def align(value: Val, axes: Sequence[str]) -> Code:
    """The value broadcast-ready over ``axes`` (a super-set in the same order): new axes where it has none.

    Leading new axes are left out: broadcasting adds them.
    """
    if value.host or not value.axes:
        return value.code
    wanted = list(axes)[list(axes).index(value.axes[0]) :]
    if tuple(wanted) == value.axes:
        return value.code
    items = tuple(Whole() if a in value.axes else None for a in wanted)
    return Item(value.code, items)


def reorder(value: Val, axes: Sequence[str]) -> Val:
    """The same value with its axes in another order (a view)."""
    if tuple(axes) == value.axes:
        return value
    if tuple(axes) == (*value.axes[:-2], value.axes[-1], value.axes[-2]):
        if isinstance(value.code, Field) and value.code.name == "mT":
            return replace(value, code=value.code.obj, axes=tuple(axes))
        return replace(value, code=Field(value.code, "T" if len(axes) == 2 else "mT"), axes=tuple(axes))
    order = tuple(Lit(value.axes.index(a)) for a in axes)
    return replace(value, code=Method(value.code, "permute", order), axes=tuple(axes))
