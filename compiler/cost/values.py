"""What expressions of emitted code are worth to the cost model, and the type of a row of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from ..diagnostics import InternalError
from .machine import RANK, Array, Machine
from .poly import Poly, number


@dataclass(frozen=True, slots=True)
class Host:
    """A Python number, text or object: no memory; ``size`` is its value where that is a size."""

    size: Poly | None = None
    dtype: str = "real"
    name: str = ""


@dataclass(slots=True, eq=False)
class Series:
    """A Python list, or what a loop runs over: ``count`` values that are all like ``each``.

    ``held`` keeps the memory of what was put into a list; the list is one object however many names it has (``refs``).
    """

    count: Poly
    each: Value
    held: list[Array] = field(default_factory=list[Array])
    refs: int = 1


Value = Union[Array, Host, Series, "tuple[Value, ...]"]

NOTHING = Host()


@dataclass(frozen=True, slots=True)
class Args:
    """The arguments of one operation; those of a method begin with its object."""

    given: tuple[Value, ...]
    named: Mapping[str, Value] = field(default_factory=dict[str, Value])

    @property
    def arrays(self) -> list[Array]:
        """All tensors among them."""
        return [v for v in (*self.given, *self.named.values()) if isinstance(v, Array)]

    def array(self, k: int = 0) -> Array:
        """The argument at a place, which is a tensor.

        Raises:
            InternalError: it is none.
        """
        value = self.given[k] if k < len(self.given) else NOTHING
        if not isinstance(value, Array):
            raise InternalError(f"the cost model wants a tensor as argument {k}")
        return value

    def series(self, k: int = 0) -> Series:
        """The argument at a place, which is a list or what a loop runs over.

        Raises:
            InternalError: it is none.
        """
        value = self.given[k]
        if not isinstance(value, Series):
            raise InternalError(f"the cost model wants a list as argument {k}")
        return value

    def size(self, k: int) -> Poly:
        """The argument at a place, which is a whole number."""
        return size_of(self.given[k])

    def sizes(self, k: int) -> tuple[Poly, ...]:
        """A shape given as one tuple at a place, or as all further arguments."""
        value = self.given[k]
        return tuple(map(size_of, value if isinstance(value, tuple) else self.given[k:]))

    def numbers(self, k: int) -> tuple[int, ...]:
        """Dimensions: one, a tuple of them, or all further arguments."""
        return tuple(p.at({}) for p in self.sizes(k))


Form = Callable[[Machine, Args], Value]
"""What an operation of emitted code costs and returns: a row of the tables."""


def size_of(value: Value) -> Poly:
    """A whole number.

    Raises:
        InternalError: the value is none, or is not known when a module is emitted.
    """
    if not isinstance(value, Host) or value.size is None:
        raise InternalError("the cost model met a size that it does not know")
    return value.size


def whole(value: int) -> Host:
    """A known whole number."""
    return Host(number(value), "int")


def promoted(values: Sequence[Value]) -> str:
    """The dtype that torch gives to an operation on these: tensors with dimensions decide before those without and
    before Python numbers, unless these are of a higher kind."""
    with_dims = [v.dtype for v in values if isinstance(v, Array) and v.shape]
    scalars = [v.dtype for v in values if isinstance(v, Array) and not v.shape]
    hosts = [v.dtype for v in values if isinstance(v, Host)]
    best = ""
    for group in (with_dims, scalars, hosts):
        top = max(group, key=RANK.index, default="")
        if top and (not best or min(RANK.index(top), 2) > min(RANK.index(best), 2)):
            best = top
    return best
