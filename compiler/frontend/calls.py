"""Calls of operations: their arguments, what they run over, what they are not (language, 4.8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..diagnostics import Note, did_you_mean
from . import externs, habits
from . import model as typed
from . import nodes as syntax
from .distributions import DISTRIBUTIONS
from .model import Expr
from .operations import OPERATION_NAMES, RANGES, Operation
from .scope import Unresolvable
from .shown import operation_of
from .typed_walk import constant, promote, union

if TYPE_CHECKING:
    from .elaborate import Context, Elaborator


class Calls:
    """Reads the calls within one model's expressions; every method raises Unresolvable after reporting."""

    def __init__(self, elaborator: Elaborator) -> None:
        self.elaborator = elaborator
        self.scope = elaborator.scope
        self.findings = elaborator.findings

    def call(self, e: syntax.Call, context: Context) -> Expr:
        if e.name in ("size", "label"):
            return self._size_or_label(e, context)
        if e.name == "posterior":
            return self._posterior(e, context)
        if self.elaborator.shown.externs is not None and e in self.elaborator.shown.externs:
            return externs.call(self.elaborator.shown.externs, e, self.elaborator, context)
        operation = operation_of(e)
        if operation is None and self.elaborator.functions is not None and e.name in self.elaborator.functions:
            return self.elaborator.functions.expand(e, self.elaborator, context)
        if operation is None:
            self._unknown_call(e)
            raise Unresolvable
        args = self._arguments(e, operation)
        if operation.over:
            return self._over(e, operation, args, context)
        if e.axes is not None:
            self.findings.error(
                "E0214",
                f"`{e.name}` works on each entry; it takes no index in brackets",
                e.span,
                help=f"write {e.name}(..)",
            )
            raise Unresolvable
        parts = self.elaborator.all(args, context)
        self._check_ranges(e, operation, args, parts)
        values = [p.dtype for p, name in zip(parts, operation.params, strict=True) if name != "condition"]
        dtype = promote(*values) if operation.dtype == "same" else operation.dtype
        return typed.Apply(union(parts), dtype, e.span, e.name, tuple(parts))

    def _check_ranges(self, e: syntax.Call, operation: Operation, args: list[syntax.Expr], parts: list[Expr]) -> None:
        """A constant argument lies where the operation is defined."""
        for name, arg, part in zip(operation.params, args, parts, strict=True):
            legal, wanted = RANGES.get((e.name, name), (None, ""))
            if legal is None or not constant(part):
                continue
            value = float(self.scope.number(arg))
            if not legal(value):
                problem = f"`{name}` of `{e.name}` must be {wanted}; here it is {value:g}"
                self.findings.error("E0218", problem, arg.span, help=f"write a number that is {wanted}")
                raise Unresolvable

    def _unknown_call(self, e: syntax.Call) -> None:
        if e.name in self.scope.broken:
            return
        if e.name in ("min", "max"):
            message = f"`{e.name}` takes one argument (over axes) or two, not {len(e.args)}"
            self.findings.error("E0213", message, e.span, help=f"write {e.name}[i](u) or {e.name}(a, b)")
        elif e.name in self.scope.tensors or self.scope.is_axis(e.name):
            self.findings.error(
                "E0215",
                f"`{e.name}` is not an operation",
                e.name_span,
                help=f"index it with brackets: {e.name}[..]",
                notes=self._declared_at(e.name),
            )
        else:
            head, _, last = e.name.rpartition(".")
            method = head in self.scope.tensors and last in OPERATION_NAMES
            callable_names = [
                *OPERATION_NAMES,
                *(self.elaborator.functions.known if self.elaborator.functions is not None else ()),
                *(self.elaborator.shown.externs.known if self.elaborator.shown.externs is not None else ()),
            ]
            help = f"write {last}({head})" if method else did_you_mean(last, callable_names)
            help = (
                self.scope.circuit_help(e.name)
                or habits.OPERATIONS.get(last.lower())
                or help
                or _reduction_help(last, OPERATION_NAMES)
            )
            problem = f"unknown operation `{e.name}`"
            if e.name in DISTRIBUTIONS:
                problem, help = (
                    f"`{e.name}` is a distribution, not an operation",
                    f"a density is written y ~ {e.name}(..)",
                )
            help = help or "operations are listed in the language's section 4; new ones are written as circuits"
            self.findings.error("E0212", problem, e.name_span, help=help)

    def _declared_at(self, name: str) -> list[Note]:
        place = self.scope.places.get(name)
        return [Note(f"`{name}` is declared here", place)] if place is not None else []

    def _size_or_label(self, e: syntax.Call, context: Context) -> Expr:
        if len(e.args) != 1 or not isinstance(e.args[0].value, syntax.Name) or e.axes is not None:
            self.findings.error("E0213", f"`{e.name}` takes one axis name", e.span, help=f"write {e.name}(axis)")
            raise Unresolvable
        name = e.args[0].value
        return self.elaborator.size(name) if e.name == "size" else self.elaborator.label(name, context)

    def _posterior(self, e: syntax.Call, context: Context) -> Expr:
        """``posterior(z)``: over the axes of z and its labels."""
        arg = e.args[0].value if len(e.args) == 1 and e.args[0].name is None else None
        tensor = self.scope.tensors.get(arg.name) if isinstance(arg, syntax.Name) else None
        known = tensor is not None and (tensor.kind == "latent" or (tensor.kind == "input" and not tensor.leaves))
        if tensor is None or not known or tensor.dtype == "real" or tensor.label is None:
            if isinstance(arg, syntax.Name) and arg.name in self.scope.broken:
                raise Unresolvable
            fix = "write posterior(z) of a latent with labels: latent z: k ~ Categorical(..)"
            message = "`posterior` is of a latent that holds labels, or of an input that is one label"
            self.findings.error("E0518", message, e.span, help=fix)
            raise Unresolvable
        labels = self.scope.axis(tensor.label).leaves
        axes = frozenset({"batch", *tensor.leaves, *labels})
        self.elaborator.check_open(axes - {"batch"}, e, context)
        held = ("batch", *tensor.leaves, *labels)
        return typed.Posterior(axes, "real", e.span, tensor.name, held, held[1:])

    def _arguments(self, e: syntax.Call, operation: Operation) -> list[syntax.Expr]:
        """Arguments in the table's order, whether positional or named."""
        names = [p.rstrip("?") for p in operation.params]
        given: dict[str, syntax.Expr] = {}
        for position, arg in enumerate(e.args):
            name = arg.name if arg.name is not None else (names[position] if position < len(names) else None)
            if name not in names:
                wrong = (
                    f"`{e.name}` has no argument `{name}`"
                    if name
                    else f"`{e.name}` takes {len(names)}, not {len(e.args)} arguments"
                )
                axis = isinstance(arg.value, syntax.Name) and self.scope.is_axis(arg.value.name)
                brackets = operation.over and (axis or name in ("axis", "axes", "dim", "dims"))
                meant = arg.value.name if axis and isinstance(arg.value, syntax.Name) else "i"
                help = f"the axes stand in brackets: {e.name}[{meant}](..)" if brackets else None
                help = help or f"write {e.name}({', '.join(names)})"
                self.findings.error("E0213", wrong, arg.span, help=help)
                raise Unresolvable
            if name in given:
                self.findings.error(
                    "E0213", f"`{name}` of `{e.name}` is given twice", arg.span, help="keep one of them"
                )
                raise Unresolvable
            given[name] = arg.value
        missing = [n for n in names[: operation.required] if n not in given]
        if missing:
            fix = f"write {e.name}({', '.join(names)})"
            self.findings.error("E0213", f"`{e.name}` needs `{missing[0]}`", e.span, help=fix)
            raise Unresolvable
        return [given[n] for n in names if n in given]

    def _over(self, e: syntax.Call, operation: Operation, args: list[syntax.Expr], context: Context) -> Expr:
        """An operation over indices; without brackets over all its argument shows, never batch."""
        for item in e.axes or ():
            if not isinstance(item, syntax.Name):
                fix = f"name an axis: {e.name}[i](..)"
                self.findings.error("E0214", f"`{e.name}[..]` takes axis names", item.span, help=fix)
                raise Unresolvable
            if item.name != "batch":
                self.scope.indices(item)
        over = self.elaborator.shown.bound(e)
        self._check_over(e, operation, over)
        first = self.elaborator.visit(args[0], context.binding(frozenset(over)))
        rest = self.elaborator.all(args[1:], context)
        lacking = [i for i in over if i not in first.axes]
        if lacking:
            self.findings.error(
                "E0214",
                f"`{e.name}` runs over `{lacking[0]}`, which its argument does not have",
                e.span,
                help=f"its argument has {_listing(first.axes) or 'no axes'}",
            )
            raise Unresolvable
        kept = {"none": frozenset[str](), "all": frozenset(over), "first": frozenset(over[:1])}[operation.keeps]
        axes = (first.axes - frozenset(over) | kept | self.scope.per_example(over)).union(*(r.axes for r in rest))
        dtype = promote(first.dtype) if operation.dtype == "same" else operation.dtype
        result: Expr = typed.Over(axes, dtype, e.span, e.name, over, (first, *rest))
        if e.name == "argmax":
            result = self.elaborator.labelled(result, over)
        self.elaborator.check_open(kept, e, context)
        return result

    def _check_over(self, e: syntax.Call, operation: Operation, over: tuple[str, ...]) -> None:
        wanted = {"one": 1, "two": 2}.get(operation.over)
        if wanted is not None and (e.axes is None or len(over) != wanted):
            self.findings.error(
                "E0214",
                f"`{e.name}` needs {wanted} {'index' if wanted == 1 else 'indices'} in brackets",
                e.span,
                help=f"write {e.name}[{', '.join(['i', 'j'][:wanted])}](..)",
            )
            raise Unresolvable
        if len(set(over)) != len(over):
            self.findings.error("E0209", f"`{e.name}` names an index twice", e.span, help="name it once")
            raise Unresolvable
        if not over and e.axes is not None:
            raise Unresolvable


def _reduction_help(name: str, known: Iterable[str]) -> str | None:
    """``sum_pix``: an operation with an axis in its name."""
    head, _, axis = name.partition("_")
    return f"the axes stand in brackets: {head}[{axis}](..)" if axis and head in known else None


def _listing(indices: frozenset[str]) -> str:
    return ", ".join(f"`{i}`" for i in sorted(indices - {"batch"}))
