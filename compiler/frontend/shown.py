"""Which indices an expression *shows*, by its text alone: what decides where a product sums (language, 4.1).

An index bound by a reduction inside is not shown (softmax and its kin bind it but still carry it).  Labels written as
plain numbers do not carry an index; inside an index position they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import nodes as syntax
from .operations import MIN_MAX, OPERATIONS, Operation
from .scope import Scope, Unresolvable

if TYPE_CHECKING:
    from .externs import Binder

EMPTY: frozenset[str] = frozenset()


def operation_of(call: syntax.Call) -> Operation | None:
    """The table row a call means, if any (``min``/``max`` by their number of arguments)."""
    if call.name in MIN_MAX:
        return MIN_MAX[call.name].get(len(call.args))
    return OPERATIONS.get(call.name)


class Shown:
    """Shown indices of expressions, remembered per node: products ask at every level of nesting."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.externs: Binder | None = None
        self.left: tuple[str, ...] = ()
        """The axes of the left side of the equation at hand."""
        self._memo: dict[int, tuple[syntax.Expr, frozenset[str]]] = {}

    def __call__(self, e: syntax.Expr) -> frozenset[str]:
        """The leaf indices that ``e`` shows; unresolvable parts show nothing (reported when elaborated)."""
        key = id(e)
        if key not in self._memo:
            self._memo[key] = (e, self._of(e))  # the node is kept so that its id stays its own
        return self._memo[key][1]

    def _of(self, e: syntax.Expr) -> frozenset[str]:
        match e:
            case syntax.Name():
                tensor = self.scope.tensors.get(e.name)
                return frozenset(tensor.leaves) if tensor else EMPTY
            case syntax.Index():
                return self._index(e)
            case syntax.Unary():
                return self(e.operand)
            case syntax.Binary():
                return self._binary(e)
            case syntax.Compare():
                return EMPTY.union(*map(self, e.operands))
            case syntax.Call():
                return self._call(e)
            case syntax.Pipe():
                return self(e.value)
            case _:
                return EMPTY

    def _binary(self, e: syntax.Binary) -> frozenset[str]:
        shown, node = EMPTY, e
        while True:  # long sums and products lean to the left
            shown |= self(node.right)
            if not isinstance(node.left, syntax.Binary):
                return shown | self(node.left)
            node = node.left

    def _index(self, e: syntax.Index) -> frozenset[str]:
        tensor = self.scope.tensors.get(e.name)
        shown, used = EMPTY, 0
        for arg in e.args:
            if isinstance(arg, syntax.Name) and self.scope.is_axis(arg.name):
                leaves = self._leaves(arg)
                used += len(leaves)
                shown |= frozenset(leaves)
            else:
                used += 1
                shown |= self.labels(arg)
        return shown | frozenset(tensor.leaves[used:]) if tensor else shown

    def labels(self, e: syntax.Expr) -> frozenset[str]:
        """Indices shown by an index position: here a bare axis name counts."""
        match e:
            case syntax.Name() if self.scope.is_axis(e.name):
                return frozenset(self._leaves(e))
            case syntax.Unary():
                return self.labels(e.operand)
            case syntax.Binary():
                return self.labels(e.left) | self.labels(e.right)
            case syntax.Compare():
                return EMPTY.union(*map(self.labels, e.operands))
            case syntax.Call() if e.name == "label":
                return EMPTY.union(*(self.labels(a.value) for a in e.args))
            case syntax.Call() if e.name == "size":
                return EMPTY
            case syntax.Call() if e.axes is None:
                return EMPTY.union(*(self.labels(a.value) for a in e.args))
            case _:
                return self(e)

    def _leaves(self, name: syntax.Name) -> tuple[str, ...]:
        try:
            return self.scope.indices(name)
        except Unresolvable:
            return ()

    def _call(self, e: syntax.Call) -> frozenset[str]:
        if e.name in ("size", "label"):
            return EMPTY
        if self.externs is not None and e in self.externs:
            return self.externs.shows(e)
        inner = EMPTY.union(*(self(a.value) for a in e.args))
        if e.name == "posterior":
            return inner | self._labels_of(e)
        operation = operation_of(e)
        if operation is None or not operation.over:
            return inner
        bound = self.bound(e)
        if operation.keeps == "all":
            return inner | frozenset(bound)
        kept = bound[:1] if operation.keeps == "first" else ()
        return inner - frozenset(bound) | frozenset(kept)

    def _labels_of(self, e: syntax.Call) -> frozenset[str]:
        """The indices of the labels that a posterior is over."""
        arg = e.args[0].value if e.args else None
        tensor = self.scope.tensors.get(arg.name) if isinstance(arg, syntax.Name) else None
        if tensor is None or tensor.label is None:
            return EMPTY
        try:
            return frozenset(self.scope.axis(tensor.label).leaves)
        except Unresolvable:
            return EMPTY

    def bound(self, e: syntax.Call) -> tuple[str, ...]:
        """The leaf indices that a reduction's brackets bind; without brackets, all that its first argument shows."""
        if e.axes is None:
            return self.scope.in_order(self(e.args[0].value)) if e.args else ()
        leaves: list[str] = []
        for item in e.axes:
            if isinstance(item, syntax.Name) and item.name == "batch":
                leaves.append("batch")
            elif isinstance(item, syntax.Name):
                leaves += self._leaves(item)
        return tuple(leaves)
