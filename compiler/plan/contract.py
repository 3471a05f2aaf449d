"""Contractions in torch operations: one matrix product where the indices allow it, else batched, else elementwise.

For two factors with sum S the indices fall into four groups: *both* (in both factors, kept), *inner* (in both, summed),
*rows* (left only) and *columns* (right only).  Empty ``both`` is one matrix product; other cases are batched products
or, without ``rows`` and ``columns``, elementwise products that are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..graph.node import Node, Pool
from .layout import Layout
from .sizes import count, size
from .tree import Bin, Call, Code, Field, Lit, Method, Neg, Row
from .value import Val, align, reorder


@dataclass(frozen=True, slots=True)
class MatMul:
    """A product of two matrices, or of a batch of them (``both`` not empty), with axes both + rows + columns; kept apart
    so that additions can absorb it."""

    left: Code
    right: Code
    both: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]


class Contractions:
    """Lowers ``contract`` nodes of one routine."""

    def __init__(self, pool: Pool, layout: Layout) -> None:
        self.pool = pool
        self.layout = layout

    def lower(self, node: Node, factors: Sequence[Val]) -> Val:
        """The product of ``factors`` (tensors first cast as needed), summed over the node's indices."""
        sums: frozenset[str] = node.attr("sum")
        hosts = [f for f in factors if f.host]
        tensors = [f for f in factors if not f.host]
        if not tensors:
            return Val(product([f.code for f in hosts]), (), node.dtype, host=True)
        if not sums:
            return self._elementwise(tensors, hosts, node)
        whole = self._tensors(tensors, sums, node)
        return scaled(hosts, whole)

    def matmul(self, node: Node, factors: Sequence[Val]) -> MatMul | None:
        """The matrix product that a node is, if it is one (no scalar factors; both, rows and columns single)."""
        sums: frozenset[str] = node.attr("sum")
        tensors = [f for f in factors if not f.host]
        if len(tensors) != 2 or len(factors) != 2 or not sums:
            return None
        left, right = self._sides(tensors[0], tensors[1], sums)
        both, inner, rows, columns = _groups(left, right, sums)
        if len(both) > 1 or not inner or len(rows) != 1 or len(columns) != 1 or frozenset(inner) != sums:
            return None
        if both:
            stacks = self._stack(left, both, rows, inner), self._stack(right, both, inner, columns)
            return MatMul(*stacks, both, rows, columns)
        return MatMul(self._matrix(left, rows, inner), self._matrix(right, inner, columns), (), rows, columns)

    # ------------------------------------------------------------ without sums

    def _elementwise(self, tensors: list[Val], hosts: list[Val], node: Node) -> Val:
        """Plain product, small factors first so that broadcasting happens once; one divisor becomes a division."""
        axes = self.layout.order(node.axes)
        ordered = sorted(tensors, key=lambda v: len(v.axes))
        codes = [align(v, axes) for v in ordered]
        return scaled(hosts, Val(product(codes), axes, node.dtype))

    # ------------------------------------------------------------ with sums

    def _tensors(self, tensors: list[Val], sums: frozenset[str], node: Node) -> Val:
        if len(tensors) == 1:
            return self.sum(tensors[0], sums)
        if len(tensors) == 2:
            return self._pair(tensors[0], tensors[1], sums)
        return self._einsum(tensors, node)

    def sum(self, value: Val, sums: frozenset[str]) -> Val:
        """Sum a value over some of its axes."""
        over = [k for k, a in enumerate(value.axes) if a in sums]
        rest = tuple(a for a in value.axes if a not in sums)
        if not over:
            return value
        if not rest:
            return Val(Method(value.code, "sum"), (), value.dtype)
        dims: Code = Lit(over[0]) if len(over) == 1 else Row(tuple(Lit(k) for k in over))
        return Val(Method(value.code, "sum", (dims,)), rest, value.dtype)

    def _sides(self, a: Val, b: Val, sums: frozenset[str]) -> tuple[Val, Val]:
        """Sum what only one factor carries; then the factor whose kept axes come first goes left."""
        a, b = self.sum(a, sums - set(b.axes)), self.sum(b, sums - set(a.axes))
        mine = [x for x in a.axes if x not in b.axes]
        yours = [x for x in b.axes if x not in a.axes]
        if mine and yours and self.layout.order([*mine, *yours])[0] in yours:
            a, b = b, a
        return a, b

    def _pair(self, a: Val, b: Val, sums: frozenset[str]) -> Val:
        a, b = self._sides(a, b, sums)
        both, inner, rows, columns = _groups(a, b, sums)
        if not inner or (both and not (rows and columns)):
            axes = self.layout.order({*a.axes, *b.axes})
            small, large = sorted((a, b), key=lambda v: len(v.axes))
            whole = Val(Bin("*", align(small, axes), align(large, axes)), axes, "real")
            return self.sum(whole, sums)
        if both:
            return self._batched(a, b, (both, inner, rows, columns))
        return self._matrices(a, b, inner, rows, columns)

    def _matrices(self, a: Val, b: Val, inner: tuple[str, ...], rows: tuple[str, ...], columns: tuple[str, ...]) -> Val:
        """One product of two matrices (vectors where a side has no axes of its own)."""
        left = self._matrix(a, rows, inner) if rows else self._matrix(a, (), inner)
        right = self._matrix(b, inner, columns)
        whole = Val(Bin("@", left, right), (*rows, *columns), "real")
        if len(rows) > 1 or len(columns) > 1:
            shape = tuple(size(self.pool, x) for x in (*rows, *columns))
            whole = Val(Method(whole.code, "reshape", shape), whole.axes, "real")
        return reorder(whole, self.layout.order(whole.axes))

    def _matrix(self, value: Val, first: tuple[str, ...], second: tuple[str, ...]) -> Code:
        """The value as a matrix [first, second]; each group merged into one dimension, a missing group into none."""
        groups = [g for g in (first, second) if g]
        if value.axes == (*second, *first) and len(groups) == 2:
            return Field(self._merged(value, [second, first]), "T")
        return self._merged(reorder(value, (*first, *second)), groups)

    def _merged(self, value: Val, groups: list[tuple[str, ...]]) -> Code:
        if all(len(g) == 1 for g in groups):
            return value.code
        return Method(value.code, "reshape", tuple(count(self.pool, g) for g in groups))

    def _batched(self, a: Val, b: Val, groups: tuple[tuple[str, ...], ...]) -> Val:
        both, inner, rows, columns = groups
        left = self._stack(a, both, rows, inner)
        right = self._stack(b, both, inner, columns)
        whole = Val(Call("torch.bmm", (left, right)), (*both, *rows, *columns), "real")
        if any(len(g) > 1 for g in (both, rows, columns)):
            shape = tuple(size(self.pool, x) for x in whole.axes)
            whole = Val(Method(whole.code, "reshape", shape), whole.axes, "real")
        return reorder(whole, self.layout.order(whole.axes))

    def _stack(self, value: Val, both: tuple[str, ...], first: tuple[str, ...], second: tuple[str, ...]) -> Code:
        """The value as [both, first, second], groups merged."""
        groups = [both, first, second]
        ordered = reorder(value, (*both, *first, *second))
        if all(len(g) == 1 for g in groups):
            return ordered.code
        return Method(ordered.code, "reshape", tuple(count(self.pool, g) for g in groups))

    def _einsum(self, tensors: list[Val], node: Node) -> Val:
        """What the passes left with three or more factors."""
        names = sorted({a for v in tensors for a in v.axes})
        letter = {a: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[k] for k, a in enumerate(names)}
        out = self.layout.order(node.axes & set(names))
        spec = ",".join("".join(letter[a] for a in v.axes) for v in tensors) + "->" + "".join(letter[a] for a in out)
        return Val(Call("torch.einsum", (Lit(spec), *(v.code for v in tensors))), out, "real")


def _groups(a: Val, b: Val, sums: frozenset[str]) -> tuple[tuple[str, ...], ...]:
    shared = [x for x in a.axes if x in b.axes]
    both = tuple(x for x in shared if x not in sums)
    inner = tuple(x for x in shared if x in sums)
    return both, inner, tuple(x for x in a.axes if x not in b.axes), tuple(x for x in b.axes if x not in a.axes)


def product(codes: Sequence[Code]) -> Code:
    """A printed product; a leading -1 becomes a sign, ``1 / x`` factors become divisions."""
    negative = False
    over: list[Code] = []
    under: list[Code] = []
    for code in codes:
        if isinstance(code, Lit) and code.value == -1 and not isinstance(code.value, bool):
            negative = not negative
        elif isinstance(code, Bin) and code.op == "/" and code.left == Lit(1):
            under.append(code.right)
        else:
            over.append(code)
    result: Code = over[0] if over else Lit(1)
    for code in over[1:]:
        result = Bin("*", result, code)
    for code in under:
        result = Bin("/", result, code)
    return Neg(result) if negative else result


def scaled(hosts: Sequence[Val], value: Val) -> Val:
    """A tensor times host numbers."""
    if not hosts:
        return value
    factor = product([h.code for h in hosts])
    if isinstance(factor, Neg) and factor.operand == Lit(1):
        code: Code = Neg(value.code)
    elif isinstance(factor, Bin) and factor.op == "/" and factor.left == Lit(1):
        code = Bin("/", value.code, factor.right)
    else:
        code = Bin("*", factor, value.code)
    return Val(code, value.axes, value.dtype)
