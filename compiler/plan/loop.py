"""A recurrence as a Python loop: one turn per label, what is fed in unbound along the axis, results stacked at the end.

h_1_back = rt.expand(0, ..)
h_all = []
for each in torch.unbind(fed, 1):
    h_now = torch.tanh(each + h_1_back @ A.T)
    h_all.append(h_now)
    h_1_back = h_now
h = torch.stack(h_all, 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..diagnostics import InternalError
from ..graph.node import Graph, Node
from ..graph.recurrence import bindings
from .lower import align_all
from .sizes import size
from .tree import Call, Code, Line, Lit, Loop, Method, Row, Statement, Var
from .value import Val, reorder

if TYPE_CHECKING:
    from .routine import Block, RoutineBuilder


def emit_loop(builder: RoutineBuilder, block: Block, inputs: Sequence[Val], read: Sequence[int]) -> dict[int, Val]:
    """Emit a scan given the values of its inputs; the stacked values of those results that something reads."""
    return _Emit(builder, block.node).run(inputs, read)


class _Emit:
    def __init__(self, builder: RoutineBuilder, scan: Node) -> None:
        self.builder = builder
        self.pool = builder.pool
        self.layout = builder.lowering.layout
        self.scan = scan
        self.axis: str = scan.attr("axis")
        self.body: Graph = scan.attr("body")
        self.roots = list(self.body.roots.values())
        self.holes: dict[str, Node] = {n.attr("name"): n for n in self.body.topological() if n.op == "hole"}
        self.leaves: dict[Node, Val] = {}
        self.each: list[tuple[str, Code]] = []
        self.back: dict[int, list[str]] = {}

    def run(self, inputs: Sequence[Val], read: Sequence[int]) -> dict[int, Val]:
        for kind, name, rest in bindings(self.scan):
            hole = self.holes.get(name)
            if hole is None:
                continue
            if kind == "const":
                self.leaves[hole] = self._const(inputs[rest[0]], hole)
            elif kind == "each":
                self.leaves[hole] = self._fed(inputs[rest[0]], hole)
            elif kind == "past":
                self.leaves[hole] = self._past(hole, rest[0], rest[1], inputs[rest[2]])
            else:
                raise InternalError(f"the torch target has no form for a scan's `{kind}`")
        lists = {k: self.builder.fresh(f"{self._name(k)}_all") for k in read}
        for name in lists.values():
            self._line(name, Call("list", ()))
        self.builder.statements.append(self._loop(lists))
        return {k: self._stacked(name, k) for k, name in lists.items()}

    def _name(self, k: int) -> str:
        return list(self.body.roots)[k]

    def _line(self, target: str | None, code: Code) -> None:
        self.builder.statements.append(self._statement(target, code))

    def _statement(self, target: str | None, code: Code) -> Statement:
        return Statement(target, code, *self.builder.places(self.scan))

    # ------------------------------------------------------------ before the loop

    def _full(self, value: Val, axes: Sequence[str], dtype: str) -> Code:
        """A value with all of its axes in place, repeated along those that it lacks."""
        lowering = self.builder.lowering
        present = tuple(a for a in axes if a in value.axes)
        if not value.host and present == tuple(axes):
            return lowering.cast(reorder(value, present), dtype).code
        shape = Row(tuple(size(self.pool, a) for a in axes))
        places = Lit(tuple(list(axes).index(a) for a in present))
        code = reorder(value, present).code if present else value.code
        return Call("rt.expand", (code, shape, places, lowering.device, lowering.dtypes[dtype]))

    def _const(self, value: Val, hole: Node) -> Val:
        """The same at every label: computed before the loop."""
        if value.host and not hole.axes:
            return value
        axes = self.layout.order(hole.axes)
        code = self._full(value, axes, hole.dtype)
        if not isinstance(code, Var):
            name = self.builder.fresh(self.pool.hints.get(hole, "fixed"))
            self._line(name, code)
            code = Var(name)
        return Val(code, axes, hole.dtype)

    def _fed(self, value: Val, hole: Node) -> Val:
        """One entry of a value per label."""
        axes = self.layout.order({*hole.axes, self.axis})
        code = self._full(value, axes, hole.dtype)
        name = self.builder.fresh(f"{self.pool.hints.get(hole, 'fed')}_now")
        self.each.append((name, Call("torch.unbind", (code, Lit(axes.index(self.axis))))))
        return Val(Var(name), tuple(a for a in axes if a != self.axis), hole.dtype)

    def _past(self, hole: Node, k: int, lag: int, start: Val) -> Val:
        """What was computed ``lag`` labels before: one local per label back, which begins with the start."""
        axes = self.layout.order(hole.axes)
        names = self.back.setdefault(k, [])
        while len(names) < lag:
            names.append(self.builder.fresh(f"{self._name(k)}_{len(names) + 1}_back"))
            self._line(names[-1], self._full(start, axes, hole.dtype))
        return Val(Var(names[lag - 1]), axes, hole.dtype)

    # ------------------------------------------------------------ the loop and after it

    def _loop(self, lists: Mapping[int, str]) -> Loop:
        body = self.builder.inner(self.body, self.leaves, self.roots)
        values = body.run()
        lines: list[Line] = body.statements
        now: dict[int, Code] = {}
        for k in sorted({*self.back, *lists}):
            now[k] = values[k].code
            if not isinstance(now[k], Var) or values[k].host:
                name = self.builder.fresh(f"{self._name(k)}_now")
                lines.append(
                    self._statement(
                        name, self._full(values[k], self.layout.order(self.roots[k].axes), self.roots[k].dtype)
                    )
                )
                now[k] = Var(name)
        for k, name in lists.items():
            lines.append(self._statement(None, Method(Var(name), "append", (now[k],))))
        for k, names in self.back.items():
            lines += [self._statement(a, Var(b)) for a, b in reversed(list(zip(names[1:], names, strict=False)))]
            lines.append(self._statement(names[0], self._kept(now[k], k)))
        return Loop(*self._over(), tuple(lines), *self.builder.places(self.scan))

    def _kept(self, code: Code, k: int) -> Code:
        """A result in the shape of the holes that read it: a start may have indices that the result lacks."""
        root = self.roots[k]
        hole = next(h for h in self.leaves if self._reads(h, k))
        value = Val(code, self.layout.order(root.axes), root.dtype)
        axes = self.layout.order(hole.axes)
        if axes == value.axes and hole.dtype == root.dtype:
            return code
        shape = Row(tuple(size(self.pool, a) for a in axes))
        return Method(align_all(self.builder.lowering.cast(value, hole.dtype), axes), "expand", (shape,))

    def _reads(self, hole: Node, k: int) -> bool:
        return any(
            kind == "past" and name == hole.attr("name") and rest[0] == k for kind, name, rest in bindings(self.scan)
        )

    def _over(self) -> tuple[tuple[str, ...], Code]:
        """The loop's variables, and what it runs over."""
        if not self.each:
            return ("_",), Call("range", (size(self.pool, self.axis),))
        codes = [Call("reversed", (code,)) if self.scan.attr("reverse") else code for _, code in self.each]
        names = tuple(name for name, _ in self.each)
        return names, codes[0] if len(codes) == 1 else Call("zip", tuple(codes), (("strict", Lit(True)),))

    def _stacked(self, name: str, k: int) -> Val:
        """All labels of a result (a backward loop made the last one first)."""
        if self.scan.attr("reverse"):
            self._line(None, Method(Var(name), "reverse"))
        axes = self.layout.order({*self.roots[k].axes, self.axis})
        result = self.builder.fresh(self.builder.names.get(self._result(k)) or self._name(k))
        self._line(result, Call("torch.stack", (Var(name), Lit(axes.index(self.axis)))))
        return Val(Var(result), axes, self.roots[k].dtype)

    def _result(self, k: int) -> Node:
        return self.pool.node("result", self.scan, k=k)
