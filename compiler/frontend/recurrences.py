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
from .elaborate import Context, promote
from .model import Expr, Recurrence, Tensor, Value
from .reads import Recurring
from .scope import Unresolvable
from .walk import names, walk

if TYPE_CHECKING:
    from .equations import Equations


@dataclass(frozen=True, slots=True)
class _Inner:
    """A member read by a member.  ``lags`` says, per axis that the target lists, how many labels before: 0 is the same
    label, negative a later one, None anything else."""

    reader: str
    target: str
    lags: dict[str, int | None]
    span: Span


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
        tensors = {m.target.name: self.equations.declarations.tensor(m.target, "value", "real", None) for m in members}
        inner = [read for m in members for read in self._reads(m, tensors)]
        axis = self._axis(members, tensors, inner)
        reverse = any((read.lags[axis] or 0) < 0 for read in inner)
        order = self._order(axis, members, inner)
        starts = self._starts(axis, members, tensors, inner)
        own = self.scope.per_example([axis]) if reverse else frozenset[str]()  # it begins at the example's own end
        values = self._values(axis, order, {n: replace(t, batched=bool(own)) for n, t in tensors.items()}, starts)
        self.equations.model.recurrences.append(Recurrence(axis, reverse, tuple(m.target.name for m in order), starts))
        return values

    # ------------------------------------------------------------ what reads what, and where

    def _reads(self, equation: syntax.Equation, tensors: Mapping[str, Tensor]) -> list[_Inner]:
        found: list[_Inner] = []
        indexed = [n for n in walk(equation.value) if isinstance(n, (syntax.Name, syntax.Index)) and n.name in tensors]
        for node in indexed:
            declared = tensors[node.name].declared
            args = node.args if isinstance(node, syntax.Index) else ()
            lags: dict[str, int | None] = dict.fromkeys(declared, 0)
            lags |= {name: self.lag(arg, name) for name, arg in zip(declared, args, strict=False)}
            found.append(_Inner(equation.target.name, node.name, lags, node.span))
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

    def _whole(self, e: syntax.Expr) -> int | None:
        """The value of a whole constant expression."""
        if any(isinstance(n, (syntax.Index, syntax.Call)) for n in walk(e)):
            return None
        known = (
            n.name in self.scope.let_items or self.scope.is_axis(n.name) for n in walk(e) if isinstance(n, syntax.Name)
        )
        if not all(known):
            return None
        value = self.scope.number(e)
        return value if isinstance(value, int) else None

    # ------------------------------------------------------------ which axis

    def _axis(self, members: Sequence[syntax.Equation], tensors: Mapping[str, Tensor], inner: Sequence[_Inner]) -> str:
        """The axis along which the circle runs."""
        common = [a for a in tensors[members[0].target.name].declared if all(a in t.declared for t in tensors.values())]
        shifted = [a for a in common if any(read.lags[a] for read in inner)]
        self._refuse_others(common, inner)
        if not shifted:
            self._circle(members)
        for axis in shifted:
            signs = {(lag > 0) for read in inner if (lag := read.lags[axis])}
            if len(signs) == 2:
                self._both_directions(axis, inner)
        if len(shifted) > 1:
            self.findings.error(
                "E0901",
                f"a recurrence along two axes (`{shifted[0]}` and `{shifted[1]}`) is not compiled yet",
                members[0].target.span,
            )
            raise Unresolvable
        if self.scope.axis(shifted[0]).leaves != (shifted[0],):
            self.findings.error(
                "E0901",
                f"a recurrence along the product axis `{shifted[0]}` is not compiled yet",
                members[0].target.span,
            )
            raise Unresolvable
        return shifted[0]

    def _refuse_others(self, common: Sequence[str], inner: Sequence[_Inner]) -> None:
        """A read at labels that are no plain shift, along an axis that all list."""
        for read in inner:
            odd = [a for a in common if read.lags[a] is None]
            if odd and not any(read.lags[a] for a in common):
                self.findings.error(
                    "E0901",
                    f"`{read.reader}` reads `{read.target}` at computed labels of `{odd[0]}`: such a recurrence is not compiled yet",
                    read.span,
                )
                raise Unresolvable

    def _circle(self, members: Sequence[syntax.Equation]) -> None:
        """Values that depend on themselves at the same label."""
        by_name = {m.target.name: m for m in members}
        path = [members[0].target.name]
        while path.count(path[-1]) < 2:
            path.append(min(names(by_name[path[-1]].value) & by_name.keys()))
        path = path[path.index(path[-1]) :]
        self.findings.error(
            "E0206",
            f"`{path[0]}` depends on itself: {' -> '.join(path)}",
            by_name[path[0]].target.span,
            help="a recurrence reads an earlier label, for instance h[t-1]",
        )
        raise Unresolvable

    def _both_directions(self, axis: str, inner: Sequence[_Inner]) -> None:
        earlier = next(read for read in inner if (read.lags[axis] or 0) > 0)
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

    def _order(self, axis: str, members: Sequence[syntax.Equation], inner: Sequence[_Inner]) -> list[syntax.Equation]:
        """The members, each after those it reads at the same label."""
        by_name = {m.target.name: m for m in members}
        same = {n: [r.target for r in inner if r.reader == n and not r.lags[axis]] for n in by_name}
        order: list[syntax.Equation] = []
        for component in components(same):
            if len(component) > 1 or component[0] in same[component[0]]:
                self._circle([by_name[n] for n in component])
            order.append(by_name[component[0]])
        return order

    # ------------------------------------------------------------ typing

    def _starts(
        self, axis: str, members: Sequence[syntax.Equation], tensors: Mapping[str, Tensor], inner: Sequence[_Inner]
    ) -> dict[str, Expr]:
        """The start of every member that is read at another label."""
        starts: dict[str, Expr] = {}
        for member in members:
            name = member.target.name
            read = next((r for r in inner if r.target == name and r.lags[axis]), None)
            if member.start is None:
                if read is not None:
                    self._no_start(member, read, axis)
                continue
            if read is None:
                self.findings.error(
                    "E0223",
                    f"`{name}` has a start, but nothing reads it before its first label",
                    member.start.span,
                    help="remove the start",
                )
                raise Unresolvable
            open_ = frozenset(tensors[name].leaves) - frozenset(self.scope.indices(syntax.Name(member.span, axis)))
            starts[name] = self.elaborator.expression(member.start, Context(open=open_, explicit=open_))
        return starts

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
        self, axis: str, order: Sequence[syntax.Equation], tensors: Mapping[str, Tensor], starts: Mapping[str, Expr]
    ) -> dict[str, Value]:
        """Type the members until dtypes and batches no longer change (each can only grow, so this ends)."""
        for name, tensor in tensors.items():
            start = starts.get(name)
            first = replace(
                tensor,
                dtype=start.dtype if start else "bool",
                batched=tensor.batched or (start is not None and "batch" in start.axes),
            )
            self.scope.tensors[name] = first
        self.elaborator.reads.recurring = Recurring(axis, frozenset(tensors), lambda arg: self.lag(arg, axis))
        try:
            while True:
                values = {m.target.name: self._value(m) for m in order}
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
        expr = self.elaborator.expression(equation.value, Context(open=indices, explicit=indices))
        dtype = expr.dtype if before.dtype == expr.dtype else promote(before.dtype, expr.dtype)
        tensor = replace(before, dtype=dtype, batched=before.batched or "batch" in expr.axes)
        return Value(tensor, expr, equation.role == "probe", equation.span)
