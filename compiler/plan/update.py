"""Updates in place: ``W <- W - lr * grad`` without a second copy of W.

Each ``next P`` root is written into P's own memory as soon as nobody needs the old value.  A sum with P among its terms
becomes a chain of in-place additions (``accumulate.py``).  Where the old value is needed after the new one (a circle
of updates), the new value waits in a temporary and is copied at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush

from ..graph.node import Node
from .accumulate import Accumulation, scaled_in_place
from .routine import Block, RoutineBuilder
from .tree import Call, Lit, Method, Var
from .value import Val, align

VIEWS = frozenset({"rename", "gather", "stop", "real"})
"""Ops whose tensor may be a view of their operand's (a gather only at a host number)."""


@dataclass
class Updates:
    """Schedules and emits the statements of a step.

    ``writes`` maps each root node to the leaf (parameter or state) that it replaces; ``copies`` are further leaves (the
    second of each pair) that take the value of such a root, or the old value of a leaf.  ``guards`` are scalars that
    must be finite before anything is written, with what each is called.
    """

    builder: RoutineBuilder
    writes: Mapping[Node, Node]
    copies: Sequence[tuple[Node, Node]] = ()
    guards: Mapping[Node, str] = field(default_factory=dict[Node, str])
    _late: list[tuple[Node, Val, Node]] = field(default_factory=list[tuple[Node, Val, Node]])
    _views: dict[Node, frozenset[Node]] = field(default_factory=dict[Node, frozenset[Node]])

    def run(self) -> None:
        """Emit all blocks: computations, updates in place as early as allowed, late copies last."""
        in_place = {leaf: root for root, leaf in self.writes.items() if root not in self.guards}
        self._views = self._viewed()
        old = {node: self._own(node, self.builder.values[node]) for node, _ in self.copies if node not in self.writes}
        for node in self._order(in_place):
            block = self.builder.blocks[node]
            leaf = self.writes.get(node)
            if leaf is None:
                value = self.builder.assign(block)
                if node in self.guards:
                    self.builder.do(Call("rt.check_finite", (value.code, Lit(self.guards[node]))), node)
            elif in_place.get(leaf) is not node:
                self._late.append((node, self._own(node, self.builder.compute(block)), leaf))
            elif node.dtype == "real" and node.axes == frozenset(self.builder.values[leaf].axes):
                self._update(block, leaf)
                self.builder.values[node] = self.builder.values[leaf]
            else:  # whoever else reads the new value wants it as it is, not in the shape of the leaf
                self._write(node, self.builder.assign(block), leaf)
        self._late += [(node, old.get(node) or self.builder.value(node), leaf) for node, leaf in self.copies]
        for node, value, leaf in self._late:
            self._write(node, value, leaf)

    def _write(self, node: Node, value: Val, leaf: Node) -> None:
        target = self.builder.values[leaf]
        name = "fill_" if value.host else "copy_"
        self.builder.do(Method(target.code, name, (align(value, target.axes),)), node)

    def _own(self, node: Node, value: Val) -> Val:
        """A local with the value of a node, in memory of its own where the value views a leaf that may be written."""
        if node in self._views:
            value = replace(value, code=Method(value.code, "clone"))
        if node in self.builder.blocks:
            return self.builder.bind(node, value)
        name = self.builder.fresh("old")
        self.builder.emit(name, value.code, node)
        return replace(value, code=Var(name))

    def _viewed(self) -> dict[Node, frozenset[Node]]:
        """The leaves in whose memory the value of a node may lie."""
        found = {leaf: frozenset({leaf}) for leaf in self.builder.values}
        for node in self.builder.order:
            view = node.op in VIEWS and (node.op != "gather" or self.builder.host(node.inputs[1]))
            if view and node.inputs[0] in found:
                found[node] = found[node.inputs[0]]
        return found

    def _touched(self, nodes: Iterable[Node]) -> set[Node]:
        """The nodes, and the leaves that they are views of."""
        return {x for node in nodes for x in (node, *self._views.get(node, ()))}

    def _order(self, in_place: dict[Node, Node]) -> list[Node]:
        """Statement order: what the guards need, then graph order, except that a write waits for the guards and for every
        other reader of the old value.

        A write that a reader of the old value depends on cannot be in place; it is taken out of ``in_place``.
        """
        blocks = self.builder.blocks
        first = self._guarded()
        nodes = sorted((n for n in self.builder.order if n in blocks), key=lambda n: n not in first)
        while True:
            order = self._sorted(nodes, in_place)
            if len(order) == len(nodes):
                return order
            done = set(order)
            stuck = next(n for n in nodes if n not in done and in_place.get(self.writes.get(n, n)) is n)
            del in_place[self.writes[stuck]]

    def _guarded(self) -> set[Node]:
        """The guards and every statement that they need: they come first."""
        blocks = self.builder.blocks
        found: set[Node] = set()
        stack = [guard for guard in self.guards if guard in blocks]
        while stack:
            node = stack.pop()
            if node not in found:
                found.add(node)
                stack += blocks[node].reads & blocks.keys()
        return found

    def _sorted(self, nodes: list[Node], in_place: dict[Node, Node]) -> list[Node]:
        """Kahn's algorithm, graph order first; shorter than ``nodes`` when there is a circle."""
        blocks = self.builder.blocks
        position = {n: k for k, n in enumerate(nodes)}
        after: dict[Node, list[Node]] = {n: [] for n in nodes}
        waiting = dict.fromkeys(nodes, 0)
        for node in nodes:
            for read in blocks[node].reads & position.keys():
                after[read].append(node)
                waiting[node] += 1
            for read in self._touched(blocks[node].reads):
                writer = in_place.get(read)
                if writer is not None and writer is not node:
                    after[node].append(writer)
                    waiting[writer] += 1
        for guard in [g for g in self.guards if g in position]:
            for writer in in_place.values():
                after[guard].append(writer)
                waiting[writer] += 1
        ready = [position[n] for n in nodes if not waiting[n]]
        heapify(ready)
        order: list[Node] = []
        while ready:
            node = nodes[heappop(ready)]
            order.append(node)
            for later in after[node]:
                waiting[later] -= 1
                if not waiting[later]:
                    heappush(ready, position[later])
        return order

    # ------------------------------------------------------------ one update

    def _update(self, block: Block, leaf: Node) -> None:
        """The best in-place form of ``leaf <- block.node``."""
        node = block.node
        if node.op in ("add", "contract") and Accumulation(self.builder, block, leaf, self._touched).emit():
            return
        scaled = scaled_in_place(self.builder, block, leaf, self._local(block))
        if scaled is not None:
            self.builder.do(scaled, node)
        else:
            self._write(node, self.builder.compute(block), leaf)

    def _local(self, block: Block) -> dict[Node, Val]:
        """Values of everything nested below the block's node."""
        local: dict[Node, Val] = {}
        for node in block.nested[:-1]:
            inputs = [local.get(i) or self.builder.value(i) for i in node.inputs]
            local[node] = self.builder.lowering.node(node, inputs)
        return local
