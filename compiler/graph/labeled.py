"""Arrays whose axes have names: the values of the interpreter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .node import BATCH

Array = NDArray[Any]

DTYPES: Mapping[str, Any] = {"bool": np.bool_, "int": np.int64, "real": np.float64}


def canonical(axes: Iterable[str]) -> tuple[str, ...]:
    """The order in which values are held: batch first, then by name."""
    return tuple(sorted(axes, key=lambda a: (a != BATCH, a)))


@dataclass(frozen=True, eq=False)
class Labeled:
    """An array and the names of its axes, in order."""

    axes: tuple[str, ...]
    data: Array

    def to(self, order: Sequence[str]) -> Array:
        """The array with its axes in that order; axes that the value lacks (it is constant along them) have length 1.

        Raises:
            ValueError: the order leaves out an axis of the value.
        """
        if not set(self.axes) <= set(order):
            raise ValueError(f"a value over {list(self.axes)} cannot be given over {list(order)}")
        data = self.data.transpose([self.axes.index(a) for a in order if a in self.axes])
        return data[tuple(slice(None) if a in self.axes else np.newaxis for a in order)]

    def take(self, axis: str, position: int) -> Labeled:
        """The slice at a position along an axis (the value itself, if it lacks the axis)."""
        if axis not in self.axes:
            return self
        rest = tuple(a for a in self.axes if a != axis)
        return Labeled(rest, np.take(self.data, position, axis=self.axes.index(axis)))

    def expand(self, order: Sequence[str], sizes: Sequence[int]) -> Array:
        """The array over all of ``order``, broadcast along the axes that it lacks."""
        return np.broadcast_to(self.to(order), tuple(sizes))


def aligned(values: Sequence[Labeled]) -> tuple[tuple[str, ...], list[Array]]:
    """The union of the axes, and every array over it (with length 1 where it lacks one)."""
    axes = canonical({a for v in values for a in v.axes})
    return axes, [v.to(axes) for v in values]


def scalar(value: Any) -> Labeled:
    """A value without axes."""
    return Labeled((), np.asarray(value))
