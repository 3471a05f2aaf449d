"""Which axes an expression has, told from its text and the axes of the names in it.

A call of a circuit takes the shape of its argument, so shapes must be known before anything is typed.  An index is an axis
with its primes; order matters, since inputs match from the right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from .. import nodes as syntax
from ..elaborate import factors
from ..shown import operation_of
from ..walk import piped, walk

Index = tuple[str, int]
"""An axis and its number of primes."""

ENDS = ("last", "first")


class Unknown(Exception):
    """The shape of a name is not known yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor's declared indices; ``label``: the axis whose labels it holds."""

    axes: tuple[Index, ...] = ()
    label: str | None = None


@dataclass(slots=True)
class Names:
    """What the names of a body are: its axes, its tensors with their shapes (None: not known yet), its numbers;
    ``divided`` are plain axes that a circuit takes apart."""

    axes: dict[str, syntax.AxisItem | None] = field(default_factory=dict[str, syntax.AxisItem | None])
    tensors: dict[str, Shape | None] = field(default_factory=dict[str, "Shape | None"])
    numbers: set[str] = field(default_factory=set[str])
    divided: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def parts(self, axis: str) -> tuple[str, ...]:
        """The axes that an axis is declared, or was found, to be the product of."""
        item = self.axes.get(axis)
        if item is not None and isinstance(item.value, syntax.ProductOf):
            return tuple(p.name for p in item.value.parts)
        return self.divided.get(axis, ())

    def leaves(self, axis: str) -> tuple[str, ...]:
        """What an axis is made of in the end.  One that is part of itself, or a part twice, is a mistake said elsewhere: each
        axis is taken apart once."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        stack = [axis]
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                parts = self.parts(name)
                stack += reversed(parts)
                found |= {} if parts else {name: None}
        return tuple(found) or (axis,)

    def shape(self, name: str) -> Shape | None:
        """The shape of a tensor; None for what is none.

        Raises:
            Unknown: it is a tensor whose axes cannot be told yet.
        """
        if name not in self.tensors:
            return None
        found = self.tensors[name]
        if found is None:
            raise Unknown(name)
        return found


def indices(axes: Iterable[syntax.Expr]) -> tuple[Index, ...]:
    """Written index names."""
    return tuple((a.name, a.primes) for a in axes if isinstance(a, syntax.Name))


def axes_of(e: syntax.Expr, names: Names) -> tuple[Index, ...]:
    """The indices that an expression carries when nothing in it is contracted, the longest operand's order first.

    Raises:
        Unknown: it reads a name whose shape is not known yet.
    """
    match e:
        case syntax.Name():
            shape = names.shape(e.name)
            if shape is not None:
                return shape.axes
            return ((e.name, e.primes),) if e.name in names.axes else ()
        case syntax.Index():
            return _read(e, names)
        case syntax.Call() if e.name in ("size", "label"):
            return _merged([axes_of(a.value, names) for a in e.args]) if e.name == "label" else ()
        case syntax.Call():
            return _called(e, names)
        case syntax.Unary():
            return axes_of(e.operand, names)
        case syntax.Binary():
            return _merged([axes_of(p, names) for p in _chain(e)])
        case syntax.Compare():
            return _merged([axes_of(p, names) for p in e.operands])
        case syntax.Pipe():
            return axes_of(piped(e), names)
        case _:
            return ()


def _chain(e: syntax.Binary) -> list[syntax.Expr]:
    """The operands of a chain of operators, from the left."""
    parts: list[syntax.Expr] = []
    node: syntax.Expr = e
    while isinstance(node, syntax.Binary):
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


def _read(e: syntax.Index, names: Names) -> tuple[Index, ...]:
    shape = names.shape(e.name)
    found: list[tuple[Index, ...]] = []
    for arg in e.args:
        if not (isinstance(arg, syntax.Name) and arg.name in ENDS):
            found.append(axes_of(arg, names))
    rest = missing(e.args, shape.axes, names) if shape is not None else ()
    return tuple(dict.fromkeys(i for axes in (*found, rest) for i in axes))


def missing(args: tuple[syntax.Expr, ...], declared: tuple[Index, ...], names: Names) -> tuple[Index, ...]:
    """The declared axes behind those that are written: a product may be written by its parts, and parts as a product."""
    starts: list[int] = []
    leaves = 0
    for axis, _ in declared:
        starts.append(leaves)
        leaves += len(names.leaves(axis))
    starts.append(leaves)
    used = 0
    for arg in args:
        if isinstance(arg, syntax.Name) and arg.name in names.axes:
            used += len(names.leaves(arg.name))
        else:  # a label: of the whole axis that begins here, or of one part
            used = next((after for at, after in pairwise(starts) if at == used), used + 1)
    return tuple(index for index, start in zip(declared, starts, strict=False) if start >= used)


def _called(e: syntax.Call, names: Names) -> tuple[Index, ...]:
    inside = _merged([axes_of(a.value, names) for a in e.args])
    operation = operation_of(e)
    if operation is None or not operation.over:
        return inside
    over = indices(e.axes) if e.axes is not None else inside
    kept = {"all": over, "first": over[:1]}.get(operation.keeps, ())
    return tuple(i for i in inside if i not in over or i in kept)


def _merged(parts: list[tuple[Index, ...]]) -> tuple[Index, ...]:
    """All indices: those of the longest part as they stand there, what others have beside them in front."""
    order: list[Index] = []
    for part in sorted(parts, key=len, reverse=True):
        order = [i for i in part if i not in order] + order
    return tuple(order)


def contracted(e: syntax.Expr, names: Names, open: frozenset[Index]) -> Index | None:
    """An index that some product in the expression would sum by the rules of an equation with these open indices."""
    for part in walk(e):
        if not (isinstance(part, syntax.Binary) and part.op in "*/"):
            continue
        over, under, _ = factors(part)
        count: Mapping[Index, int] = _counts([axes_of(f, names) for f in (*over, *under)])
        found = next((i for i, k in count.items() if k > 1 and i not in open), None)
        if found is not None:
            return found
    return None


def _counts(parts: list[tuple[Index, ...]]) -> dict[Index, int]:
    count: dict[Index, int] = {}
    for index in (i for part in parts for i in dict.fromkeys(part)):
        count[index] = count.get(index, 0) + 1
    return count
