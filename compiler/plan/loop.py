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

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..graph.node import Graph, Node
from ..graph.recurrence import bindings
from .lower import align_all
from .sizes import size
from .tree import Bin, Call, Code, Item, Line, Lit, Loop, Method, Row, Statement, Var
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
        self.names = list(self.body.roots)
        self.roots = list(self.body.roots.values())
        self.holes: dict[str, Node] = {n.attr("name"): n for n in self.body.topological() if n.op == "hole"}
        self.leaves: dict[Node, Val] = {}
        self.over: list[tuple[str, Code]] = []  # the loop's variables, and what each runs over
        self.first: list[Statement] = []  # what a turn begins with
        self.last: list[tuple[int, Node | None, Callable[[Code], list[Statement]]]] = []  # what it does with a result

    def run(self, inputs: Sequence[Val], read: Sequence[int]) -> dict[int, Val]:
        lists = {k: self._list(k, None) for k in read}
        back: dict[int, list[str]] = {}
        for kind, name, rest in bindings(self.scan):
            hole = self.holes.get(name)
            if hole is None:
                continue
            match kind:
                case "const":
                    self.leaves[hole] = self._const(inputs[rest[0]], hole)
                case "each":
                    self.leaves[hole] = self._fed(inputs[rest[0]], hole)
                case "past":
                    self.leaves[hole] = self._past(hole, rest[0], rest[1], inputs[rest[2]], back)
                case "at":
                    self.leaves[hole] = self._at(hole, rest[0], inputs[rest[1]], inputs[rest[2]])
                case _:
                    self.leaves[hole] = self._readers(hole, rest[0], inputs[rest[1]])
        self.builder.statements.append(self._loop())
        return {k: self._stacked(name, k) for k, name in lists.items()}

    def _line(self, target: str | None, code: Code) -> None:
        self.builder.emit(target, code, self.scan)

    def _statement(self, target: str | None, code: Code) -> Statement:
        """A line within the loop."""
        return Statement(target, code, *self.builder.places(self.scan), self.builder.part(code, self.scan))

    # ------------------------------------------------------------ what holes are

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
        return Val(code if isinstance(code, Var) else self._named("fixed", code, hole), axes, hole.dtype)

    def _named(self, kind: str, code: Code, hole: Node) -> Var:
        """A local with a value that exists before the loop."""
        name = self.builder.fresh(self.pool.hints.get(hole, kind))
        self._line(name, code)
        return Var(name)

    def _fed(self, value: Val, hole: Node) -> Val:
        """One entry of a value per label."""
        axes = self.layout.order({*hole.axes, self.axis})
        code = self._full(value, axes, hole.dtype)
        name = self.builder.fresh(f"{self.pool.hints.get(hole, 'fed')}_now")
        self.over.append((name, Call("torch.unbind", (code, Lit(axes.index(self.axis))))))
        return Val(Var(name), tuple(a for a in axes if a != self.axis), hole.dtype)

    def _past(self, hole: Node, k: int, lag: int, start: Val, back: dict[int, list[str]]) -> Val:
        """What was computed ``lag`` labels before: one local per label back, which begins with the start."""
        axes = self.layout.order(hole.axes)
        names = back.setdefault(k, [])
        if not names:
            self.last.append((k, hole, lambda code: self._moved(names, code)))
        while len(names) < lag:
            names.append(self.builder.fresh(f"{self.names[k]}_{len(names) + 1}_back"))
            self._line(names[-1], self._full(start, axes, hole.dtype))
        return Val(Var(names[lag - 1]), axes, hole.dtype)

    def _moved(self, names: Sequence[str], code: Code) -> list[Statement]:
        pairs = [(a, Var(b)) for a, b in zip(names[1:], names, strict=False)]
        return [self._statement(a, b) for a, b in [*reversed(pairs), (names[0], code)]]

    def _at(self, hole: Node, k: int, index: Val, start: Val) -> Val:
        """The result at a computed earlier label, read off the list that grows."""
        axes = self.layout.order(hole.axes)
        first = self._named("start", self._full(start, axes, hole.dtype), hole)
        code = Call("rt.earlier", (Var(self._list(k, hole)), self._position(index), first))
        return self._begun("before", code, hole, axes)

    def _readers(self, hole: Node, k: int, index: Val) -> Val:
        """The sum of what all labels that read this one have brought so far."""
        axes = self.layout.order(hole.axes)
        number = size(self.pool, self.axis)
        zero = self._full(Val(Lit(0.0), (), "real", host=True), axes, hole.dtype)
        sums = self._named("sums", Call("list", (Bin("*", Row((zero,)), number),)), self.scan)
        here, there = self.builder.fresh("k"), self._position(index)
        self.over.append((here, Call("range", (number,))))
        self.last.append((k, hole, lambda code: [self._statement(None, Call("rt.add_at", (sums, there, code)))]))
        return self._begun("readers", Item(sums, (Var(here),)), hole, axes)

    def _begun(self, kind: str, code: Code, hole: Node, axes: tuple[str, ...]) -> Val:
        """A local that every turn begins with."""
        name = self.builder.fresh(self.pool.hints.get(hole, kind))
        self.first.append(self._statement(name, code))
        return Val(Var(name), axes, hole.dtype)

    def _position(self, index: Val) -> Var:
        """A loop variable with the position that is read, a Python number."""
        name = self.builder.fresh("k")
        full = self._full(index, (self.axis,), "int")
        self.over.append((name, Method(full, "tolist")))
        return Var(name)

    def _list(self, k: int, hole: Node | None) -> str:
        """A list of a result's values, in its own shape or in that of a hole which reads it."""
        name = self.builder.fresh(f"{self.names[k]}_all")
        self._line(name, Call("list", ()))
        self.last.append((k, hole, lambda code: [self._statement(None, Method(Var(name), "append", (code,)))]))
        return name

    # ------------------------------------------------------------ the loop and after it

    def _loop(self) -> Loop:
        body = self.builder.inner(self.scan, self.leaves, self.roots)
        values = body.run()
        lines: list[Line] = [*self.first, *body.statements]
        now: dict[int, Code] = {}
        for k in sorted({k for k, _, _ in self.last}):
            now[k] = values[k].code
            if not isinstance(now[k], Var) or values[k].host:
                name = self.builder.fresh(f"{self.names[k]}_now")
                axes = self.layout.order(self.roots[k].axes)
                lines.append(self._statement(name, self._full(values[k], axes, self.roots[k].dtype)))
                now[k] = Var(name)
        for k, hole, make in self.last:
            lines += make(self._like(now[k], k, hole))
        targets, over = self._head()
        places = self.builder.places(self.scan)
        return Loop(targets, over, tuple(lines), *places, self.builder.part(over, self.scan))

    def _like(self, code: Code, k: int, hole: Node | None) -> Code:
        """A result in the shape of a hole that reads it: a start may have indices that the result lacks."""
        root = self.roots[k]
        if hole is None or (hole.axes == root.axes and hole.dtype == root.dtype):
            return code
        value = Val(code, self.layout.order(root.axes), root.dtype)
        axes = self.layout.order(hole.axes)
        shape = Row(tuple(size(self.pool, a) for a in axes))
        return Method(align_all(self.builder.lowering.cast(value, hole.dtype), axes), "expand", (shape,))

    def _head(self) -> tuple[tuple[str, ...], Code]:
        """The loop's variables, and what they run over."""
        if not self.over:
            return ("_",), Call("range", (size(self.pool, self.axis),))
        codes = [Call("reversed", (code,)) if self.scan.attr("reverse") else code for _, code in self.over]
        names = tuple(name for name, _ in self.over)
        return names, codes[0] if len(codes) == 1 else Call("zip", tuple(codes), (("strict", Lit(True)),))

    def _stacked(self, name: str, k: int) -> Val:
        """All labels of a result (a backward loop made the last one first)."""
        if self.scan.attr("reverse"):
            self._line(None, Method(Var(name), "reverse"))
        axes = self.layout.order({*self.roots[k].axes, self.axis})
        node = self.pool.node("result", self.scan, k=k)
        result = self.builder.fresh(self.builder.names.get(node) or self.names[k])
        self._line(result, Call("torch.stack", (Var(name), Lit(axes.index(self.axis)))))
        return Val(Var(result), axes, self.roots[k].dtype)
