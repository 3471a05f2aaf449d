"""Every pass of the pipeline against the graph that it was given.

    graph --pass--> graph': each output the same, in float64 on random data; and exactly, where the pass claims algebra

When an output differs, the rewrites that the pass made are gone through in order, and in each the nodes, inputs first:
the first whose replacement is worth something else is where the pass went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..diagnostics import InternalError
from ..graph.field import shortened
from ..graph.interpret import Results
from ..graph.node import Graph, Node, Rewrite
from ..optimize.base import Pass
from ..optimize.bodies import everywhere
from .views import Field, Floats, View

Places = Callable[[Graph, Node], str]
"""The lines of the spec that a node comes from, as text."""


class PassFault(InternalError):
    """A pass changes what a graph computes."""


@dataclass
class Checked:
    """What was found of one graph: passes gone through, outputs compared and the largest relative difference; how many
    passes were exact in the field, of how many that claim to be.  ``unclear`` are outputs that could not be compared."""

    name: str
    passes: int = 0
    outputs: int = 0
    largest: float = 0.0
    exact: int = 0
    algebraic: int = 0
    unclear: list[str] = field(default_factory=list[str])

    def text(self) -> str:
        """One line."""
        passes = f"{self.passes} passes, " if self.passes else ""
        exact = f"; {self.exact} of {self.algebraic} algebraic passes exact modulo 2^61 - 1" if self.algebraic else ""
        return f"verified {self.name}: {passes}{self.outputs} outputs, largest relative difference {self.largest:.2g}{exact}"

    def data(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {key: getattr(self, key) for key in ("name", "passes", "outputs", "largest", "exact", "algebraic")}


@dataclass(frozen=True)
class PassCheck:
    """The check of one graph's way through the pipeline."""

    name: str
    floats: Sequence[Floats]
    exact: Field
    places: Places

    def run(self, graph: Graph, passes: Sequence[Pass]) -> tuple[Graph, Checked]:
        """The graph after all passes.

        Raises:
            PassFault: a pass changes an output; the first such pass and the first node that it changes are named.
            ValueError: a graph cannot be interpreted on the data.
        """
        checked = Checked(self.name, outputs=len(graph.roots))
        for number, p in enumerate(passes, 1):
            title = f"the pass `{p.name}` ({number} of {len(passes)}) changes what the {self.name} computes"
            with graph.pool.watched() as rewrites:
                after = everywhere(p, graph)
            if after.roots.keys() != graph.roots.keys():
                raise PassFault(f"{title}: it loses or adds outputs: {sorted(after.roots.keys() ^ graph.roots.keys())}")
            for view in self.floats:
                self._compare(title, view, graph, after, rewrites, checked)
            if p.algebraic:
                self._exact(title, p, graph, after, rewrites, checked)
            graph = after
            checked.passes += 1
        self._finite(graph, checked)
        return graph, checked

    def _compare(
        self, title: str, view: Floats, graph: Graph, after: Graph, rewrites: list[Rewrite], checked: Checked
    ) -> None:
        before, now = view.values(graph), view.values(after)
        view.keep(after)
        for name, node in graph.roots.items():
            error = view.error(before[node][0], now[after.roots[name]][0])
            if error <= view.tolerance:
                checked.largest = max(checked.largest, error)
            elif view.sensitivity(graph, name) >= error:
                checked.unclear.append(f"{name} is too sensitive to rounding on the random data to be compared")
            else:
                raise self._fault(title, view, (graph, after), name, error, rewrites)

    def _exact(
        self, title: str, p: Pass, graph: Graph, after: Graph, rewrites: list[Rewrite], checked: Checked
    ) -> None:
        """The field's word; where constants were folded, on the graph with short constants."""
        checked.algebraic += 1
        try:
            if self._differs(self.exact, graph, after) is None:
                checked.exact += 1
                return
            short, view = shortened(graph), Field(self.exact.sizes, self.exact.seed)
            with short.pool.watched() as rewrites:
                after = everywhere(p, short)
            name = self._differs(view, short, after)
        except OverflowError as error:
            checked.unclear.append(f"`{p.name}` could not be checked in the field: {error}")
            return
        if name is not None:
            raise self._fault(title, view, (short, after), name, None, rewrites)
        checked.exact += 1

    def _differs(self, view: Field, graph: Graph, after: Graph) -> str | None:
        """The first output that is not the same."""
        before, now = view.values(graph), view.values(after)
        view.keep(after)
        pairs = {name: (before[node][0], now[after.roots[name]][0]) for name, node in graph.roots.items()}
        return next((name for name, (a, b) in pairs.items() if view.error(a, b)), None)

    def _fault(
        self,
        title: str,
        view: View,
        graphs: tuple[Graph, Graph],
        name: str,
        error: float | None,
        rewrites: list[Rewrite],
    ) -> PassFault:
        graph, after = graphs
        size = "differs" if error is None else f"differs by {error:.3g} of its largest entry"
        found = first_wrong(view, rewrites) or deepest_wrong(view, graph, after, name)
        lines = [
            f"{title}: `{name}` {size} {view.title}",
            f"the first node that it changes: {found.node!r} from {self.places(found.graph, found.node)}",
            f"it became: {found.made!r}",
            f"`{name}` comes from {self.places(graph, graph.roots[name])}",
        ]
        return PassFault("\n  ".join(lines))

    def _finite(self, graph: Graph, checked: Checked) -> None:
        """Outputs that are finite nowhere were not compared, really."""
        values = self.floats[0].values(graph)
        checked.unclear += [
            f"{name} is finite nowhere on the random data"
            for name, node in graph.roots.items()
            if values[node][0].data.size and not np.isfinite(values[node][0].data).any()
        ]


@dataclass(frozen=True)
class Wrong:
    """A node of a graph and what a rewrite wrongly made of it."""

    graph: Graph
    node: Node
    made: Node


def first_wrong(view: View, rewrites: Sequence[Rewrite]) -> Wrong | None:
    """The first node whose replacement means something else; bodies of scans are looked at on values of their own."""
    for rewrite in rewrites:
        graph = rewrite.graph
        try:
            before = view.values(graph)
            after = view.values(Graph(graph.pool, {str(k): made for k, made in enumerate(rewrite.new.values())}))
        except (ValueError, OverflowError):
            continue  # the scan around it is named instead
        for node, made in rewrite.new.items():
            if _error(view, before[node], after[made]) > view.tolerance:
                return Wrong(graph, node, made)
    return None


def deepest_wrong(view: View, graph: Graph, after: Graph, name: str) -> Wrong:
    """Where no rewrite tells: from an output that differs down through nodes that do, as long as both graphs are alike."""
    before, now = view.values(graph), view.values(after)
    node, made = graph.roots[name], after.roots[name]
    while node.op == made.op and len(node.inputs) == len(made.inputs):
        wrong = [(a, b) for a, b in _pairs(node, made) if _error(view, before[a], now[b]) > view.tolerance]
        if not wrong:
            break
        node, made = wrong[0]
    return Wrong(graph, node, made)


def _pairs(node: Node, made: Node) -> list[tuple[Node, Node]]:
    """Operands of the same op, in order; those that both nodes have are left out, since a commutative op has them in any."""
    ours, theirs = ({x.digest for x in n.inputs} for n in (node, made))
    left = [x for x in node.inputs if x.digest not in theirs]
    right = [x for x in made.inputs if x.digest not in ours]
    return [(a, b) for a, b in zip(left, right, strict=False) if a.op == b.op]


def _error(view: View, before: Results, after: Results) -> float:
    if len(before) != len(after):
        return np.inf
    return max(view.error(a, b) for a, b in zip(before, after, strict=True))
