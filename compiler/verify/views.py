"""What a graph is worth at some place, and how far two values are apart there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import numpy as np

from ..graph.field import residues_of
from ..graph.interpret import FLOATS, Env, Labeled, Results, evaluate
from ..graph.labeled import DTYPES, Array, canonical
from ..graph.meanings import Context, Meaning, Numbers
from ..graph.node import Graph, Node
from .data import Data

TOLERANCE = 1e-9
"""A rewrite adds in another order and by other functions: in float64 that costs some roundings of 1e-16 each, and a few
thousand of them add up in a gradient.  What is as small as that but wrong the field finds."""

NOISE = 1e-12
"""Ten thousand roundings."""


class View(Protocol):
    """One way of looking at graphs."""

    tolerance: ClassVar[float]

    @property
    def title(self) -> str:
        """For messages: how things were compared."""
        ...

    def values(self, graph: Graph) -> dict[Node, Results]:
        """The values of all nodes.

        Raises:
            OverflowError: they cannot be had.
            ValueError: they cannot be had on this data.
        """
        ...

    def error(self, before: Labeled, after: Labeled) -> float:
        """How far a value is from what it should be."""
        ...

    def keep(self, graph: Graph) -> None:
        """Forget the values of nodes that the graph does not hold."""
        ...


@dataclass
class _Remembered:
    """Values by digest: a node that a pass leaves alone is not evaluated again."""

    known: dict[bytes, Results] = field(default_factory=dict[bytes, Results], init=False)

    def remember(self, values: Mapping[Node, Results]) -> None:
        """Keep values for the next graph."""
        self.known.update((node.digest, value) for node, value in values.items())

    def keep(self, graph: Graph) -> None:
        """Forget the values of nodes that the graph does not hold."""
        alive = {node.digest for node in graph.topological()}
        self.known = {digest: value for digest, value in self.known.items() if digest in alive}


@dataclass
class Floats(_Remembered):
    """Float64 on data."""

    data: Data
    training: bool = True
    tolerance: ClassVar[float] = TOLERANCE

    @property
    def title(self) -> str:
        """For messages."""
        return "in float64 on random data" + ("" if self.training else " in evaluation")

    def values(self, graph: Graph) -> dict[Node, Results]:
        """See :class:`View`; holes of a body get random values."""
        env = self.data.env(training=self.training)
        values = evaluate(graph, env, known=self.known, holes=self._holes(graph, env))
        self.remember(values)
        return values

    def sensitivity(self, graph: Graph, name: str) -> float:
        """By how much an output changes when every real number on the way to it is moved by 1e-12 of its size: rounding may do
        as much, if less of it is enough for a tie to fall the other way or for terms to cancel."""
        part = Graph(graph.pool, {name: graph.roots[name]})
        env = self.data.env(training=self.training)
        exact, moved = (evaluate(part, env, numbers)[part.roots[name]][0] for numbers in (FLOATS, _moved(env.seed)))
        return self.error(exact, moved)

    def error(self, before: Labeled, after: Labeled) -> float:
        """See :func:`difference`."""
        axes = canonical({*before.axes, *after.axes})
        return difference(before.to(axes), after.to(axes))

    def _holes(self, graph: Graph, env: Env) -> dict[str, Labeled]:
        rng = np.random.default_rng(env.seed)
        holes: dict[str, Labeled] = {}
        for node in graph.topological():
            if node.op == "hole":
                axes: tuple[str, ...] = node.attr("axes")
                sizes = [graph.pool.size(a) for a in axes]
                shape = [n if isinstance(n, int) else env.sizes[n] for n in sizes]
                value = rng.uniform(0.2, 1.8, shape)
                holes[node.attr("name")] = Labeled(axes, value.astype(DTYPES[node.dtype]))
        return holes


def _moved(seed: int) -> Numbers:
    """Float64 with noise after every operation."""
    rng = np.random.default_rng(seed)

    def noisy(meaning: Meaning) -> Meaning:
        def run(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
            found = meaning(ctx, node, xs)
            if node.dtype != "real":
                return found
            return Labeled(found.axes, found.data * (1 + NOISE * rng.normal(size=found.data.shape)))

        return run

    return replace(FLOATS, meanings={name: noisy(meaning) for name, meaning in FLOATS.meanings.items()})


@dataclass
class Field(_Remembered):
    """The prime field of 2^61 - 1, at a random point."""

    sizes: Mapping[str, int]
    seed: int
    tolerance: ClassVar[float] = 0.0

    @property
    def title(self) -> str:
        """For messages."""
        return "exactly, in the field of 2^61 - 1"

    def values(self, graph: Graph) -> dict[Node, Results]:
        """See :class:`View`."""
        values = residues_of(graph, self.sizes, self.seed, self.known)
        self.remember(values)
        return values

    def error(self, before: Labeled, after: Labeled) -> float:
        """1 where anything differs."""
        axes = canonical({*before.axes, *after.axes})
        return float(np.any(before.to(axes) != after.to(axes)))


def difference(before: Array, after: Array) -> float:
    """The largest difference, relative to the largest entry (at least 1).

    Where the first is not finite nothing is compared (a stable form is there to be finite where another is not); whole
    numbers and truth values are equal or not.
    """
    if before.dtype.kind != after.dtype.kind:
        return np.inf
    if before.dtype.kind != "f":
        return float(np.any(before != after)) and np.inf
    a, b = np.broadcast_arrays(before, after)
    there = np.isfinite(a)
    if not np.isfinite(b[there]).all():
        return np.inf
    scale = max(1.0, float(np.max(np.abs(a[there]), initial=0.0)))
    return float(np.max(np.abs(a[there] - b[there]), initial=0.0)) / scale
