"""Second derivatives of a search's energy by its latent: what a step size and Newton's step are made from.

Along some of the latent's axes its labels do not see each other (`a[t, atom]` where each t is explained by its own atoms): there
the matrix is a block for every label, and they stay axes like the batch.  The others become one axis, row-major.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from ..frontend.model import Latent
from ..graph import expr as e
from ..graph.latents import flat_axis
from ..graph.node import BATCH, Node, Pool, below
from .gradient import pullback
from .substitute import substituted


class TooLarge(Exception):
    """Labels that see each other run along several axes of which the data decide a size."""

    def __init__(self, latent: Latent, axes: Sequence[str]) -> None:
        super().__init__(", ".join(axes))
        self.latent = latent


@dataclass(frozen=True, slots=True)
class Second:
    """The matrix of second derivatives over (``rows``, ``columns``), of the leaves ``mixed`` as one; the matrix itself is the
    only entry where nothing is mixed."""

    pool: Pool
    matrix: Node
    mixed: tuple[str, ...]
    rows: str
    columns: str

    @property
    def largest(self) -> Node:
        """The largest eigenvalue, of every block."""
        if not self.mixed:
            return self.matrix
        return e.max(self.pool, e.eigvals(self.pool, self.matrix, self.rows, self.columns), [self.rows])

    def solved(self, right: Node) -> Node:
        """matrix^-1 right, where ``right`` is like the latent."""
        pool = self.pool
        if not self.mixed:
            return e.div(pool, right, self.matrix)
        inverse = e.inverse(pool, self.matrix, self.rows, self.columns)
        across = _flat(pool, e.carrying(pool, right, self.mixed), self.mixed, self.columns)
        made = e.contract(pool, [inverse, across], [self.columns])
        return made if self.mixed == (self.rows,) else e.gather(pool, made, e.position(pool, self.mixed), self.rows)


def second(pool: Pool, latent: Latent, hole: Node, gradient: Node) -> Second:
    """The second derivatives of each example at ``hole``.

    Raises:
        TooLarge: several axes are to be one, and the size of one of them is not known.
    """
    leaves = latent.tensor.leaves
    direction = e.hole(pool, "direction", (BATCH, *leaves), "real")
    moved = pullback(pool, {gradient: direction}, [hole])[hole]
    mixed = _mixed(moved, direction, leaves)
    used = set(leaves).union(*(n.axes for n in below([gradient, moved])))
    columns: list[str] = []
    for leaf in mixed:
        columns.append(e.fresh(leaf, used))
        used.add(columns[-1])
    equal = [e.eq(pool, e.label(pool, a), e.label(pool, b)) for a, b in zip(mixed, columns, strict=True)]
    unit = e.real(pool, e.contract(pool, equal, ())) if equal else e.const(pool, 1.0)
    (made,) = substituted(pool, {"": moved}, {direction: unit}).values()
    made = e.carrying(pool, made, (*mixed, *columns))
    if len(mixed) <= 1:
        return Second(pool, made, mixed, *(mixed + tuple(columns) or ("", "")))
    axis = flat_axis(latent)
    if axis not in pool.axes:
        raise TooLarge(latent, mixed)
    rows, across = axis, axis + "'"
    return Second(pool, _flat(pool, _flat(pool, made, mixed, rows), columns, across), mixed, rows, across)


def _mixed(moved: Node, direction: Node, leaves: tuple[str, ...]) -> tuple[str, ...]:
    """The leaves along which a change at one label moves the gradient at others: those that an operation between the two
    names, be it in a sum, a gather or a loop."""
    dependent: set[Node] = {direction}
    named: set[str] = set()
    for node in below([moved]):
        if any(x in dependent for x in node.inputs):
            dependent.add(node)
            named |= {leaf for leaf in leaves if _names(node.attrs, leaf)}
    return tuple(leaf for leaf in leaves if leaf in named)


def _names(value: object, leaf: str) -> bool:
    if isinstance(value, (tuple, frozenset)):
        return any(_names(x, leaf) for x in cast("Iterable[object]", value))
    return value == leaf


def _flat(pool: Pool, x: Node, leaves: Sequence[str], axis: str) -> Node:
    """x with some leaves as one axis, row-major; one leaf is only renamed."""
    if len(leaves) == 1:
        return e.rename(pool, x, {leaves[0]: axis}) if leaves[0] != axis else x
    position: Node = e.label(pool, axis)
    for leaf in reversed(leaves):
        size = e.size(pool, leaf)
        x = e.gather(pool, x, e.mod(pool, position, size), leaf)
        position = e.floordiv(pool, position, size)
    return x
