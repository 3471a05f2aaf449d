"""Updates in place: ``W <- W - lr * grad`` without a second copy of W.

Each ``next P`` root is written into P's own memory as soon as nobody needs the old value.  A sum with P among its terms
becomes a chain of in-place additions; a matrix product among the terms goes straight into the accumulation
(``addmm_``), so that its gradient never exists as a tensor.  Where the old value is needed after the new one (a circle
of updates), the new value waits in a temporary and is copied at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush

from ..graph.node import Node
from .contract import MatMul, product
from .routine import Block, RoutineBuilder
from .tree import Code, Lit, Method, Neg, Statement, Var
from .value import Val, align

VIEWS = frozenset({"rename", "gather", "stop", "real"})
"""Ops whose tensor may be a view of their operand's (a gather only at a host number)."""


@dataclass
class Updates:
    """Schedules and emits the statements of a step.

    ``writes`` maps each root node to the leaf (parameter or state) that it replaces; ``copies`` are further leaves (the
    second of each pair) that take the value of such a root, or the old value of a leaf.
    """

    builder: RoutineBuilder
    writes: Mapping[Node, Node]
    copies: Sequence[tuple[Node, Node]] = ()
    _late: list[tuple[Node, Val, Node]] = field(default_factory=list[tuple[Node, Val, Node]])
    _views: dict[Node, frozenset[Node]] = field(default_factory=dict[Node, frozenset[Node]])

    def run(self) -> None:
        """Emit all blocks: computations, updates in place as early as allowed, late copies last."""
        in_place = {leaf: root for root, leaf in self.writes.items()}
        self._views = self._viewed()
        old = {node: self._own(node, self.builder.values[node]) for node, _ in self.copies if node not in self.writes}
        for node in self._order(in_place):
            block = self.builder.blocks[node]
            leaf = self.writes.get(node)
            if leaf is None:
                self.builder.assign(block)
            elif in_place.get(leaf) is not node:
                self._late.append((node, self._own(node, self.builder.compute(block)), leaf))
            elif node.dtype == "real" and node.axes == set(self.builder.values[leaf].axes):
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
        self.builder.statements.append(Statement(name, value.code, *self.builder.places(node)))
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
        """Statement order: graph order, except that a write waits for every other reader of the old value.

        A write that a reader of the old value depends on cannot be in place; it is taken out of ``in_place``.
        """
        blocks = self.builder.blocks
        nodes = [n for n in self.builder.order if n in blocks]
        while True:
            order = self._sorted(nodes, in_place)
            if len(order) == len(nodes):
                return order
            done = set(order)
            stuck = next(n for n in nodes if n not in done and in_place.get(self.writes.get(n, n)) is n)
            del in_place[self.writes[stuck]]

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
        target = self.builder.values[leaf]
        node = block.node
        if node.op == "add" and self._accumulate(block, leaf, target):
            return
        if node.op == "contract" and not node.attr("sum") and self._scale(block, leaf, target):
            return
        self._write(node, self.builder.compute(block), leaf)

    def _local(self, block: Block) -> dict[Node, Val]:
        """Values of everything nested below the block's node."""
        local: dict[Node, Val] = {}
        for node in block.nested[:-1]:
            local[node] = self.builder.lowering.node(node, [self._val(i, local) for i in node.inputs])
        return local

    def _val(self, node: Node, local: Mapping[Node, Val]) -> Val:
        return local.get(node) or self.builder.value(node)

    def _scale(self, block: Block, leaf: Node, target: Val) -> bool:
        """``P <- P * x * ..``; the factor is complete before P changes, so it may read P."""
        if block.node.inputs.count(leaf) != 1:
            return False
        local = self._local(block)
        rest = [self._val(i, local) for i in block.node.inputs if i is not leaf]
        axes = self.builder.lowering.layout.order(block.node.axes)
        factor = product([align(v, axes) if not v.host else v.code for v in sorted(rest, key=lambda v: not v.host)])
        self.builder.do(Method(target.code, "mul_", (factor,)), block.node)
        return True

    def _accumulate(self, block: Block, leaf: Node, target: Val) -> bool:
        """``P <- c * P + sum of terms``, each term its own in-place addition."""
        inside = set(block.nested)
        own = [t for t in block.node.inputs if t is leaf or (t in inside and _multiple_of(t, leaf, self.builder))]
        others = [t for t in block.node.inputs if t not in own]
        if len(own) != 1 or any(leaf in self._touched(_cone_reads(t, inside)) for t in others):
            return False
        local = self._local(block)
        keep = [] if own[0] is leaf else [self._val(i, local) for i in own[0].inputs if i is not leaf]
        factor = product([v.code for v in keep]) if keep else None
        matrices: list[tuple[MatMul, Code | None]] = []
        rest: list[Node] = []
        for term in others:
            found = self._matrix_term(term, local, target, inside)
            matrices.append(found) if found else rest.append(term)
        self._emit(block, target, factor, matrices, [(t, local) for t in rest])
        return True

    def _matrix_term(
        self, term: Node, local: Mapping[Node, Val], target: Val, inside: set[Node]
    ) -> tuple[MatMul, Code | None] | None:
        """A term that is (a multiple of) one matrix product in the target's layout."""
        if term not in inside or term.op != "contract":
            return None
        scale: list[Val] = []
        inner = term
        if not term.attr("sum"):
            tensors = [i for i in term.inputs if not self._val(i, local).host]
            if len(tensors) != 1 or tensors[0] not in inside or tensors[0].op != "contract":
                return None
            scale = [self._val(i, local) for i in term.inputs if i is not tensors[0]]
            inner = tensors[0]
        operands = self.builder.lowering._operands(inner, [self._val(i, local) for i in inner.inputs])  # pyright: ignore[reportPrivateUsage]
        found = self.builder.lowering.contractions.matmul(inner, operands)
        if found is None or (*found.rows, *found.columns) != target.axes:
            return None
        return found, product([v.code for v in scale]) if scale else None

    def _emit(
        self,
        block: Block,
        target: Val,
        factor: Code | None,
        matrices: list[tuple[MatMul, Code | None]],
        rest: list[tuple[Node, Mapping[Node, Val]]],
    ) -> None:
        code = target.code
        if factor is not None and not matrices:
            code = Method(code, "mul_", (factor,))
        for k, (matrix, scale) in enumerate(matrices):
            named = (("beta", factor),) if factor is not None and k == 0 else ()
            named += (("alpha", scale),) if scale is not None else ()
            code = Method(code, "addmm_", (matrix.left, matrix.right), named)
        for term, local in rest:
            code = self._add(code, term, local, target)
        if code is not target.code:
            self.builder.do(code, block.node)

    def _add(self, code: Code, term: Node, local: Mapping[Node, Val], target: Val) -> Code:
        """One in-place addition: ``add_``, ``addcmul_`` or ``addcdiv_`` with a host factor."""
        layout = self.builder.lowering.layout
        if term in local and term.op == "contract" and not term.attr("sum"):
            values = [(i, self._val(i, local)) for i in term.inputs]
            hosts = [v for _, v in values if v.host]
            tensors = [(i, v) for i, v in values if not v.host]
            scale = product([h.code for h in hosts]) if hosts else None
            if len(tensors) == 2 and all(v.dtype == "real" for _, v in tensors):
                (i, a), (j, b) = tensors
                for under, over in (((i, a), b), ((j, b), a)):
                    if under[0].op == "recip" and under[0] in local:
                        divisor = self._val(under[0].inputs[0], local)
                        return self._fused(code, "addcdiv_", over, divisor, scale, target)
                return self._fused(code, "addcmul_", a, b, scale, target)
            if len(tensors) == 1:
                i, a = tensors[0]
                if i.op == "pow" and i in local and i.inputs[1].op == "const" and i.inputs[1].attr("value") == 2:
                    root = self._val(i.inputs[0], local)
                    return self._fused(code, "addcmul_", root, root, scale, target)
                return self._plain(code, align(a, target.axes), scale)
        value = self._val(term, local)
        return self._plain(code, value.code if value.host else align(value, layout.order(target.axes)), None)

    def _fused(self, code: Code, name: str, a: Val, b: Val, scale: Code | None, target: Val) -> Code:
        named = (("value", scale),) if scale is not None else ()
        return Method(code, name, (align(a, target.axes), align(b, target.axes)), named)

    def _plain(self, code: Code, value: Code, scale: Code | None) -> Code:
        if isinstance(scale, Neg) and scale.operand == Lit(1):
            return Method(code, "sub_", (value,))
        return Method(code, "add_", (value,), (("alpha", scale),) if scale is not None else ())


def _cone_reads(node: Node, inside: set[Node]) -> set[Node]:
    """Everything read from below a node, itself included, as far as it is nested in the same statement."""
    found: set[Node] = {node}
    stack = [node]
    while stack:
        current = stack.pop()
        if current in inside:
            found.update(current.inputs)
            stack.extend(current.inputs)
    return found


def _multiple_of(term: Node, leaf: Node, builder: RoutineBuilder) -> bool:
    """Is the term ``c * leaf`` with host factors only?"""
    if term.op != "contract" or term.attr("sum") or term.inputs.count(leaf) != 1:
        return False
    return all(i is leaf or builder.host(i) for i in term.inputs)
