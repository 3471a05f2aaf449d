"""A call's arguments brought to a circuit's inputs, parameters and axes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NoReturn

from ...diagnostics import Findings, Note, Span, did_you_mean
from .. import nodes as syntax
from ..operations import OPERATION_NAMES
from ..scope import Unresolvable
from . import rewrite
from .definition import Definition
from .shapes import Names


@dataclass
class Given:
    """The arguments of a call by what they are for."""

    inputs: dict[str, syntax.Expr] = field(default_factory=dict[str, syntax.Expr])
    axes: dict[str, syntax.Name] = field(default_factory=dict[str, syntax.Name])
    sizes: dict[str, syntax.Expr] = field(default_factory=dict[str, syntax.Expr])  # of axes of the instance's own
    numbers: dict[str, syntax.Expr] = field(default_factory=dict[str, syntax.Expr])
    ops: dict[str, str] = field(default_factory=dict[str, str])
    circuits: dict[str, Definition] = field(default_factory=dict[str, Definition])

    def statics(
        self,
    ) -> tuple[dict[str, str], dict[str, syntax.Expr], dict[str, syntax.Expr], dict[str, str], dict[str, Definition]]:
        """What two calls of one instance must have in common."""
        return {k: a.name for k, a in self.axes.items()}, self.sizes, self.numbers, self.ops, self.circuits


class Matching:
    """Reads calls in one body.

    Args:
        names: what the caller's names are.
        findings: where mistakes go.
    """

    def __init__(self, names: Names, findings: Findings) -> None:
        self.names = names
        self.findings = findings

    def read(self, e: syntax.Call, called: Definition, visible: dict[str, Definition]) -> Given:
        """The arguments of a call of ``called``, sorted; defaults are filled in by whoever knows the circuit's names.

        Raises:
            Unresolvable: an argument is unknown, given twice or missing; reported.
        """
        given = Given()
        statics, inputs = called.statics(), called.inputs()
        order = [*inputs, *statics]
        formal = {a.name for s in inputs.values() for a in s.target.axes or () if isinstance(a, syntax.Name)}
        seen: set[str] = set()
        for k, arg in enumerate(e.args):
            name = arg.name if arg.name is not None else order[k] if k < len(order) else None
            if name is None:
                self._refuse(e, called, f"`{called.name}` takes {len(order)} arguments", arg.span)
            if name in seen:
                self._refuse(e, called, f"`{name}` of `{called.name}` is given twice", arg.span)
            seen.add(name)
            if name in inputs:
                given.inputs[name] = arg.value
            elif name in statics:
                self._static(statics[name], arg.value, given, visible, called)
            elif name in formal:
                given.axes[name] = self._axis(arg.value, name, called)
            else:
                known = [*order, *sorted(formal - {*order})]
                help = did_you_mean(name, known) or f"write {called.signature()}"
                self._refuse(e, called, f"`{called.name}` has no argument `{name}`", arg.span, help)
        missing = [n for n in inputs if n not in given.inputs]
        missing += [n for n, p in statics.items() if n not in seen and p.default is None and n not in formal]
        if missing:
            self._refuse(e, called, f"`{called.name}` needs `{missing[0]}`", e.span)
        for name, static in statics.items():
            if name not in seen and static.default is not None and static.kind in ("op", "circuit"):
                self._static(static, static.default, given, dict(called.visible), called)
        return given

    def _refuse(
        self, e: syntax.Call, called: Definition, message: str, span: Span, help: str | None = None
    ) -> NoReturn:
        place = Note(f"`{called.name}` is declared here", called.decl.name_span)
        fix = help or f"write {called.signature()}"
        self.findings.error("E0230", message, span, notes=[place], help=fix)
        raise Unresolvable

    def _static(
        self,
        static: syntax.StaticParam,
        value: syntax.Expr,
        given: Given,
        visible: dict[str, Definition],
        called: Definition,
    ) -> None:
        word = value.name if isinstance(value, syntax.Name) else ""
        match static.kind:
            case "axis" if word in self.names.axes and isinstance(value, syntax.Name):
                given.axes[static.name] = value
            case "axis":
                given.sizes[static.name] = sized(value, self.names)
            case "op" if word in OPERATION_NAMES or word == "identity":
                given.ops[static.name] = word
            case "circuit" if word in visible:
                given.circuits[static.name] = visible[word]
            case "op" | "circuit":
                known = [*OPERATION_NAMES, "identity"] if static.kind == "op" else [*visible]
                what = "an operation" if static.kind == "op" else "a circuit"
                help = did_you_mean(word, known) or f"write the name of {what}"
                message = f"`{static.name}` of `{called.name}` is {what}"
                self.findings.error("E0230", message, value.span, help=help)
                raise Unresolvable
            case _:
                given.numbers[static.name] = sized(value, self.names)

    def _axis(self, value: syntax.Expr, name: str, called: Definition) -> syntax.Name:
        if isinstance(value, syntax.Name) and value.name in self.names.axes:
            return value
        message = f"`{name}` of `{called.name}` is an axis of its input"
        self.findings.error("E0230", message, value.span, help=f"name an axis of the argument: {name} = AXIS")
        raise Unresolvable


def sized(e: syntax.Expr, names: Names) -> syntax.Expr:
    """A number given to a circuit, where a bare axis name means its size."""

    def visit(part: syntax.Expr) -> syntax.Expr | None:
        if isinstance(part, syntax.Call) and part.name in ("size", "label"):
            return part
        if isinstance(part, syntax.Name) and part.name in names.axes:
            plain = replace(part, primes=0)
            return syntax.Call(part.span, "size", None, (syntax.Arg(None, plain, part.span),), part.span)
        return None

    return rewrite.expression(e, visit)
