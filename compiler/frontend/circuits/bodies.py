"""A body with its circuit calls written out: each call when the shapes of its arguments are known, whatever the order.

Calls inside circuits are written out first, in the circuit's own names and once for all its instances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...diagnostics import Findings, Note, Span, did_you_mean
from .. import nodes as syntax
from ..scope import Unresolvable
from ..walk import children, piped
from . import rewrite
from .definition import Definition, Flat, declared
from .indices import written
from .instance import Instance
from .matching import Given, Matching
from .shapes import Names, Shape, Unknown, axes_of, contracted, indices

DEEPEST = 50
"""Circuits within each other."""


class Circuits:
    """Writes the calls of bodies out; circuits are flattened once for the operations and circuits they are given."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._flat: dict[tuple[object, ...], Flat] = {}
        self._open: list[Definition] = []
        self.called: list[tuple[Span, Span]] = []
        """Where a circuit stands, and where it is called."""

    def written_out(self, body: tuple[syntax.Stmt, ...], visible: Mapping[str, Definition]) -> tuple[syntax.Stmt, ...]:
        """The body without calls of circuits; what cannot be written out is reported and left."""
        names = Names()
        declared(body, names)
        return tuple(_Body(self, body, visible, names).run())

    def flat(self, called: Definition, given: Given, span: Span) -> Flat:
        """The circuit without calls, given the operations and circuits among its arguments.

        Raises:
            Unresolvable: circuits call each other in a circle, or the circuit has no output; reported.
        """
        key = (called, *sorted(given.ops.items()), *sorted((k, id(c)) for k, c in given.circuits.items()))
        if key not in self._flat:
            if called in self._open or len(self._open) >= DEEPEST:
                circle = " -> ".join([d.name for d in self._open] + [called.name])
                help = "a circuit cannot hold itself: repeat it along an axis instead, as in Block[depth](z[depth-1])"
                self.findings.error("E0235", f"circuits that call each other in a circle: {circle}", span, help=help)
                raise Unresolvable
            self._open.append(called)
            try:
                self._flat[key] = self._flattened(called, given, span)
            finally:
                self._open.pop()
        return self._flat[key]

    def _flattened(self, called: Definition, given: Given, span: Span) -> Flat:
        names = Names()
        body = tuple(_with_operations(s, given.ops) for s in called.decl.body)
        declares = {i.name: i for s in body if isinstance(s, syntax.AxisDecl) for i in s.items}
        formal = {p.name for p in called.decl.params if p.kind == "axis"}
        for s in body:
            if isinstance(s, syntax.InputDecl):
                used = {name for name, _ in indices(s.target.axes or ())}
                label = syntax.label_axis(s.kind)
                used |= {label} if label is not None else set()
                formal |= {n for n in used if n not in declares or _open_size(declares[n])}
        names.axes.update(dict.fromkeys(sorted(formal)))
        names.numbers.update(p.name for p in called.decl.params if p.kind in (None, "int", "real"))
        outputs = tuple(_outputs(body))
        if not outputs:
            place = [Note(f"`{called.name}` is called here", span)]
            help = "say what it computes: output y[n] = .."
            self.findings.error(
                "E0236", f"the circuit `{called.name}` has no output", called.decl.name_span, notes=place, help=help
            )
            raise Unresolvable
        before = len(self.findings.errors)
        if any(isinstance(s, syntax.Broken) for s in body):
            raise Unresolvable
        declared(body, names)
        self._check_declared(body, names)
        flat = _Body(self, body, {**called.visible, **given.circuits}, names).run()
        if len(self.findings.errors) > before or any(isinstance(s, syntax.Broken) for s in flat):
            raise Unresolvable
        divided = [s for s in flat if isinstance(s, syntax.Divided)]
        for name in sorted(formal & declares.keys()):
            value = declares[name].value
            if isinstance(value, syntax.ProductOf):
                own = syntax.Divided(
                    value.span, name, tuple((p.name, _size(declares.get(p.name))) for p in value.parts)
                )
                divided.insert(0, own)
                flat.append(own)
        return Flat(called, flat, names, outputs, frozenset(formal), divided)

    def _check_declared(self, body: tuple[syntax.Stmt, ...], names: Names) -> None:
        """Left sides list axes that the circuit knows; what it gives out is computed.

        Raises:
            Unresolvable: not so; reported.
        """
        failed = False
        tensors = {target.name for target in _targets(body)}
        for axis in [a for t in _targets(body) for a in t.axes or ()] + [*_parts(body)]:
            if isinstance(axis, syntax.Name) and axis.name not in names.axes:
                fix = f"declare it: axis {axis.name} = 3, or a parameter {axis.name}: axis"
                help = did_you_mean(axis.name, names.axes) or fix
                self.findings.error("E0202", f"unknown axis `{axis.name}`", axis.span, help=help)
                failed = True
        for s in body:
            for name in s.names if isinstance(s, syntax.OutputDecl) else ():
                if name.name not in tensors:
                    help = did_you_mean(name.name, tensors) or f"give it an equation: output {name.name} = .."
                    self.findings.error("E0201", f"unknown name `{name.name}`", name.span, help=help)
                    failed = True
        if failed:
            raise Unresolvable


def _targets(body: tuple[syntax.Stmt, ...]) -> Iterator[syntax.Target]:
    """The left sides of all declarations and equations."""
    for s in body:
        match s:
            case syntax.LetDecl() | syntax.StateDecl():
                yield from (i.target for i in s.items)
            case syntax.InputDecl() | syntax.ParamDecl() | syntax.LatentDecl() | syntax.Equation() | syntax.Update():
                yield s.target
            case _:
                pass


def _parts(body: tuple[syntax.Stmt, ...]) -> Iterator[syntax.Expr]:
    """The parts of all products of axes."""
    for s in body:
        for item in s.items if isinstance(s, syntax.AxisDecl) else ():
            yield from item.value.parts if isinstance(item.value, syntax.ProductOf) else ()


class _Body:
    """One body: what it declares, which circuits it sees, the instances in it."""

    def __init__(
        self, circuits: Circuits, body: tuple[syntax.Stmt, ...], visible: Mapping[str, Definition], names: Names
    ):
        self.circuits, self.findings = circuits, circuits.findings
        self.body, self.visible, self.names = body, dict(visible), names
        self.instances: dict[str, tuple[Definition, Given, Span]] = {}
        self.taken: set[str] = set()
        self.failed: set[str] = set()

    def run(self) -> list[syntax.Stmt]:
        """All statements, those of instances in front of the one that calls."""
        waiting: dict[int, syntax.Stmt] = {}
        done: dict[int, list[syntax.Stmt]] = {}
        for k, s in enumerate(self.body):
            if self._calls(s) or self._infers(s):
                waiting[k] = s
            else:
                done[k] = [s]
            if isinstance(s, syntax.Equation):
                self.names.tensors[s.target.name] = None if self._infers(s) else Shape(indices(s.target.axes or ()))
        while waiting:
            before = len(waiting)
            blocked: dict[int, str] = {}
            for k, s in [*waiting.items()]:
                try:
                    done[k] = self._expanded(s)
                except Unknown as problem:
                    if problem.name not in self.failed:
                        blocked[k] = problem.name
                        continue
                    done[k] = self._given_up(s)
                except Unresolvable:
                    done[k] = self._given_up(s)
                del waiting[k]
            if len(waiting) == before:
                self._stuck(waiting, blocked)
                done.update({k: self._given_up(s) for k, s in waiting.items()})
                break
        return [s for k in sorted(done) for s in done[k]]

    def _given_up(self, s: syntax.Stmt) -> list[syntax.Stmt]:
        """A statement that is wrong, or that reads one: reported once."""
        names = (s.target.name,) if isinstance(s, syntax.Equation) else ()
        self.failed.update(names)
        return [syntax.Broken(s.span, names)]

    def _stuck(self, waiting: Mapping[int, syntax.Stmt], blocked: Mapping[int, str]) -> None:
        for k, s in [*waiting.items()][:1]:
            message = f"the axes of `{blocked[k]}` cannot be told from the circuits that it goes through"
            self.findings.error("E0237", message, s.span, help=f"write them: {blocked[k]}[..] = ..")

    # ------------------------------------------------------------ calls

    def _callee(self, e: syntax.Expr) -> tuple[syntax.Call, Definition] | None:
        call = piped(e) if isinstance(e, syntax.Pipe) else e
        if isinstance(call, syntax.Call) and call.name in self.visible:
            return call, self.visible[call.name]
        return None

    def _calls(self, s: syntax.Stmt) -> list[syntax.Call]:
        """The circuit calls of a statement, outermost first."""
        found: list[syntax.Call] = []
        todo = [*_expressions(s)][::-1]
        while todo:
            e = todo.pop()
            hit = self._callee(e)
            call = hit[0] if hit is not None else e
            found += [call] if hit is not None and isinstance(call, syntax.Call) else []
            todo += reversed(children(call))
        return found

    def _infers(self, s: syntax.Stmt) -> bool:
        """Whether an equation leaves its axes to be told: a pipe, or a call with a circuit in it, without a left side."""
        if not isinstance(s, syntax.Equation) or s.target.axes is not None:
            return False
        return isinstance(s.value, syntax.Pipe) or (isinstance(s.value, syntax.Call) and bool(self._calls(s)))

    def _expanded(self, s: syntax.Stmt) -> list[syntax.Stmt]:
        """The statement without calls, and before it what the calls stand for."""
        unnamed = [c for c in self._calls(s) if c.alias is None]
        if len(unnamed) > 1:
            message = "two instances in one statement would have one name"
            help = f"name one of them: {unnamed[0].name}(..) as {unnamed[0].name.lower()}"
            self.findings.error("E0231", message, unnamed[1].span, help=help)
            raise Unresolvable
        made: list[syntax.Stmt] = []
        taken, instances = set(self.taken), dict(self.instances)
        try:
            return self._written_out(s, made)
        except Unknown:
            self.taken, self.instances = taken, instances  # nothing of it is kept: it is tried again
            raise

    def _written_out(self, s: syntax.Stmt, made: list[syntax.Stmt]) -> list[syntax.Stmt]:
        infers = self._infers(s)
        whole = self._callee(s.value) if isinstance(s, syntax.Equation) else None
        if whole is not None and isinstance(s, syntax.Equation):
            call, called = whole
            start = None if s.start is None else rewrite.expression(s.start, lambda e: self._visit(e, s, made))
            result = self._instance(call, called, s, made, first=replace(s, start=start))
            if result is None:
                return made
            s = replace(s, value=result, start=start)
        elif isinstance(s, syntax.Equation | syntax.Update | syntax.Density):
            s = rewrite.statement(s, lambda e: self._visit(e, s, made))
        if isinstance(s, syntax.Equation) and infers:
            axes = written(axes_of(s.value, self.names), s.target.span)
            s = replace(s, target=replace(s.target, axes=axes or None))
        if isinstance(s, syntax.Equation):
            self.names.tensors[s.target.name] = Shape(indices(s.target.axes or ()))
        return [*made, s]

    def _visit(self, e: syntax.Expr, s: syntax.Stmt, made: list[syntax.Stmt]) -> syntax.Expr | None:
        found = self._callee(e)
        return None if found is None else self._instance(*found, s, made)

    def _instance(
        self,
        call: syntax.Call,
        called: Definition,
        s: syntax.Stmt,
        made: list[syntax.Stmt],
        first: syntax.Equation | None = None,
    ) -> syntax.Expr | None:
        """Write a call out; what it is worth, or None when the first output has taken the statement's place."""
        args = tuple(
            replace(a, value=rewrite.expression(a.value, lambda e: self._visit(e, s, made))) for a in call.args
        )
        call = replace(call, args=args)
        given = Matching(self.names, self.findings).read(call, called, self.visible)
        for e in given.inputs.values():
            self._check_contraction(e, s)
        flat = self.circuits.flat(called, given, call.span)
        self.circuits.called.append((called.decl.span, call.span))
        path, values, known = self._path(call, called, given, s)
        family = self._family(call)
        if first is not None and not self._direct(flat):
            first = None
        snapshot = dict(self.names.tensors), dict(self.names.axes), dict(self.names.divided), set(self.names.numbers)
        instance = Instance(
            self.names, flat, given, path, values, family, call, self.findings, first=first, known=known
        )
        try:
            result = instance.run()
        except (Unknown, Unresolvable):
            self.names.tensors, self.names.axes, self.names.divided, self.names.numbers = snapshot
            raise
        if first is not None and not _same_axes(first, instance.made):
            self.names.tensors, self.names.axes, self.names.divided, self.names.numbers = snapshot
            instance = Instance(self.names, flat, given, path, values, family, call, self.findings, known=known)
            result, first = instance.run(), None
        made += instance.made
        return None if first is not None else result

    def _direct(self, flat: Flat) -> bool:
        """Whether the first output of a circuit can be the equation itself: it is computed, by an equation of its own."""
        return any(isinstance(e, syntax.Equation) and e.target.name == flat.outputs[0] for e in flat.body)

    def _path(self, call: syntax.Call, called: Definition, given: Given, s: syntax.Stmt) -> tuple[str, str, bool]:
        """The path of an instance, that of its values, and whether it is there already."""
        path = call.alias or _name_of(s)
        if path in self.instances:
            before, old, span = self.instances[path]
            if before is not called or old.statics() != given.statics():
                place = [Note(f"`{path}` is first made here", span)]
                help = "give the same arguments, or another name"
                self.findings.error("E0238", f"`{path}` is another instance already", call.span, notes=place, help=help)
                raise Unresolvable
        known = path in self.instances
        self.instances.setdefault(path, (called, given, call.span))
        values = path
        if values in self.taken:
            values = _name_of(s) if _name_of(s) not in self.taken else f"{_name_of(s)}.{path}"
        count = 2
        base = values
        while values in self.taken:
            values, count = f"{base}{count}", count + 1
        self.taken.add(values)
        return path, values, known

    def _family(self, call: syntax.Call) -> tuple[tuple[str, int], ...]:
        found: list[tuple[str, int]] = []
        for e in call.axes or ():
            if not isinstance(e, syntax.Name) or e.name not in self.names.axes:
                message = f"`{call.name}[..]` is a family: one instance per label of an axis"
                self.findings.error("E0239", message, e.span, help=f"name the axis: {call.name}[depth](..)")
                raise Unresolvable
            found.append((e.name, e.primes))
        return tuple(found)

    def _check_contraction(self, e: syntax.Expr, s: syntax.Stmt) -> None:
        """``Dense(W * x)``: whether a product is summed would depend on where the call stands."""
        left = s.target.axes if isinstance(s, syntax.Equation) else None
        index = contracted(e, self.names, frozenset(indices(left or ())))
        if index is not None:
            name = index[0] + "'" * index[1]
            message = f"two factors of this argument carry `{name}`, and a call does not say whether it is summed"
            self.findings.error("E0234", message, e.span, help="give the product a name in an equation of its own")
            raise Unresolvable


def _same_axes(first: syntax.Equation, made: list[syntax.Stmt]) -> bool:
    """Does the equation that stands for a call have the axes that the call's left side names, in that order?"""
    if first.target.axes is None:
        return True
    own = next(s for s in made if isinstance(s, syntax.Equation) and s.target.name == first.target.name)
    return [n for n, _ in indices(own.target.axes or ())] == [n for n, _ in indices(first.target.axes)]


def _expressions(s: syntax.Stmt) -> Iterator[syntax.Expr]:
    """The expressions of a statement in which circuits may be called."""
    match s:
        case syntax.Equation():
            yield s.value
            if s.start is not None:
                yield s.start
        case syntax.Update():
            yield s.value
        case syntax.Density():
            yield s.distribution.call
            if s.distribution.power is not None:
                yield s.distribution.power
        case _:
            return


def _name_of(s: syntax.Stmt) -> str:
    match s:
        case syntax.Equation() | syntax.Update():
            return s.target.name
        case syntax.Density() if isinstance(s.target, syntax.Name | syntax.Index):
            return s.target.name
        case _:
            return "instance"


def _outputs(body: tuple[syntax.Stmt, ...]) -> Iterator[str]:
    for s in body:
        if isinstance(s, syntax.Equation) and s.role == "output":
            yield s.target.name
        elif isinstance(s, syntax.OutputDecl):
            yield from (n.name for n in s.names)


def _open_size(item: syntax.AxisItem) -> bool:
    """An axis of an input whose size the argument gives."""
    return item.value is None or isinstance(item.value, syntax.ProductOf)


def _size(item: syntax.AxisItem | None) -> syntax.Expr | None:
    return item.value if item is not None else None


def _with_operations(s: syntax.Stmt, ops: Mapping[str, str]) -> syntax.Stmt:
    """The statement with the operations that it was given in place of their names."""
    if not ops:
        return s

    def visit(e: syntax.Expr) -> syntax.Expr | None:
        call = piped(e) if isinstance(e, syntax.Pipe) and _stage_name(e) in ops else e
        if not isinstance(call, syntax.Call) or call.name not in ops:
            return None
        if ops[call.name] == "identity" and len(call.args) == 1:
            return rewrite.expression(call.args[0].value, visit)
        return rewrite.call(replace(call, name=ops[call.name]), visit)

    return rewrite.statement(s, visit)


def _stage_name(e: syntax.Pipe) -> str:
    return e.stage.name if isinstance(e.stage, syntax.Name | syntax.Call | syntax.Index) else ""
