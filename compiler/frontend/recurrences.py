"""Recurrences (language, 4.6): equations that read each other at earlier, or all at later, labels of one axis.

    h[t, hid] = tanh(A[hid, hid'] * h[t-1, hid'] + B[hid, pix] * x[t, pix])   start 0

A circle of equations becomes a recurrence when some axis that all of them list carries the shifts: then reads at the
same label are in order, and everything else lies in the past.  What a member holds (a dtype, a batch) depends on what
it reads, itself among it: found by going round until nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..diagnostics import Note, Span
from . import nodes as syntax
from .cycles import components
from .elaborate import Context
from .model import Expr, Recurrence, Tensor, Value
from .reads import Recurring
from .scope import Unresolvable
from .typed_walk import promote
from .walk import names, walk

if TYPE_CHECKING:
    from .equations import Equations


@dataclass(frozen=True, slots=True)
class _Inner:
    """A member read by a member.  ``lags`` says, per axis that the target lists, how many labels before: 0 is the same
    label, negative a later one, None a computed one.  Axes of ``all`` are read at every label (``h[t-1, hid']``)."""

    reader: str
    target: str
    lags: dict[str, int | None]
    all: frozenset[str]
    span: Span

    def at_same(self, axis: str) -> bool:
        """Is it read at the label that is being computed?"""
        return self.lags.get(axis, 0) == 0


class Recurrences:
    """Types the circles among the equations of one model."""

    def __init__(self, equations: Equations) -> None:
        self.equations = equations
        self.scope = equations.scope
        self.findings = equations.findings
        self.elaborator = equations.elaborator

    def read(self, members: Sequence[syntax.Equation]) -> dict[str, Value]:
        """The values of a circle; what is wrong with it is reported, and its names are broken then."""
        try:
            return self._read(members)
        except Unresolvable:
            self.scope.broken.update(m.target.name for m in members)
            return {}

    def _read(self, members: Sequence[syntax.Equation]) -> dict[str, Value]:
        by_name = {m.target.name: m for m in members}
        tensors = {
            name: self.equations.declarations.tensor(m.target, "value", "real", None) for name, m in by_name.items()
        }
        self._check_start_reads(by_name)
        inner = [read for m in members for read in self._reads(m, tensors)]
        whole = self._nested(by_name, tensors, inner)
        self._check_starts(by_name, inner)
        values = self._values(whole, by_name, tensors)
        self.equations.model.recurrences.append(whole)
        return values

    # ------------------------------------------------------------ what reads what, and where

    def _reads(self, equation: syntax.Equation, tensors: Mapping[str, Tensor]) -> list[_Inner]:
        found: list[_Inner] = []
        indexed = [n for n in walk(equation.value) if isinstance(n, (syntax.Name, syntax.Index)) and n.name in tensors]
        for node in indexed:
            declared = tensors[node.name].declared
            args = node.args if isinstance(node, syntax.Index) else ()
            lags: dict[str, int | None] = dict.fromkeys(declared, 0)
            given = dict(zip(declared, args, strict=False))
            lags |= {name: self.lag(arg, name) for name, arg in given.items()}
            every = frozenset(n for n, arg in given.items() if lags[n] is None and self._elsewhere(arg, n))
            lags |= dict.fromkeys(every, 0)
            found.append(_Inner(equation.target.name, node.name, lags, every, node.span))
        return found

    def lag(self, arg: syntax.Expr, axis: str) -> int | None:
        """How many labels of an axis before the open one an index position lies, if it is a plain shift of it."""
        match arg:
            case syntax.Name():
                return 0 if arg.name + "'" * arg.primes == axis else None
            case syntax.Binary(op="-", left=syntax.Name() as name) if self.lag(name, axis) == 0:
                return self._whole(arg.right)
            case syntax.Binary(op="+", left=syntax.Name() as name) if self.lag(name, axis) == 0:
                lag = self._whole(arg.right)
                return None if lag is None else -lag
            case syntax.Binary(op="+", right=syntax.Name() as name) if self.lag(name, axis) == 0:
                lag = self._whole(arg.left)
                return None if lag is None else -lag
            case _:
                return None

    def _elsewhere(self, arg: syntax.Expr, axis: str) -> bool:
        """Does a position go over labels by another index: ``hid'``, ``row + dr``?"""
        read = [n for n in walk(arg) if isinstance(n, syntax.Name)]
        return any(self.scope.is_axis(n.name) and n.name + "'" * n.primes != axis for n in read)

    def _whole(self, e: syntax.Expr) -> int | None:
        """The value of a whole constant expression."""
        if any(isinstance(n, (syntax.Index, syntax.Call)) for n in walk(e)):
            return None
        read = [n.name for n in walk(e) if isinstance(n, syntax.Name)]
        if not all(name in self.scope.let_items for name in read):
            return None
        value = self.scope.number(e)
        return value if isinstance(value, int) else None

    # ------------------------------------------------------------ along which axes

    def _nested(
        self, members: Mapping[str, syntax.Equation], tensors: Mapping[str, Tensor], inner: Sequence[_Inner]
    ) -> Recurrence:
        """The recurrence of a circle: what is left of it when earlier labels of one axis are known is in order, or runs
        along another axis within."""
        axis = self._axis(members, tensors, inner)
        left = [read for read in inner if read.at_same(axis)]
        same = {n: [r.target for r in left if r.reader == n] for n in members}
        parts: list[str | Recurrence] = []
        for names_ in components(same):
            if len(names_) == 1 and names_[0] not in same[names_[0]]:
                parts.append(names_[0])
                continue
            circle = {n: members[n] for n in names_}
            parts.append(self._nested(circle, tensors, [r for r in left if r.reader in circle and r.target in circle]))
        reverse = any((read.lags[axis] or 0) < 0 for read in inner)
        past = dict.fromkeys(read.target for read in inner if not read.at_same(axis))
        starts = {name: self._start(axis, members[name], tensors[name], inner) for name in past}
        return Recurrence(axis, reverse, tuple(parts), starts)

    def _axis(
        self, members: Mapping[str, syntax.Equation], tensors: Mapping[str, Tensor], inner: Sequence[_Inner]
    ) -> str:
        """The axis along which a circle runs; of several the shortest, so that most is computed at once within."""
        first, *others = members
        common = [a for a in tensors[first].declared if all(a in tensors[n].declared for n in others)]
        usable = [a for a in common if not any(a in read.all for read in inner)]
        shifted = [a for a in usable if not all(read.at_same(a) for read in inner)]
        if not shifted:
            self._circle(members)
        for read in inner:
            if sum(not read.at_same(a) for a in shifted) > 1:
                self._two_axes(read, shifted)
        for axis in shifted:
            if {(lag is None or lag > 0) for read in inner if (lag := read.lags[axis]) != 0} == {True, False}:
                self._both_directions(axis, inner)
            if self.scope.axis(axis).leaves != (axis,):
                self._product_axis(axis, members)
        return min(shifted, key=lambda a: (self.scope.axis(a).size is None, self.scope.axis(a).size or 0))

    def _circle(self, members: Mapping[str, syntax.Equation]) -> None:
        """Values that depend on themselves at the same label."""
        path = [next(iter(members))]
        while path.count(path[-1]) < 2:
            path.append(min(_reads(members[path[-1]]) & members.keys()))
        path = path[path.index(path[-1]) :]
        self.findings.error(
            "E0206",
            f"`{path[0]}` depends on itself: {' -> '.join(path)}",
            members[path[0]].target.span,
            help="a recurrence reads an earlier label, for instance h[t-1]",
        )
        raise Unresolvable

    def _both_directions(self, axis: str, inner: Sequence[_Inner]) -> None:
        earlier = next(read for read in inner if (lag := read.lags[axis]) is None or lag > 0)
        later = next(read for read in inner if (read.lags[axis] or 0) < 0)
        self.findings.error(
            "E0222",
            f"one circle reads both earlier and later labels of `{axis}`: it has no order",
            later.span,
            label=f"`{later.target}` at a later label",
            notes=[Note(f"`{earlier.target}` is read at an earlier label here", earlier.span)],
            help="split it into a forward and a backward recurrence that do not read each other",
        )
        raise Unresolvable

    def _two_axes(self, read: _Inner, axes: Sequence[str]) -> None:
        a, b = [axis for axis in axes if not read.at_same(axis)][:2]
        self.findings.error(
            "E0224",
            f"`{read.target}` is read at another label of `{a}` and of `{b}` at once: a recurrence runs along one axis",
            read.span,
            help=f"name what comes from before along `{b}` in an equation of its own, and read that",
        )
        raise Unresolvable

    def _product_axis(self, axis: str, members: Mapping[str, syntax.Equation]) -> None:
        leaves = ", ".join(self.scope.axis(axis).leaves)
        self.findings.error(
            "E0224",
            f"`{axis}` is a product of {leaves}: a recurrence runs along one plain axis",
            next(iter(members.values())).target.span,
            help=f"let it run along {leaves.rpartition(', ')[2]}, or declare an axis for it",
        )
        raise Unresolvable

    # ------------------------------------------------------------ typing

    def _start(self, axis: str, member: syntax.Equation, tensor: Tensor, inner: Sequence[_Inner]) -> Expr:
        """What is read outside the axis."""
        if member.start is None:
            self._no_start(member, next(r for r in inner if r.target == tensor.name and not r.at_same(axis)), axis)
            raise Unresolvable
        open_ = frozenset(tensor.leaves) - {axis}
        return self.elaborator.expression(member.start, Context(open=open_, explicit=open_))

    def _check_start_reads(self, members: Mapping[str, syntax.Equation]) -> None:
        """A start exists before the recurrence: it reads none of its members."""
        for name, member in members.items():
            read = sorted(names(member.start) & members.keys()) if member.start is not None else []
            if member.start is not None and read:
                self.findings.error(
                    "E0206",
                    f"the start of `{name}` depends on `{name}`" + ("" if name in read else f" through `{read[0]}`"),
                    member.start.span,
                    help="start from a number, a parameter or a value that the recurrence does not feed",
                )
                raise Unresolvable

    def _check_starts(self, members: Mapping[str, syntax.Equation], inner: Sequence[_Inner]) -> None:
        """Every start is of something that is read at another label."""
        for name, member in members.items():
            read = any(r.target == name and any(lag != 0 for lag in r.lags.values()) for r in inner)
            if member.start is not None and not read:
                self.findings.error(
                    "E0223",
                    f"`{name}` has a start, but nothing reads it before its first label",
                    member.start.span,
                    help="remove the start",
                )
                raise Unresolvable

    def _no_start(self, member: syntax.Equation, read: _Inner, axis: str) -> None:
        name = member.target.name
        before = "after its last label" if (read.lags[axis] or 0) < 0 else "before its first label"
        self.findings.error(
            "E0221",
            f"`{name}` is read {before}, but it has no start",
            read.span,
            notes=[Note(f"`{name}` is defined here", member.target.span)],
            help=f"end its equation with a start: {name}[..] = ..   start 0",
        )
        raise Unresolvable

    def _values(
        self, whole: Recurrence, members: Mapping[str, syntax.Equation], tensors: Mapping[str, Tensor]
    ) -> dict[str, Value]:
        """Type the members until dtypes and batches no longer change (each can only grow, so this ends)."""
        for recurrence in whole.everywhere():
            own = self.scope.per_example([recurrence.axis]) if recurrence.reverse else ()  # it begins at the own end
            for name in recurrence.names():
                start = whole.start_of(name)
                batched = bool(own) or (start is not None and "batch" in start.axes)
                before = self.scope.tensors.get(name, replace(tensors[name], dtype=start.dtype if start else "bool"))
                self.scope.tensors[name] = replace(before, batched=before.batched or batched)
        axes = frozenset(r.axis for r in whole.everywhere())
        self.elaborator.reads.recurring = Recurring(axes, frozenset(tensors), self.lag)
        try:
            while True:
                values = {name: self._value(members[name]) for name in whole.names()}
                if all(self.scope.tensors[name] == v.tensor for name, v in values.items()):
                    return values
                self.scope.tensors.update((name, v.tensor) for name, v in values.items())
        except Unresolvable:
            for name in tensors:
                del self.scope.tensors[name]
            raise
        finally:
            self.elaborator.reads.recurring = None

    def _value(self, equation: syntax.Equation) -> Value:
        """One member, from what the others are known to be so far."""
        before = self.scope.tensors[equation.target.name]
        indices = frozenset(before.leaves)
        context = Context(open=indices, explicit=indices, left=before.declared)
        expr = self.elaborator.expression(equation.value, context)
        dtype = expr.dtype if before.dtype == expr.dtype else promote(before.dtype, expr.dtype)
        tensor = replace(before, dtype=dtype, batched=before.batched or "batch" in expr.axes)
        return Value(tensor, expr, equation.role == "probe", equation.span)


def _reads(equation: syntax.Equation) -> set[str]:
    """The names that an equation reads, its start included."""
    return names(equation.value) | (names(equation.start) if equation.start is not None else set())
