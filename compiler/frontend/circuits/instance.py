"""One call written out: the circuit's statements under the names of the caller.

A name of the circuit becomes a path (``enc.W``), an axis of its own too; an axis that the call decides becomes the caller's.
What depends on an argument carries the axes that the argument has beyond the input's (they are *mapped*), what belongs to a
family carries its axis.  Two axes of the circuit may be one axis of the caller: each keeps indices of its own, by primes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from ...diagnostics import Findings, Note, Span, did_you_mean
from .. import nodes as syntax
from ..operations import CONSTANTS
from ..scope import Unresolvable
from ..shown import operation_of
from . import rewrite
from .definition import Flat, declared
from .indices import canonical, written
from .matching import Given
from .shapes import ENDS, Index, Names, Shape, axes_of, indices, missing

_FREE = frozenset({"batch", "training", *ENDS, *CONSTANTS})
"""Names that mean the same everywhere."""

_ALONE = {"sum": None, "mean": None, "prod": None, "max": None, "min": None, "logsumexp": None, "norm": "abs"}
"""Reductions of a single number per example: nothing, or what is left to do."""


class Instance:
    """A call of a circuit.

    Args:
        caller: the names of the body that calls; the instance's are added.
        flat: the circuit.
        given: its arguments, in the caller's names.
        path: of parameters, states and axes.
        values: of what is computed.
        family: indices that the circuit's parameters have one of each for.
        call: where the caller calls.
        first: the name of the first output, where the caller has one for it.
        known: parameters and axes exist already (an instance that is called again).
    """

    def __init__(
        self,
        caller: Names,
        flat: Flat,
        given: Given,
        path: str,
        values: str,
        family: tuple[Index, ...],
        call: syntax.Call,
        findings: Findings,
        *,
        first: syntax.Equation | None = None,
        known: bool = False,
    ) -> None:
        self.caller, self.flat, self.given, self.call, self.findings = caller, flat, given, call, findings
        self.path, self.values, self.first, self.known = path, values, first, known
        self.family = family
        self.made: list[syntax.Stmt] = []
        self.base: dict[str, str] = {}  # axis of the circuit -> axis of the caller
        self.outside: dict[Index, Index] = {}  # index of the circuit -> index of the caller, where a call shows one
        self.inputs: dict[str, _Argument] = {}
        self.mapped: dict[str, tuple[Index, ...]] = {}  # tensor of the circuit -> what it carries beyond its own axes
        self.inherited: dict[str, syntax.Expr] = dict(given.numbers)

    def run(self) -> syntax.Expr:
        """Write the statements to ``made``; what the call is worth, read with the caller's indices.

        Raises:
            Unresolvable: the arguments do not fit; reported.
            Unknown: the shape of an argument is not known yet.
        """
        arguments = {name: axes_of(e, self.caller) for name, e in self.given.inputs.items()}
        self._bind_given()
        for name, axes in arguments.items():
            self._bind_input(name, axes)
        self._bind_own()
        self._carry()
        for s in self.flat.body:
            self._statement(s)
        return self._result()

    # ------------------------------------------------------------ axes

    def _bind_given(self) -> None:
        for name, axis in self.given.axes.items():
            self.base[name] = axis.name
            self.outside[name, 0] = axis.name, axis.primes
        for name in self.given.sizes:
            self.base[name] = f"{self.path}.{name}"

    def _bind_input(self, name: str, axes: tuple[Index, ...]) -> None:
        """Match an input's axes: those already known by name, the others from the right; the rest is mapped."""
        decl = self.flat.definition.inputs()[name]
        wanted, rest = indices(decl.target.axes or ()), list(axes)
        found: dict[Index, Index] = {}
        for index in reversed([w for w in wanted if w[0] in self.base]):
            hit = next((a for a in reversed(rest) if a[0] == self.base[index[0]]), None)
            if hit is None:
                self._misfit(name, axes, f"it has no axis `{self.base[index[0]]}`")
            else:
                found[index] = hit
                rest.remove(hit)
        for index in reversed([w for w in wanted if w not in found]):
            if not rest:
                self._misfit(name, axes, f"it has no axis left for `{index[0]}`")
            found[index] = rest.pop()
            if self.base.setdefault(index[0], found[index][0]) != found[index][0]:
                self._misfit(name, axes, f"`{index[0]}` is `{self.base[index[0]]}` already")
        self.outside = {**found, **self.outside}
        self._bind_label(decl, name)
        self.mapped[name] = tuple(rest)
        inside = tuple(found[w] for w in wanted)
        value = self.given.inputs[name]
        read = self._as_read(value, inside)
        if read is None:
            index = written((*rest, *inside), value.span)
            target = syntax.Target(f"{self.values}.{name}", index, value.span, value.span)
            self._add(syntax.Equation(value.span, target, value, None))
            read = syntax.Index(value.span, target.name, index, value.span)
        self.inputs[name] = _Argument(read, inside)

    def _as_read(self, value: syntax.Expr, inside: tuple[Index, ...]) -> syntax.Index | None:
        """An argument that is a tensor read, with the input's indices as plain positions: read so wherever the input is."""
        if not isinstance(value, syntax.Name | syntax.Index) or value.name not in self.caller.tensors:
            return None
        declared = (self.caller.shape(value.name) or Shape()).axes
        args = value.args if isinstance(value, syntax.Index) else ()
        rest = declared if isinstance(value, syntax.Name) else missing(args, declared, self.caller)
        positions = (*args, *written(rest, value.span))
        at = [k for k, p in enumerate(positions) if isinstance(p, syntax.Name) and (p.name, p.primes) in inside]
        plain = [(p.name, p.primes) for k in at if isinstance(p := positions[k], syntax.Name)]
        together = not at or at == [*range(at[0], at[0] + len(at))]
        whole = not any(self.flat.names.parts(axis) for axis in self.flat.names.axes)
        if plain != [*inside] or not (together or whole):
            return None
        return syntax.Index(value.span, value.name, positions, value.span)

    def _bind_label(self, decl: syntax.InputDecl, name: str) -> None:
        kind = decl.kind.name if decl.kind is not None else ""
        if kind not in self.flat.names.axes:
            return
        value = self.given.inputs[name]
        shape = self.caller.shape(value.name) if isinstance(value, (syntax.Name, syntax.Index)) else None
        label = shape.label if shape is not None else None
        if label is None or self.base.setdefault(kind, label) != label:
            message = f"`{name}` of `{self.flat.definition.name}` is a label"
            message += f" of `{self.base[kind]}`" if kind in self.base else ""
            self._error("E0232", message, value.span, "give it an input that is declared so: input y: AXIS")

    def _misfit(self, name: str, axes: tuple[Index, ...], why: str) -> None:
        decl = self.flat.definition.inputs()[name]
        wanted = ", ".join(i[0] + "'" * i[1] for i in indices(decl.target.axes or ()))
        has = ", ".join(i[0] + "'" * i[1] for i in axes) or "no axes"
        message = f"the argument does not fit `{name}[{wanted}]` of `{self.flat.definition.name}`: {why}"
        fix = (
            f"the argument has {has}; axes match from the right, or by name: {self.flat.definition.name}(.., i = AXIS)"
        )
        self._error("E0232", message, self.given.inputs[name].span, fix)

    def _error(self, code: str, message: str, span: Span, help: str) -> None:
        place = Note(f"`{self.flat.definition.name}` is declared here", self.flat.definition.decl.name_span)
        self.findings.error(code, message, span, notes=[place], help=help)
        raise Unresolvable

    def _bind_own(self) -> None:
        """Axes that neither the call nor an argument decides: defaults, then those of the instance itself."""
        for static in self.flat.definition.decl.params:
            if static.kind == "axis" and static.name not in self.base and static.default is not None:
                word = static.default.name if isinstance(static.default, syntax.Name) else ""
                if word in self.base:
                    self.base[static.name] = self.base[word]
                else:
                    self.base[static.name] = f"{self.path}.{static.name}"
                    self.given.sizes[static.name] = static.default
            elif static.kind == "axis" and static.name not in self.base:
                self._error(
                    "E0230", f"`{self.flat.definition.name}` needs `{static.name}`", self.call.span, "name an axis"
                )
        for divided in self.flat.divided:
            self._divide(divided)
        for name in self.flat.names.axes:
            self.base.setdefault(name, f"{self.path}.{name}")
        self._rank = {name: k for k, name in enumerate(self.flat.names.axes)}
        for static in self.flat.definition.decl.params:
            if (
                static.kind in (None, "int", "real")
                and static.name not in self.inherited
                and static.default is not None
            ):
                self.inherited[static.name] = rewrite.expression(static.default, self._constant)
        for name, size in self.given.sizes.items():
            self._axis(name, rewrite.expression(size, self._constant), size.span)

    def _constant(self, e: syntax.Expr) -> syntax.Expr | None:
        """A default: the circuit's axes in it mean their sizes."""
        if isinstance(e, syntax.Name) and e.name in self.inherited:
            return self.inherited[e.name]
        if isinstance(e, syntax.Name) and e.name in self.base:
            axis = syntax.Name(e.span, self.base[e.name])
            return syntax.Call(e.span, "size", None, (syntax.Arg(None, axis, e.span),), e.span)
        if isinstance(e, syntax.Name) and e.name in self.flat.names.numbers:
            return replace(e, name=f"{self.path}.{e.name}")
        return e if isinstance(e, syntax.Call) and e.name == "size" else None

    def _axis(self, name: str, value: syntax.Expr | None, span: Span) -> None:
        """Declare an axis of the instance's own."""
        item = syntax.AxisItem(self.base[name], value, span)
        if item.name not in self.caller.axes:
            self.caller.axes[item.name] = item
            self.made.append(syntax.AxisDecl(span, (item,)))

    def _divide(self, divided: syntax.Divided) -> None:
        """The circuit takes an axis apart: the first one to do so names the parts."""
        base = self.base.get(divided.name, f"{self.path}.{divided.name}")
        known = self.caller.parts(base)
        if known and len(known) != len(divided.parts):
            parts = ", ".join(known)
            message = (
                f"`{self.flat.definition.name}` takes `{base}` apart into {len(divided.parts)} axes; it is ({parts})"
            )
            self._error("E0233", message, self.call.span, "use an axis of its own for one of the two")
        for k, (part, _) in enumerate(divided.parts):
            self.base.setdefault(part, known[k] if known else f"{self.path}.{part}")
        if not known:
            self.caller.divided[base] = tuple(self.base[part] for part, _ in divided.parts)

    # ------------------------------------------------------------ what carries what

    def _carry(self) -> None:
        """The indices beyond their own of all tensors: those of a family on parameters, and what arguments bring."""
        own: list[str] = []
        for name, decl in _declares(self.flat.body):
            if isinstance(decl, syntax.Equation):
                own.append(name)
                self.mapped[name] = ()
            else:
                self.mapped[name] = () if isinstance(decl, syntax.LetDecl) else self.family
        equations = {s.target.name: s for s in self.flat.body if isinstance(s, syntax.Equation)}
        changed = True
        while changed:
            changed = False
            for name in own:
                equation = equations[name]
                parts = [equation.value, *([equation.start] if equation.start is not None else [])]
                found = self._ordered(i for e in parts for i in self._carried(e))
                changed |= found != self.mapped[name]
                self.mapped[name] = found

    def _ordered(self, found: Iterable[Index]) -> tuple[Index, ...]:
        """The family's indices first, the others as the arguments bring them."""
        order = dict.fromkeys([*self.family, *(i for n in self.inputs for i in self.mapped[n])])
        have = set(found)
        return tuple(i for i in order if i in have)

    def _carried(self, e: syntax.Expr) -> set[Index]:
        """The mapped indices of an expression; a reduction over the batch is one over them, those of a family excepted."""
        match e:
            case syntax.Name():
                return set(self.mapped.get(e.name, ()))
            case syntax.Index():
                return set(self.mapped.get(e.name, ())).union(*map(self._carried, e.args))
            case syntax.Call():
                inside = set[Index]().union(*(self._carried(a.value) for a in e.args))
                return inside & set(self.family) if _over_batch(e) else inside
            case syntax.Binary():
                left: syntax.Expr = e
                found: set[Index] = set()
                while isinstance(left, syntax.Binary):
                    found |= self._carried(left.right)
                    left = left.left
                return found | self._carried(left)
            case syntax.Unary():
                return self._carried(e.operand)
            case syntax.Compare():
                return set[Index]().union(*map(self._carried, e.operands))
            case syntax.Pipe():
                return self._carried(e.value) | self._carried(e.stage)
            case _:
                return set()

    # ------------------------------------------------------------ names

    def _named(self, name: str) -> str:
        """A tensor or constant of the circuit in the caller."""
        if self.first is not None and name == self.flat.outputs[0]:
            return self.first.target.name
        declared = self._declared.get(name)
        return f"{self.values if isinstance(declared, syntax.Equation) else self.path}.{name}"

    @cached_property
    def _declared(self) -> dict[str, syntax.Stmt]:
        return dict(_declares(self.flat.body))

    def _index(self, name: str, primes: int, span: Span) -> syntax.Name:
        """An index of the circuit; the caller's names for the mapped ones come first."""
        many = len(self._slots) + len(self._rank)
        return syntax.Name(span, self.base[name], len(self._slots) + self._rank[name] + primes * many)

    @cached_property
    def _slots(self) -> dict[Index, int]:
        order = self._ordered({*self.family, *(i for n in self.inputs for i in self.mapped[n])})
        return {index: k for k, index in enumerate(order)}

    def _outer(self, found: Iterable[Index], span: Span) -> tuple[syntax.Name, ...]:
        """Mapped indices, as the instance's statements write them."""
        slots = self._slots
        return tuple(syntax.Name(span, i[0], slots[i]) for i in found)

    def _visit(self, e: syntax.Expr) -> syntax.Expr | None:
        match e:
            case syntax.Name():
                return self._name(e)
            case syntax.Index() if e.name in self.flat.names.tensors:
                args = tuple(rewrite.expression(a, self._visit) for a in e.args)
                declared = self._shape(e.name).axes
                rest = tuple(self._index(a, p, e.span) for a, p in missing(e.args, declared, self.flat.names))
                return self._read(e.name, (*args, *rest), e.span)
            case syntax.Call() if e.axes is not None or e.name in _ALONE or operation_of(e) is not None:
                return self._operation(e)
            case _:
                return None

    def _shape(self, name: str) -> Shape:
        return self.flat.names.shape(name) or Shape()

    def _name(self, e: syntax.Name) -> syntax.Expr:
        if e.name in self.flat.names.tensors:
            return self._read(e.name, tuple(self._index(a, p, e.span) for a, p in self._shape(e.name).axes), e.span)
        if e.name in self.inherited:
            return self.inherited[e.name]
        if e.name in self.flat.names.axes:
            return self._index(e.name, e.primes, e.span)
        if e.name in self.flat.names.numbers:
            return replace(e, name=f"{self.path}.{e.name}")
        if e.name not in _FREE and e.name not in self.given.ops:
            known = [*self.flat.names.tensors, *self.flat.names.axes, *self.flat.names.numbers, *self.inherited]
            help = did_you_mean(e.name, known) or "a circuit sees its inputs, its parameters and what it declares"
            self.findings.error("E0201", f"unknown name `{e.name}`", e.span, help=help)
            raise Unresolvable
        return e

    def _read(self, name: str, args: tuple[syntax.Expr, ...], span: Span) -> syntax.Expr:
        """A tensor of the circuit at positions of its own axes: the caller's tensor, at the mapped indices too."""
        argument = self.inputs.get(name)
        if argument is None:
            args = (*self._outer(self.mapped[name], span), *args)
            named = self._named(name)
            return syntax.Index(span, named, args, span) if args else syntax.Name(span, named)
        positions: list[syntax.Expr] = []
        left, todo = [*args], len(argument.inside)
        for p in argument.read.args:
            if isinstance(p, syntax.Name) and (p.name, p.primes) in argument.inside:
                todo -= 1
                positions += left[:1] if todo else left  # the last one takes all: parts of a product, say
                left = left[1:] if todo else []
            else:
                positions.append(rewrite.expression(p, self._slot))
        named = argument.read.name
        return syntax.Index(span, named, tuple(positions), span) if positions else syntax.Name(span, named)

    def _slot(self, e: syntax.Expr) -> syntax.Expr | None:
        """A mapped index in an argument, as the instance's statements write it."""
        if isinstance(e, syntax.Name) and (e.name, e.primes) in self._slots:
            return syntax.Name(e.span, e.name, self._slots[e.name, e.primes])
        return None

    def _operation(self, e: syntax.Call) -> syntax.Expr:
        """An operation over axes: ``batch`` is the examples and every mapped axis; without brackets it is over none of them."""
        args = tuple(replace(a, value=rewrite.expression(a.value, self._visit)) for a in e.args)
        carried = self._ordered(set[Index]().union(*(self._carried(a.value) for a in e.args)))
        if e.axes is not None:
            axes: list[syntax.Expr] = []
            for axis in e.axes:
                axes.append(rewrite.expression(axis, self._visit))
                if isinstance(axis, syntax.Name) and axis.name == "batch":
                    axes += self._outer([i for i in carried if i not in self.family], axis.span)
            return replace(e, axes=tuple(axes), args=args)
        operation = operation_of(e)
        if operation is None or not operation.over or not carried:
            return replace(e, args=args)
        own = axes_of(e.args[0].value, self.flat.names)
        if own:
            return replace(e, axes=tuple(self._index(a, p, e.span) for a, p in own), args=args)
        left = _ALONE.get(e.name, e.name)
        return args[0].value if left is None else replace(e, name=left, args=args)

    # ------------------------------------------------------------ statements

    def _statement(self, s: syntax.Stmt) -> None:
        match s:
            case syntax.AxisDecl():
                self._own_axes(s)
            case syntax.Divided():
                sizes = [None if e is None else rewrite.expression(e, self._constant) for _, e in s.parts]
                parts = tuple((self.base[p], e) for (p, _), e in zip(s.parts, sizes, strict=True))
                self._add(replace(s, name=self.base[s.name], parts=parts))
            case syntax.InputDecl() | syntax.OutputDecl():
                pass
            case syntax.ParamDecl() | syntax.StateDecl() | syntax.LetDecl() | syntax.LearnBlock() if self.known:
                pass
            case syntax.LearnBlock() | syntax.InferBlock():
                self._add(replace(s, lines=tuple(map(self._default, s.lines))))
            case syntax.LetDecl() | syntax.StateDecl():
                for item in s.items:
                    self._add(self._with_target(rewrite.statement(replace(s, items=(item,)), self._visit)))
            case _:
                self._add(self._with_target(rewrite.statement(s, self._visit)))

    def _own_axes(self, s: syntax.AxisDecl) -> None:
        for item in s.items:
            value = item.value
            if item.name in self.flat.formal or self.known:
                continue
            if isinstance(value, syntax.ProductOf):
                value = replace(value, parts=tuple(replace(p, name=self.base[p.name]) for p in value.parts))
            elif value is not None:
                value = rewrite.expression(value, self._constant)
            self._axis(item.name, value, item.span)

    def _default(self, line: syntax.Stmt) -> syntax.Stmt:
        """A line of `learn` or `infer` of the circuit's own: weaker than a name in the model."""
        if isinstance(line, syntax.Density):
            made = canonical(rewrite.statement(line, self._visit), self.caller)
            return replace(made, default=True) if isinstance(made, syntax.Density) else made
        if not isinstance(line, syntax.RuleLine):
            return line
        names = tuple(replace(n, name=f"{self.path}.{n.name}") for n in line.selectors)
        return replace(line, selectors=names, default=True)

    def _with_target(self, s: syntax.Stmt) -> syntax.Stmt:
        """The statement with its left side under the caller's name and with the mapped indices; others are left."""
        match s:
            case syntax.Equation():
                target = self._target(s.target)
                if self.first is not None and s.target.name == self.flat.outputs[0]:
                    return replace(s, target=target, role=self.first.role, start=s.start, doc=self.first.doc)
                return replace(s, target=target, role="" if s.role == "output" else s.role)
            case syntax.ParamDecl() if s.sparse is not None:
                each = s.sparse.each + len(self.mapped.get(s.target.name, ()))
                return replace(s, target=self._target(s.target), sparse=replace(s.sparse, each=each))
            case syntax.Update() | syntax.ParamDecl() | syntax.LatentDecl():
                return replace(s, target=self._target(s.target))
            case syntax.LetDecl() | syntax.StateDecl():
                return replace(s, items=tuple(replace(i, target=self._target(i.target)) for i in s.items))
            case _:
                return s

    def _target(self, t: syntax.Target) -> syntax.Target:
        axes = (*self._outer(self.mapped.get(t.name, ()), t.span), *(t.axes or ()))
        return replace(t, name=self._named(t.name), axes=axes or t.axes)

    def _add(self, s: syntax.Stmt) -> None:
        """Add a statement, its indices in the order of its left side, and enter what it declares."""
        s = canonical(s, self.caller)
        if self.first is not None and isinstance(s, syntax.Equation) and s.target.name == self.first.target.name:
            s = replace(s, start=self.first.start if self.first.start is not None else s.start)
        self.made.append(s)
        if isinstance(s, syntax.Equation):
            self.caller.tensors[s.target.name] = Shape(indices(s.target.axes or ()))
        else:
            declared([s], self.caller)

    # ------------------------------------------------------------ the result

    def _result(self) -> syntax.Expr:
        """The first output, read with the caller's indices."""
        output = self.flat.outputs[0]
        found: list[Index] = list(self.mapped[output])
        for axis, primes in self._shape(output).axes:
            index = self.outside.get((axis, primes), (self.base[axis], primes))
            while index in found:
                index = index[0], index[1] + 1
            found.append(index)
        span = self.call.span
        name = self._named(output)
        return syntax.Index(span, name, written(found, span), span) if found else syntax.Name(span, name)


@dataclass(frozen=True, slots=True)
class _Argument:
    """An input's argument: a read of the caller, in which the positions ``inside`` are those of the input's axes."""

    read: syntax.Index
    inside: tuple[Index, ...]


def _over_batch(e: syntax.Call) -> bool:
    return any(isinstance(a, syntax.Name) and a.name == "batch" for a in e.axes or ())


def _declares(body: Iterable[syntax.Stmt]) -> Iterable[tuple[str, syntax.Stmt]]:
    """The tensors and constants that statements declare."""
    for s in body:
        match s:
            case syntax.LetDecl() | syntax.StateDecl():
                yield from ((i.target.name, s) for i in s.items)
            case syntax.ParamDecl() | syntax.LatentDecl() | syntax.Equation():
                yield s.target.name, s
            case _:
                pass
