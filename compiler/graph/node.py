"""Interned nodes, their pool, and graphs: the one data structure between the typed model and the plan.

A value's type is a *set* of axes and a dtype; no order exists before ``plan``.  Axes are written as index names:
``hid`` and ``hid'`` are two indices over one declared axis ``hid``; ``batch`` is the examples.

Nodes are frozen and interned on (op, inputs, attributes): equal sub-expressions are the same object.  Parameters,
states and random draws carry their path among the attributes, or two independent priors would merge.  Where a node
came from (its *origins*) is kept beside the nodes, never in their identity.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

from ..diagnostics import InternalError, Span

if TYPE_CHECKING:
    import networkx

    from .ops import Op

BATCH = "batch"

REPLICA = "@replica"
"""The axis that `seeds K` adds (no declared axis can have this name): one run a label, each with a seed of its own."""

Attrs = tuple[tuple[str, Hashable], ...]
"""Names and values of a node's attributes, by name."""

Size = int | str
"""A size: a whole number, or the name of the axis whose size is only known from the data (``batch``, ``t``)."""


def base(index: str) -> str:
    """The declared axis of an index: ``hid`` for ``hid'``."""
    return index.rstrip("'")


@dataclass(frozen=True, slots=True)
class Type:
    """What a value is: the indices it carries and its dtype (``real``, ``int`` or ``bool``)."""

    axes: frozenset[str]
    dtype: str = "real"

    def __str__(self) -> str:
        axes = sorted(self.axes - {BATCH})
        inner = ", ".join(([BATCH] if BATCH in self.axes else []) + axes)
        return f"{self.dtype}[{inner}]"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """One operation.  Compare by identity: the pool guarantees one object per meaning.

    ``results`` has more than one entry only for ops that own a body (``scan``); such results are read through the
    op ``result``; ``axes`` and ``dtype`` are those of the first.  ``digest`` is a hash of the whole sub-expression,
    equal in every process.
    """

    op: str
    inputs: tuple[Node, ...]
    attrs: Attrs
    results: tuple[Type, ...]
    digest: bytes = field(repr=False)
    axes: frozenset[str]
    dtype: str

    def __repr__(self) -> str:
        """One level: whole expressions grow exponentially when shared parts are written out."""
        return f"{self.op}({', '.join(x.op for x in self.inputs)}): {self.dtype}[{', '.join(sorted(self.axes))}]"

    @property
    def type(self) -> Type:
        return self.results[0]

    def attr(self, name: str) -> Any:
        """The attribute of that name.

        Raises:
            InternalError: the node has none.
        """
        for key, value in self.attrs:
            if key == name:
                return value
        raise InternalError(f"node `{self.op}` has no attribute `{name}`")


def leaves_of(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """All leaves of several axes, in order."""
    return tuple(leaf for group in groups for leaf in group)


class Pool:
    """Owns the nodes of one compilation: interning, origins and the sizes of the axes.

    ``axes`` maps every declared axis to its size; ``batch`` is always there.
    """

    def __init__(self, axes: Mapping[str, Size]) -> None:
        from .ops import OPS  # the table of ops imports the types above

        self.axes: dict[str, Size] = {BATCH: BATCH, **axes}
        self._ops = OPS
        self._nodes: dict[Hashable, Node] = {}
        self._heads: dict[
            Hashable, tuple[Attrs, bytes]
        ] = {}  # one object for equal attributes, and what hashes see of them
        self._types: dict[tuple[Type, ...], tuple[Type, ...]] = {}  # one object for equal types
        self._origins: dict[
            Node, frozenset[Span] | set[Span]
        ] = {}  # a set where it has grown: constants come from everywhere
        self._current: frozenset[Span] = frozenset()
        self.hints: dict[
            Node, str
        ] = {}  # what to call a node in emitted code; like origins, never part of its identity

        self.ranges: dict[str, tuple[float, float]] = {}  # where parameters lie, by path
        self.place = {axis: k for k, axis in enumerate(self.axes)}  # of each axis among those declared
        self.loops = False  # whether a scan was ever made
        self._notes: dict[str, dict[Node, Any]] = {}
        self._rewrites: list[Rewrite] | None = None

    @contextmanager
    def watched(self) -> Generator[list[Rewrite]]:
        """Every rewrite that ends inside, in order: what a fault is traced back by."""
        before, self._rewrites = self._rewrites, []
        try:
            yield self._rewrites
        finally:
            self._rewrites = before

    def rewrote(self, graph: Graph, new: Mapping[Node, Node]) -> None:
        """Tell whoever watches of a rewrite."""
        if self._rewrites is not None:
            self._rewrites.append(Rewrite(graph, new))

    def notes(self, kind: str) -> dict[Node, Any]:
        """What an analysis has found out about nodes.  Nodes never change, so it stays true."""
        return self._notes.setdefault(kind, {})

    def nodes(self) -> list[Node]:
        """Every node ever made here."""
        return list(self._nodes.values())

    def size(self, index: str) -> Size:
        """The size of an index's axis."""
        return self.axes[base(index)]

    @contextmanager
    def origin(self, spans: Iterable[Span]) -> Generator[None]:
        """Every node made inside gets these spans as origins (nested uses replace, they do not add)."""
        before, self._current = self._current, frozenset(spans)
        try:
            yield
        finally:
            self._current = before

    def each_origin(self, nodes: Iterable[Node]) -> Generator[tuple[Node, frozenset[Span]]]:
        """Go through nodes; while one is at hand, every node made gets its origins."""
        before = self._current
        try:
            for node in nodes:
                spans = self._origins.get(node, _NOWHERE)
                self._current = spans if isinstance(spans, frozenset) else frozenset(spans)
                yield node, self._current
        finally:
            self._current = before

    def origins(self, node: Node) -> frozenset[Span]:
        """The places in the spec that a node comes from."""
        return frozenset(self._origins.get(node, _NOWHERE))  # itself, if it is one

    def inherit(self, node: Node, source: Node) -> Node:
        """Add ``source``'s origins to ``node``'s, and its name if that has none: what every rewrite owes."""
        if node is source:
            return node
        self._add_origins(node, self.origins(source))
        if source in self.hints:
            self.hints.setdefault(node, self.hints[source])
        return node

    def adopt(self, graph: Graph) -> Graph:
        """The same graph in this pool, of the same nodes: a node knows no pool (a scan's body does, and is copied)."""
        other = graph.pool
        if other.loops:
            return copied(graph, self)
        for node in graph.topological():
            self._nodes[_key(node.op, node.inputs, node.attrs)] = node
            self._origins[node] = other.origins(node)
            if node in other.hints:
                self.hints[node] = other.hints[node]
        return Graph(self, graph.roots)

    def _add_origins(self, node: Node, more: frozenset[Span]) -> None:
        known = self._origins.get(node)
        if known is None:
            self._origins[node] = more
        elif isinstance(known, set):
            known |= more
        elif known is not more and not more <= known:
            self._origins[node] = {*known, *more}

    def node(self, op: str, *inputs: Node, **attrs: Hashable) -> Node:
        """The node with this meaning, made on first use.  Commutative ops sort their inputs by digest.

        Raises:
            InternalError: unknown op, or operands that the op's row refuses.
        """
        row = self._ops.get(op)
        if row is None:
            raise InternalError(f"unknown op `{op}`")
        if row.commutative and len(inputs) > 1:
            inputs = _sorted(inputs)
        items = tuple(attrs.items()) if len(attrs) < 2 else tuple(sorted(attrs.items()))
        key = _key(op, inputs, items)
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = self._made(row, op, inputs, items, attrs)
        self._add_origins(found, self._current)
        return found

    def _made(self, row: Op, op: str, inputs: tuple[Node, ...], items: Attrs, attrs: Mapping[str, Hashable]) -> Node:
        """A new node.  What equal nodes would repeat in memory (most sets of axes, most attributes) is one object."""
        types = row.infer(self, inputs, attrs)
        types = self._types.setdefault(types, types)
        items, head = self._head(op, items)
        digest = blake2b(head + b"".join([node.digest for node in inputs]), digest_size=16).digest()
        self.loops |= op == "scan"
        return Node(op, inputs, items, types, digest, types[0].axes, types[0].dtype)

    def _head(self, op: str, items: Attrs) -> tuple[Attrs, bytes]:
        """The attributes, and their share of the digest."""
        if op == "const":  # 1, 1.0 and True are equal, and three constants
            return items, _head(op, items)
        found = self._heads.get((op, items))
        if found is None:
            found = self._heads[op, items] = items, _head(op, items)
        return found


_BY_DIGEST = attrgetter("digest")


def _sorted(inputs: tuple[Node, ...]) -> tuple[Node, ...]:
    """Operands whose order has no meaning, in the one order that depends on themselves alone."""
    if len(inputs) == 2:
        one, other = inputs
        return inputs if one.digest <= other.digest else (other, one)
    return tuple(sorted(inputs, key=_BY_DIGEST))


_NOWHERE: frozenset[Span] = frozenset()


def _key(op: str, inputs: tuple[Node, ...], attrs: Attrs) -> Hashable:
    """What a node is interned on; 1, 1.0 and True are three constants."""
    return (op, type(attrs[0][1]), attrs) if op == "const" else (op, inputs, attrs)


def attributes(node: Node) -> dict[str, str]:
    """The attributes as texts, the same in every process."""
    return {key: _stable(value) for key, value in node.attrs}


def _head(op: str, attrs: Attrs) -> bytes:
    """What a digest is made of beside the inputs."""
    return (op + "".join([f"|{key}={_stable(value)}" for key, value in attrs])).encode()


def _stable(value: Any) -> str:
    """Text of an attribute that does not depend on the process (sets are sorted)."""
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(map(_stable, value))) + "}"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, tuple):
        return "(" + ",".join(map(_stable, value)) + ")"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, Graph):
        return "graph" + value.digest().hex()
    return f"{type(value).__name__}:{value!r}"


def below(roots: Iterable[Node], skip: Callable[[Node], bool] | None = None) -> list[Node]:
    """The roots and what they are computed from, inputs before users; what is skipped is not gone into either."""
    order: list[Node] = []
    seen: set[Node] = set()
    for root in roots:
        stack: list[Node | None] = [root]
        while stack:
            node = stack.pop()
            if node is None:  # the node below it on the stack is done
                order.append(cast("Node", stack.pop()))
            elif node not in seen and (skip is None or not skip(node)):
                seen.add(node)
                ahead = [i for i in node.inputs if i not in seen]
                if ahead:
                    stack += (node, None)
                    stack += reversed(ahead)
                else:
                    order.append(node)
    return order


def copied(graph: Graph, pool: Pool, attribute: Callable[[Node, str, Any], Hashable] | None = None) -> Graph:
    """The graph over nodes of another pool, with origins and names; ``attribute`` changes attributes on the way.

    A scan's body moves with it.
    """
    new: dict[Node, Node] = {}
    for node in graph.topological():
        attrs: dict[str, Hashable] = {}
        for key, value in node.attrs:
            if isinstance(value, Graph):
                attrs[key] = copied(value, pool, attribute)
            else:
                attrs[key] = attribute(node, key, value) if attribute is not None else value
        with pool.origin(graph.pool.origins(node)):
            new[node] = pool.node(node.op, *(new[i] for i in node.inputs), **attrs)
        if node in graph.pool.hints:
            pool.hints.setdefault(new[node], graph.pool.hints[node])
    return Graph(pool, {name: new[node] for name, node in graph.roots.items()})


def everywhere(graph: Graph) -> list[Node]:
    """All nodes of a graph, those of scans' bodies among them."""
    found = graph.topological()
    if not graph.pool.loops:
        return found
    return found + [inner for node in found if node.op == "scan" for inner in everywhere(node.attr("body"))]


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Named roots over a pool's nodes.  Root names are part of the meaning of a stage (``value h``, ``next W``)."""

    pool: Pool
    roots: dict[str, Node]

    def __eq__(self, other: object) -> bool:
        """Same roots over the same pool: a scan's body is an attribute, and equal scans must be one node."""
        return isinstance(other, Graph) and self.pool is other.pool and [*self.roots.items()] == [*other.roots.items()]

    def __hash__(self) -> int:
        return hash(tuple(self.roots.items()))

    def topological(self) -> list[Node]:
        """All reachable nodes, inputs before users, in an order that depends on the graph alone."""
        return self._order

    @cached_property
    def _order(self) -> list[Node]:
        return below(self.roots.values())

    def digest(self) -> bytes:
        """A hash of roots and everything below them."""
        h = blake2b(digest_size=16)
        for name, node in self.roots.items():
            h.update(name.encode() + b"=" + node.digest)
        return h.digest()

    def to_networkx(self) -> networkx.MultiDiGraph[int]:
        """The public view: nodes 0.. in topological order with op, axes, dtype, attrs, origins; edges: ``position``."""
        import networkx as nx  # half a second to import: only for those who ask

        order = self.topological()
        number = {node: k for k, node in enumerate(order)}
        view: networkx.MultiDiGraph[int] = nx.MultiDiGraph()
        for node, k in number.items():
            spans = sorted(self.pool.origins(node))
            view.add_node(
                k, op=node.op, axes=sorted(node.axes), dtype=node.dtype, attrs=dict(node.attrs), origins=spans
            )
            for position, source in enumerate(node.inputs):
                view.add_edge(number[source], k, position=position)
        view.graph["roots"] = {name: number[node] for name, node in self.roots.items()}
        return view

    def rewrite(self, visit: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
        """Rebuild bottom-up: ``visit(node, new_inputs)`` gives each node's replacement.

        The driver, not each rewrite, keeps the origins: whatever a rewrite makes or returns for a node inherits that
        node's origins.
        """
        new: dict[Node, Node] = {}
        pool = self.pool
        for node, _ in pool.each_origin(self.topological()):
            made = visit(node, tuple([new[i] for i in node.inputs]))
            new[node] = made if made is node else pool.inherit(made, node)
        pool.rewrote(self, new)
        return Graph(pool, {name: new[node] for name, node in self.roots.items()})

    def rebuild(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The node itself on new inputs: the default of a ``visit``."""
        return node if inputs == node.inputs else self.pool.node(node.op, *inputs, **dict(node.attrs))


@dataclass(frozen=True, eq=False, repr=False)
class Rewrite:
    """What a rewrite made of each node of a graph; each must mean what the node meant."""

    graph: Graph
    new: Mapping[Node, Node]
