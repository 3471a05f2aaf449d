"""Reading tensors: which index stands in which position (language, 4.4 and 4.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from ..diagnostics import Note, Span, did_you_mean
from . import model as typed
from . import nodes as syntax
from .model import NO_INDICES, Expr, Tensor
from .scope import Unresolvable
from .typed_walk import whole_number

if TYPE_CHECKING:
    from .elaborate import Context, Elaborator


MOST_LABELS = 100_000
"""Labels at which it is looked whether a computed one is earlier."""


@dataclass(frozen=True, slots=True)
class Recurring:
    """The recurrence whose equations are being read: its axes, its members, and the lag of an index position."""

    axes: frozenset[str]
    members: frozenset[str]
    lag: Callable[[syntax.Expr, str], int | None]

    def along(self, tensor: Tensor, position: tuple[str, ...]) -> bool:
        """Is it a member's position along which a recurrence runs?"""
        return tensor.name in self.members and len(position) == 1 and position[0] in self.axes

    def shifted(self, arg: syntax.Expr, axis: str) -> Expr | None:
        """``h[t-1]``: a member at a label so many before, if it is that."""
        lag = self.lag(arg, axis)
        return typed.Earlier(frozenset({axis}), "int", arg.span, axis, lag) if lag else None


class Reads:
    """Elaborates bare and indexed reads for an :class:`Elaborator`."""

    def __init__(self, elaborator: Elaborator) -> None:
        self.elaborator = elaborator
        self.scope = elaborator.scope
        self.findings = elaborator.findings
        self.recurring: Recurring | None = None  # while the equations of a recurrence are read

    def bare(self, e: syntax.Name, tensor: Tensor, context: Context) -> Expr:
        """A bare name means all its declared axes."""
        return self._read(e, tensor, list(tensor.leaves), context)

    def index(self, e: syntax.Index, context: Context) -> Expr:
        """``W[hid, pix]``, ``E[tok[t], d]``, ``mu[z]``: positions are matched from the left, the rest as declared.

        Raises:
            Unresolvable: after reporting a wrong axis, order, number of indices or index expression.
        """
        tensor = self.scope.tensors.get(e.name)
        if tensor is None:
            self._not_a_tensor(e)
            raise Unresolvable
        at: list[str | Expr] = []
        for arg in e.args:
            if len(at) >= len(tensor.leaves):
                self._too_many(e, tensor)
                raise Unresolvable
            if isinstance(arg, syntax.Name) and (self.scope.is_axis(arg.name) or self._meant_as_axis(arg)):
                at += self._plain(arg, e, tensor, len(at))
            else:
                at += self._computed(arg, e, tensor, len(at), context)
        at += tensor.leaves[len(at) :]
        return self._read(e, tensor, at, context)

    def _read(self, e: syntax.Expr, tensor: Tensor, at: list[str | Expr], context: Context) -> Expr:
        """The read itself.  An index used twice is a diagonal: the second use is its label."""
        seen: set[str] = set()
        for k, position in enumerate(at):
            if isinstance(position, str):
                if position in seen:
                    at[k] = typed.Label(frozenset({position}), "int", e.span, position, 0)
                seen.add(position)
        axes = NO_INDICES.union(*({p} if isinstance(p, str) else p.axes for p in at))
        self.elaborator.check_open(axes, e, context)
        axes |= {"batch"} if tensor.batched else NO_INDICES
        return typed.Read(axes, tensor.dtype, e.span, tensor, tuple(at))

    # ------------------------------------------------------------ positions

    def _plain(self, arg: syntax.Name, e: syntax.Index, tensor: Tensor, cursor: int) -> list[str | Expr]:
        """A bare axis name: its leaves must be the declared ones, in order."""
        if not self.scope.is_axis(arg.name):
            self._wrong_axis(arg, e, tensor, cursor)
            raise Unresolvable
        leaves = self.scope.indices(arg)
        bases = [leaf.rstrip("'") for leaf in leaves]
        declared = [leaf.rstrip("'") for leaf in tensor.leaves[cursor : cursor + len(leaves)]]
        if bases == declared:
            return list(leaves)
        if sorted(bases) == sorted(declared):
            self.findings.error(
                "E0208",
                f"`{arg.name}` is ({', '.join(bases)}), but `{tensor.name}` holds ({', '.join(declared)}) there",
                arg.span,
                label=f"`{tensor.name}` is declared {tensor.written()}",
                notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
                help=f"index it [{', '.join(declared)}], or declare a product in that order",
            )
        else:
            self._wrong_axis(arg, e, tensor, cursor)
        raise Unresolvable

    def _computed(
        self, arg: syntax.Expr, e: syntax.Index, tensor: Tensor, cursor: int, context: Context
    ) -> list[str | Expr]:
        """An integer expression: a gather at its value (windows and recurrences are other constructs)."""
        position = self._declared_position(tensor, cursor)
        labels = {i.rstrip("'") for i in self.elaborator.shown.labels(arg)}
        if self._is_window(arg) and labels & {*position} == {position[0]}:
            position = (position[0],)  # `x[row + dr, col + dc]` of x[pix]: its parts, one by one
        along = self.recurring is not None and self.recurring.along(tensor, position)
        if self.recurring is not None and along and (shifted := self.recurring.shifted(arg, position[0])) is not None:
            return [shifted]
        if isinstance(arg, syntax.Name) and arg.name in ("last", "first"):
            return self._end(arg, position)
        inside = replace(context, position=True, bare="label")
        value = self.elaborator.visit(arg, inside)
        if value.dtype == "real":
            self.findings.error(
                "E0216",
                f"an index must be a whole number; this is {value.dtype}",
                arg.span,
                help="use `//` for whole-number division",
            )
            raise Unresolvable
        if along:
            return [self._earlier(arg, value, e, position[0])]
        window = self._is_window(arg)
        if not window:
            self._check_label(arg, value, e, position)
        elif len(position) > 1:
            self._window_over_product(arg, position)
        low = self.scope.axis(position[0]).low if len(position) == 1 else 0
        if low:
            shift = typed.Const(NO_INDICES, "int", arg.span, low)
            value = typed.Sum(value.axes, "int", arg.span, ((False, value), (True, shift)))
        if window:
            return [typed.Window(value.axes, "int", arg.span, value)]
        return list(self._split(value, position, arg.span))

    def _earlier(self, arg: syntax.Expr, value: Expr, e: syntax.Index, axis: str) -> Expr:
        """``h[(node-1)//2]``: a computed label, which must be an earlier one at every label."""
        declared = self.scope.axis(axis)
        problem = f"`{e.name}` is read at a computed label of `{axis}`, and "
        if declared.size is None or not value.axes <= {axis}:
            fix = f"give `{axis}` a size" if declared.size is None else f"compute it from the label of `{axis}` alone"
            self.findings.error("E0225", problem + "it cannot be seen that it is an earlier one", arg.span, help=fix)
            raise Unresolvable
        for label in range(declared.low, declared.low + min(declared.size, MOST_LABELS)):
            found = whole_number(value, {axis: label})
            if found is None or found >= label:
                message = problem + (
                    f"at label {label} that is label {found}" if found is not None else "it is no number"
                )
                self.findings.error("E0225", message, arg.span, help="a recurrence reads earlier labels only")
                raise Unresolvable
        if declared.low:
            shift = typed.Const(NO_INDICES, "int", arg.span, declared.low)
            value = typed.Sum(value.axes, "int", arg.span, ((False, value), (True, shift)))
        return typed.Earlier(frozenset({axis}), "int", arg.span, axis, 0, value)

    def _declared_position(self, tensor: Tensor, cursor: int) -> tuple[str, ...]:
        """The leaf axes of the declared position that starts at the cursor (one leaf inside a split product)."""
        start = 0
        for name in tensor.declared:
            leaves = self.scope.indices(syntax.Name(tensor.span, name.rstrip("'")))
            if start == cursor:
                return leaves
            start += len(leaves)
        return (tensor.leaves[cursor].rstrip("'"),)

    def _split(self, value: Expr, leaves: tuple[str, ...], span: Span) -> list[Expr]:
        """A position in a product axis, taken apart row-major: quotient first, remainder last."""
        if len(leaves) == 1:
            return [value]
        size = self.elaborator.size(syntax.Name(span, leaves[-1]))
        head = typed.Apply(value.axes | size.axes, "int", span, "floordiv", (value, size))
        tail = typed.Apply(value.axes | size.axes, "int", span, "mod", (value, size))
        return [*self._split(head, leaves[:-1], span), tail]

    def _end(self, arg: syntax.Name, position: tuple[str, ...]) -> list[str | Expr]:
        zero = typed.Const(NO_INDICES, "int", arg.span, 0)
        if arg.name == "first":
            return [zero] * len(position)
        ends: list[str | Expr] = []
        for leaf in position:
            size, one = self.elaborator.size(syntax.Name(arg.span, leaf)), typed.Const(NO_INDICES, "int", arg.span, 1)
            ends.append(typed.Sum(size.axes, "int", arg.span, ((False, size), (True, one))))
        return ends

    def _is_window(self, arg: syntax.Expr) -> bool:
        """``x[row + dr]``: labels with additions and factors only is a window, which has its own edge rule."""
        shifted = isinstance(arg, (syntax.Binary, syntax.Unary)) and self._affine(arg)
        return shifted and bool(self.elaborator.shown.labels(arg))

    def _window_over_product(self, arg: syntax.Expr, position: tuple[str, ...]) -> None:
        parts = ", ".join(position)
        self.findings.error(
            "E0226",
            f"a window reads along plain axes; `{self._position_name(position)}` is a product of {parts}",
            arg.span,
            help=f"index the parts: [{', '.join(f'{p} + ..' for p in position)}]",
        )
        raise Unresolvable

    def _affine(self, arg: syntax.Expr) -> bool:
        match arg:
            case syntax.Number():
                return True
            case syntax.Name():
                return self.scope.is_axis(arg.name) or arg.name in self.scope.let_items
            case syntax.Unary():
                return self._affine(arg.operand)
            case syntax.Binary():
                return arg.op in "+-*" and self._affine(arg.left) and self._affine(arg.right)
            case _:
                return False

    # ------------------------------------------------------------ findings

    def _meant_as_axis(self, arg: syntax.Name) -> bool:
        """An unknown bare name in brackets was most likely meant as an axis."""
        scope = self.scope
        known = arg.name in scope.tensors or arg.name in scope.let_items or arg.name in ("last", "first")
        return bool(arg.primes) or (not known and arg.name not in scope.broken)

    def _check_label(self, arg: syntax.Expr, value: Expr, e: syntax.Index, position: tuple[str, ...]) -> None:
        """A label of one axis may not index another axis."""
        if isinstance(value, typed.Read) and value.tensor.label is not None:
            leaves = self.scope.indices(syntax.Name(arg.span, value.tensor.label))
            if leaves != position:
                self.findings.error(
                    "E0203",
                    f"`{value.tensor.name}` holds labels of `{value.tensor.label}`; this position of `{e.name}` is over `{', '.join(position)}`",
                    arg.span,
                    notes=[Note(f"`{value.tensor.name}` is declared here", value.tensor.span)],
                    help=f"declare `{value.tensor.name}` with labels of `{self._position_name(position)}`, or index another tensor",
                )
                raise Unresolvable
        number = whole_number(value)
        if number is not None:
            axes = [self.scope.axis(leaf) for leaf in position]
            sizes = [a.size for a in axes]
            size = None if None in sizes else prod(s or 1 for s in sizes)
            low = axes[0].low if len(axes) == 1 else 0
            if number < low or (size is not None and number >= low + size):
                last = "last" if size is None else low + size - 1
                self.findings.error(
                    "E0216",
                    f"label {number} is outside `{self._position_name(position)}`: its labels are {low}..{last}",
                    arg.span,
                    help="the last label is written `last`" if number == -1 else f"write a label from {low} to {last}",
                )
                raise Unresolvable

    def _position_name(self, position: tuple[str, ...]) -> str:
        whole = (a.name for a in self.scope.axes.values() if a.leaves == position)
        return next(whole, ", ".join(position))

    def _wrong_axis(self, arg: syntax.Name, e: syntax.Index, tensor: Tensor, cursor: int) -> None:
        line = self._line(tensor.span)
        label = f"`{tensor.name}` is declared {tensor.written()} on line {line}"
        if not self.scope.is_axis(arg.name):
            if arg.name in self.scope.broken:
                return
            hint = did_you_mean(arg.name, tensor.declared) or did_you_mean(arg.name, self.scope.axis_items)
            self.findings.error(
                "E0203",
                f"axis `{arg.name}` is not an axis of `{tensor.name}`",
                arg.span,
                label=label,
                help=hint or f"`{tensor.name}` has {tensor.written()}",
            )
            return
        if self._permuted(e, tensor):
            raise Unresolvable
        wanted = tensor.leaves[cursor].rstrip("'")
        sizes = f"`{arg.name}` has {self._size(arg.name)} labels, `{wanted}` has {self._size(wanted)}"
        self.findings.error(
            "E0203",
            f"position {len(self._before(e, arg)) + 1} of `{tensor.name}` is over `{wanted}`, not `{arg.name}`",
            arg.span,
            label=label,
            notes=[Note(sizes), Note(f"`{tensor.name}` is declared here", tensor.span)],
            help=f"write {tensor.written()}",
        )

    def _permuted(self, e: syntax.Index, tensor: Tensor) -> bool:
        """All of the tensor's axes, but parts of a product in another order: say which order is meant."""
        names = [a for a in e.args if isinstance(a, syntax.Name) and self.scope.is_axis(a.name)]
        given = [leaf.rstrip("'") for a in names for leaf in self.scope.indices(a)]
        declared = [leaf.rstrip("'") for leaf in tensor.leaves]
        products = [d for d in tensor.declared if len(self.scope.indices(syntax.Name(tensor.span, d.rstrip("'")))) > 1]
        if not products or len(names) != len(e.args) or given == declared or sorted(given) != sorted(declared):
            return False
        whole = self.scope.indices(syntax.Name(tensor.span, products[0].rstrip("'")))
        if tuple(leaf for leaf in given if leaf in whole) == whole:  # the parts are in order; whole axes are not
            return False
        parts = ", ".join(self.scope.indices(syntax.Name(tensor.span, products[0].rstrip("'"))))
        self.findings.error(
            "E0208",
            f"`{products[0]}` is ({parts}): its parts stand in that order",
            e.span,
            label=f"`{tensor.name}` is declared {tensor.written()}",
            notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
            help=f"write {tensor.name}[{', '.join(declared)}]",
        )
        return True

    def _before(self, e: syntax.Index, arg: syntax.Name) -> list[syntax.Expr]:
        return list(e.args[: next(k for k, a in enumerate(e.args) if a is arg)])

    def _too_many(self, e: syntax.Index, tensor: Tensor) -> None:
        bare = tensor.kind == "value" and not tensor.declared
        self.findings.error(
            "E0204",
            f"`{tensor.name}` has {_counted(len(tensor.declared), 'axis', 'axes')}, "
            f"but {_counted(len(e.args), 'index is', 'indices are')} given",
            e.span,
            label=f"`{tensor.name}` is declared {tensor.written()} on line {self._line(tensor.span)}",
            notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
            help=f"write {tensor.written()}"
            + (f", or list the axes where it is defined: {self.elaborator.text(e.span)} = .." if bare else ""),
        )

    def _not_a_tensor(self, e: syntax.Index) -> None:
        scope = self.scope
        if e.name in scope.broken:
            return
        if e.name in scope.let_items or scope.is_axis(e.name):
            self.findings.error(
                "E0215",
                f"`{e.name}` is not a tensor and cannot be indexed",
                e.name_span,
                notes=[Note(f"`{e.name}` is declared here", scope.places[e.name])] if e.name in scope.places else (),
                help=f"write {e.name} without brackets",
            )
        else:
            scope.unknown(e.name, e.name_span)

    def _size(self, axis: str) -> str:
        size = self.scope.axis(axis).size if axis in self.scope.axis_items else None
        return "a data-bound number of" if size is None else str(size)

    def _line(self, span: Span) -> int:
        source = self.findings.sources.get(span.file)
        return source.position(span.start)[0] if source else 0


def _counted(count: int, one: str, many: str) -> str:
    return f"{count or 'no'} {one if count == 1 else many}"
