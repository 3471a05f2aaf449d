"""The forms of an update in place: ``P <- c * P + sum of terms`` as a chain of in-place additions.

The new value is taken apart into terms, each a product of host numbers and factors, however sums and multiples nest in
it: ``W - lr * (G + W / N)`` is ``(1 - lr / N) * W - lr * G``.  A matrix product among the terms goes straight into the
accumulation (``addmm_``, ``baddbmm_``), a product or quotient of two tensors through ``addcmul_`` or ``addcdiv_``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..graph.node import Node
from .contract import MatMul, product
from .elementwise import signed_sum
from .routine import Block, RoutineBuilder
from .tree import Code, Lit, Method, Neg
from .value import Val, align


@dataclass(frozen=True, slots=True)
class Term:
    """``scale * factors``: host numbers, and nodes whose product it is."""

    scale: tuple[Node, ...]
    factors: tuple[Node, ...]


class Accumulation:
    """One update ``leaf <- block.node``; ``touched`` says which leaves the values of nodes may lie in."""

    def __init__(
        self, builder: RoutineBuilder, block: Block, leaf: Node, touched: Callable[[Iterable[Node]], set[Node]]
    ) -> None:
        self.builder = builder
        self.node = block.node
        self.inside = set(block.nested)
        self.leaf = leaf
        self.target = builder.values[leaf]
        self.touched = touched
        self.block = block
        self._local: dict[Node, Val] = {}

    def emit(self) -> bool:
        """Emit the update as in-place additions; False when the value is not of that form."""
        terms = self._terms()
        own = [t for t in terms if t.factors == (self.leaf,)]
        others = [t for t in terms if t.factors != (self.leaf,)]
        if not own or any(self.leaf in self.touched(self._cone(t)) for t in others):
            return False
        for node in self.block.nested[:-1]:
            self._local[node] = self.builder.lowering.node(node, [self.value(i) for i in node.inputs])
        keep = self._keep(own)
        products = [(t, self._matrix(t)) for t in others]
        code = self.target.code
        matrices = [(t, m) for t, m in products if m is not None]
        if keep is not None and not matrices:
            code = Method(code, "mul_", (keep,))
        for k, (term, matrix) in enumerate(matrices):
            named = (("beta", keep),) if keep is not None and k == 0 else ()
            named += (("alpha", self._scale(term)),) if term.scale else ()
            code = Method(code, "baddbmm_" if matrix.both else "addmm_", (matrix.left, matrix.right), named)
            self.builder.mark(code, term.factors[0])
        for term, matrix in products:
            code = self._add(code, term) if matrix is None else code
        if code is not self.target.code:
            self.builder.do(code, self.node)
        return True

    def value(self, node: Node) -> Val:
        """The value of a nested node, or of one computed before."""
        return self._local.get(node) or self.builder.value(node)

    # ------------------------------------------------------------ taking apart

    def _terms(self) -> list[Term]:
        """The linear combination that the node is, through nested sums and multiples of sums."""
        terms: list[Term] = []
        stack: list[tuple[tuple[Node, ...], Node]] = [((), self.node)]
        while stack:
            scale, node = stack.pop()
            if node.op == "add" and node in self.inside and node.dtype == "real":
                stack.extend((scale, i) for i in reversed(node.inputs))
            elif node.op == "contract" and not node.attr("sum") and node in self.inside:
                hosts = tuple(i for i in node.inputs if self.builder.host(i))
                rest = tuple(i for i in node.inputs if not self.builder.host(i))
                if len(rest) == 1:
                    stack.append(((*scale, *hosts), rest[0]))
                else:
                    terms.append(Term((*scale, *hosts), rest))
            else:
                terms.append(Term(scale, (node,)))
        return terms

    def _cone(self, term: Term) -> set[Node]:
        """Everything read for a term, as far as it is nested in this statement."""
        found: set[Node] = set(term.factors)
        stack = list(term.factors)
        while stack:
            node = stack.pop()
            if node in self.inside:
                found.update(node.inputs)
                stack.extend(node.inputs)
        return found

    def _scale(self, term: Term) -> Code:
        return product([self.value(n).code for n in term.scale])

    def _keep(self, own: list[Term]) -> Code | None:
        """What the old value is multiplied by; None for 1."""
        if len(own) == 1 and not own[0].scale:
            return None
        return signed_sum([self._scale(t) for t in own])

    # ------------------------------------------------------------ one term

    def _matrix(self, term: Term) -> MatMul | None:
        """The term as a matrix product in the target's layout, if it is one."""
        if len(term.factors) != 1:
            return None
        factor = term.factors[0]
        if factor not in self.inside or factor.op != "contract":
            return None
        found = self.builder.lowering.matmul(factor, [self.value(i) for i in factor.inputs])
        return found if found is not None and (*found.both, *found.rows, *found.columns) == self.target.axes else None

    def _add(self, code: Code, term: Term) -> Code:
        """One in-place addition with a host factor."""
        scale = self._scale(term) if term.scale else None
        values = [self.value(f) for f in term.factors]
        if len(values) == 2 and all(v.dtype == "real" and not v.host for v in values):
            return self._pair(code, term.factors, values, scale)
        axes = self.builder.lowering.layout.order({a for v in values for a in v.axes})
        whole = product([align(v, axes) for v in sorted(values, key=lambda v: len(v.axes))])
        value = Val(whole, axes, "real", all(v.host for v in values))
        added = value.code if value.host else align(value, self.target.axes)
        if isinstance(scale, Neg) and scale.operand == Lit(1):
            return Method(code, "sub_", (added,))
        return Method(code, "add_", (added,), (("alpha", scale),) if scale is not None else ())

    def _pair(self, code: Code, factors: tuple[Node, ...], values: list[Val], scale: Code | None) -> Code:
        """``addcdiv_`` where one factor is a reciprocal, else ``addcmul_``."""
        named = (("value", scale),) if scale is not None else ()
        for under, over in ((0, 1), (1, 0)):
            if factors[under].op == "recip" and factors[under] in self.inside:
                divisor = self.value(factors[under].inputs[0])
                if divisor.host or divisor.dtype != "real":
                    break
                return Method(
                    code, "addcdiv_", (align(values[over], self.target.axes), align(divisor, self.target.axes)), named
                )
        return Method(code, "addcmul_", (align(values[0], self.target.axes), align(values[1], self.target.axes)), named)


def scaled_in_place(builder: RoutineBuilder, block: Block, leaf: Node, local: Mapping[Node, Val]) -> Code | None:
    """``P <- P * x * ..`` as ``mul_``: the factor is complete before P changes, so it may read P."""
    node = block.node
    if node.op != "contract" or node.attr("sum") or node.inputs.count(leaf) != 1:
        return None
    rest = [local.get(i) or builder.value(i) for i in node.inputs if i is not leaf]
    axes = builder.lowering.layout.order(node.axes)
    factor = product([v.code if v.host else align(v, axes) for v in sorted(rest, key=lambda v: not v.host)])
    return Method(builder.values[leaf].code, "mul_", (factor,))
