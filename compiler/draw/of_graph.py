"""A graph as a sketch: every node, or one item per statement."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ..diagnostics import Source
from ..frontend.statistics import STATISTICS, STATISTICS_NOT_YET
from ..graph.node import BATCH, Graph, Node, base
from ..graph.recurrence import bindings
from .sketch import Item, Link, Sketch, boxes, lines, typed

_LEAVES = {
    "param": ("param", "path"),
    "state": ("state", "path"),
    "input": ("input", "name"),
    "hole": ("input", "name"),
}
"""Leaves with a name of the spec: the kind of their item and the attribute that holds the name."""

_LATENT = "latent "
"""How the name of a latent's hole begins; other holes are what a loop reads."""

_ROOTS = {
    "value": "value",
    "next": "update",
    "update": "update",
    "term": "density",
    "prior": "density",
    "log_prob": "density",
    "log_joint": "density",
    "log_prior": "density",
    "metric": "measure",
    "measure": "measure",
    "probe": "measure",
    "report": "measure",
    "guard": "measure",
    "assert": "measure",
}
"""The first word of a root's name and the kind of its item; other roots are values."""

_STATISTICS = sorted((*STATISTICS, *STATISTICS_NOT_YET), key=len, reverse=True)
"""How names of cotangents begin (``grad_sum_W``), the longest first."""

_OF_DECLARATION = ("prior", "init")
"""Roots that belong to the declaration of a parameter or state: one statement, one item."""


@dataclass(frozen=True)
class View:
    """What a graph does not know of itself: its title, the names of the spec's equations, how its densities are
    written, the texts it comes from, and which of them is the spec."""

    title: str
    values: Collection[str]
    terms: Sequence[str]
    sources: Mapping[str, Source]
    own: str

    def lines(self, graph: Graph, node: Node) -> tuple[str, ...]:
        """The lines of the spec that a node comes from."""
        return lines(graph.pool.origins(node), self.sources, self.own)

    def hinted(self, hint: str) -> str:
        """The kind of a node that a hint names: a statistic of a parameter or an equation, else a value."""
        return "gradient" if hint not in self.values and _owner_of(hint) != hint else "value"


def sketch_nodes(graph: Graph, view: View) -> Sketch:
    """Every node, with the bodies of loops as boxes; the roots' names on their nodes."""
    drawer = _Nodes(graph, view)
    drawer.run(graph, (), "")
    return Sketch.of(view.title, f"{len(drawer.items)} nodes", drawer.items, drawer.links)


def sketch_statements(graph: Graph, view: View) -> Sketch:
    """One item for each named thing: what has no name of its own belongs to the first that is computed from it.

    Constants are left out; priors and initial values are part of their parameter.
    """
    names = _named(graph, view)
    owner, order = _owners(graph, names)
    of_box = boxes(_spec_name(name) for name, _ in names.values())
    size = graph.pool.size
    items: list[Item] = []
    for node, (name, kind) in names.items():
        roots = [root for root, n in graph.roots.items() if n is node]
        notes = view.lines(graph, node)
        told = [f"also {root}" for root in roots if root not in (name, f"value {name}")] if len(roots) > 1 else []
        text = typed(ordered(node), size, node.dtype)
        items.append(Item(_key(name, kind), _shown(name, view), kind, text, (*told, *notes), _box(name, kind, of_box)))
    links: list[Link] = []
    for node in order:
        if (to := owner.get(node)) is None:
            continue
        for x in node.inputs:
            known = owner.get(x)
            if known is not None and known is not to:
                links.append(Link(_key(*names[known]), _key(*names[to]), typed(ordered(x), size, x.dtype)))
    caption = f"{len(items)} statements and named values, made of {len(order)} nodes; constants are not drawn, "
    caption += "priors and initial values are part of their declaration"
    return Sketch.of(view.title, caption, items, links)


def ordered(node: Node) -> list[str]:
    """The axes of a node, the examples first."""
    return sorted(node.axes, key=lambda axis: (axis != BATCH, base(axis), axis))


def _key(name: str, kind: str) -> str:
    return f"{kind} {name}"


def _named(graph: Graph, view: View) -> dict[Node, tuple[str, str]]:
    """The nodes that are items, each with its name and kind: named leaves, roots, named cotangents."""
    found: dict[Node, tuple[str, str]] = {}
    hints = graph.pool.hints
    for node in graph.topological():
        if node.op in _LEAVES:
            found[node] = _leaf(node)
        elif node in hints and node.op not in ("const", "sample"):
            found[node] = (hints[node], view.hinted(hints[node]))
    taken = {_key(*named) for named in found.values()}
    for root, node in graph.roots.items():
        first = root.partition(" ")[0]
        if first in _OF_DECLARATION or node.op in _LEAVES or node.op == "const":
            continue
        if node not in found or found[node][1] == "gradient":
            name = (root.removeprefix("value "), _ROOTS.get(first, "value"))
            if _key(*name) not in taken:
                taken.add(_key(*name))
                found[node] = name
    return found


def _leaf(node: Node) -> tuple[str, str]:
    """Name and kind of a leaf that has a name."""
    kind, attribute = _LEAVES[node.op]
    name: str = node.attr(attribute)
    return (name.removeprefix(_LATENT), "latent") if name.startswith(_LATENT) else (name, kind)


def _owners(graph: Graph, names: Mapping[Node, object]) -> tuple[dict[Node, Node], list[Node]]:
    """Which item each node belongs to: of its users' items the one that is computed first.  Linear: users come later."""
    order = graph.topological()
    depth: dict[Node, int] = {}
    for node in order:
        depth[node] = 1 + max((depth[x] for x in node.inputs), default=0)
    place = {node: (depth[node], k) for k, node in enumerate(order)}
    owner: dict[Node, Node] = {}
    for node in reversed(order):
        if node in names:
            owner[node] = node
        to = owner.get(node)
        if to is None:
            continue
        for x in node.inputs:
            if x.op in ("const", "size") or x in names:
                continue
            known = owner.get(x)
            if known is None or place[to] < place[known]:
                owner[x] = to
    return owner, order


def _spec_name(name: str) -> str:
    """The name of the spec in a root's or a cotangent's."""
    name = name.rpartition(" ")[2]  # `next enc.W`, `latent z`
    return _owner_of(name)


def _owner_of(hint: str) -> str:
    """What a cotangent is of: ``W`` of ``grad_W``; any other name is its own."""
    return next((hint.removeprefix(f"{s}_") for s in _STATISTICS if hint.startswith(f"{s}_")), hint)


def _box(name: str, kind: str, of_box: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """The boxes of a name.  What learns an instance stands in boxes of its own: the way back passes the instances in the
    opposite order."""
    path = of_box(_spec_name(name))
    back = kind in ("gradient", "update") or (kind == "state" and "@" in name)
    return tuple(f"{box} learns" for box in path) if back else path


def _shown(root: str, view: View) -> str:
    """How a root is written in its shape."""
    first, _, rest = root.partition(" ")
    if first == "term" and rest.isdigit() and int(rest) < len(view.terms):
        return view.terms[int(rest)]
    if first in ("next", "update"):
        return f"{rest} <-"
    if first in ("metric", "measure"):
        return rest.partition("/")[0]
    return rest if first in ("value", "report") else root


class _Nodes:
    """Items and links of all nodes of a graph, and of the bodies of its loops."""

    def __init__(self, graph: Graph, view: View) -> None:
        self.items: list[Item] = []
        self.links: list[Link] = []
        self.view = view
        self.size = graph.pool.size

    def run(self, graph: Graph, box: tuple[str, ...], prefix: str) -> dict[Node, str]:
        """Draw one graph; returns the key of each node."""
        order = graph.topological()
        roots: dict[Node, list[str]] = {}
        for root, node in graph.roots.items():
            roots.setdefault(node, []).append(root)
        keys = {node: f"{prefix}%{k}" for k, node in enumerate(order)}
        for node in order:
            self._item(graph, node, keys[node], roots.get(node, []), box)
            if node.op == "scan":
                self._body(node, keys, (*box, f"loop {keys[node]} over {node.attr('axis')}"))
            else:
                self.links += [Link(keys[x], keys[node], self._type(x)) for x in node.inputs]
        return keys

    def _type(self, node: Node) -> str:
        return typed(ordered(node), self.size, node.dtype)

    def _item(self, graph: Graph, node: Node, key: str, roots: Sequence[str], box: tuple[str, ...]) -> None:
        name, kind = _look(graph, node, roots, self.view)
        notes = [f"{key} = {node.op}{_attributes(node)}", *roots]
        notes += self.view.lines(graph, node)
        self.items.append(Item(key, name, kind, self._type(node), tuple(notes), box))

    def _body(self, scan: Node, keys: Mapping[Node, str], box: tuple[str, ...]) -> None:
        """The body of a loop: its holes are linked with what they are bound to, its results with the loop."""
        body: Graph = scan.attr("body")
        inner = self.run(body, box, f"{keys[scan]}/")
        results = [*body.roots.values()]
        holes = {node.attr("name"): node for node in inner if node.op == "hole"}
        for kind, name, rest in bindings(scan):
            if name in holes:
                hole = holes[name]
                sources = [(inner[results[rest[0]]], results[rest[0]])] if kind in ("past", "at", "readers") else []
                sources += [(keys[scan.inputs[k]], scan.inputs[k]) for k in _inputs(kind, rest)]
                self.links += [Link(source, inner[hole], self._type(node)) for source, node in sources]
        self.links += [Link(inner[node], keys[scan], self._type(node)) for node in results]


def _inputs(kind: str, rest: Sequence[int]) -> Iterator[int]:
    """The inputs of the loop that a binding reads (see the row of `scan` in the table of ops)."""
    yield from rest[:1] if kind in ("const", "each") else rest[2:] if kind == "past" else rest[1:]


def _look(graph: Graph, node: Node, roots: Sequence[str], view: View) -> tuple[str, str]:
    """What is written in a node's shape, and its kind."""
    if node.op in _LEAVES:
        return _leaf(node)
    if node.op == "const":
        value = node.attr("value")
        return f"{value:.6g}" if isinstance(value, float) else str(value), "const"
    if node.op == "sample":
        return f"draw {node.attr('path')}", "sample"
    if node.op == "scan":
        return f"loop over {node.attr('axis')}", "loop"
    words = [root for root in roots if root.partition(" ")[0] not in _OF_DECLARATION]
    if words:
        return _shown(words[0], view), _ROOTS.get(words[0].partition(" ")[0], "value")
    hint = graph.pool.hints.get(node)
    if hint is not None:
        return hint, view.hinted(hint)
    return node.op, "op"


def _attributes(node: Node) -> str:
    shown = [f" {key}={_text(value)}" for key, value in node.attrs if not isinstance(value, Graph) and key != "bind"]
    return "".join(shown)


def _text(value: object) -> str:
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(str, cast("frozenset[object]", value)))) + "}"
    text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"
