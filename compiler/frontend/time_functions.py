"""Functions of the step: circuits without inputs and parameters, for the arguments of rules (schedules).

None is known by name here: the standard ones come from ``specs/std/schedules.dlt``.  A call is replaced by the function's
value, its parameters by the call's arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..diagnostics import Findings, Note, Span, did_you_mean
from . import nodes as syntax
from .elaborate import Context, Elaborator
from .model import NO_INDICES, Apply, Const, Expr, Product, Scalar, Sum, Tensor, Train
from .scope import Scope, Unresolvable
from .typed_walk import substituted
from .walk import walk

TOTAL = "total"
"""The name under which a function of the step reads the length of the run."""


def is_function(decl: syntax.CircuitDecl) -> bool:
    """Is a circuit a function of the step: `let`s and equations, one of them its output?"""
    outputs = [s for s in decl.body if isinstance(s, syntax.Equation) and s.role == "output"]
    return len(outputs) == 1 and all(isinstance(s, (syntax.LetDecl, syntax.Equation)) for s in decl.body)


def functions_of(file: syntax.File) -> dict[str, syntax.CircuitDecl]:
    """The functions of the step that a file defines."""
    return {s.name: s for s in file.body if isinstance(s, syntax.CircuitDecl) and is_function(s)}


def length_of(train: Train | None, span: Span) -> Expr | None:
    """The number of steps of a run: as given, or epochs times batches per epoch, the last of which may be short."""
    if train is None or train.span is None:
        return None

    def number(value: int) -> Const:
        return Const(NO_INDICES, "int", span, value)

    if train.steps is not None:
        return number(train.steps)
    epochs = number(train.epochs or 0)
    if train.batch is None:
        return epochs
    size = number(train.batch)
    rows = Sum(
        NO_INDICES, "real", span, ((False, Scalar(NO_INDICES, "real", span, "N")), (False, number(train.batch - 1)))
    )
    batches = Apply(NO_INDICES, "real", span, "floordiv", (rows, size))
    return Product(NO_INDICES, "real", span, (epochs, batches), (), NO_INDICES, False)


@dataclass(frozen=True)
class TimeFunctions:
    """Expands calls of functions of the step; ``train`` says how long the run is."""

    known: Mapping[str, syntax.CircuitDecl]
    findings: Findings
    train: Train | None

    def __contains__(self, name: object) -> bool:
        return name in self.known

    def expand(self, call: syntax.Call, arguments: Elaborator, context: Context) -> Expr:
        """The value of a call; its arguments are read by ``arguments``.

        Raises:
            Unresolvable: wrong arguments; reported.
        """
        decl = self.known[call.name]
        given = self._given(call, decl)
        bound: dict[str, Expr] = {name: arguments.visit(e, context) for name, e in given.items()}
        scope = Scope(self.findings)
        inside = Elaborator(scope, self.findings, self)
        here = Context(bare="size", scalars=frozenset({"t"}))
        self._declare(scope, TOTAL, call)

        def value(e: syntax.Expr) -> Expr:
            expr = inside.expression(e, here)
            if any(isinstance(node, syntax.Name) and node.name == TOTAL for node in walk(e)):
                bound[TOTAL] = self._length(call)
            return substituted(expr, bound)

        for parameter in decl.params:
            if parameter.name not in bound and parameter.default is not None:
                bound[parameter.name] = value(parameter.default)
            self._declare(scope, parameter.name, call)
        result: Expr | None = None
        for name, e, output in _lines(decl):
            bound[name] = expr = value(e)
            self._declare(scope, name, call)
            result = expr if output else result
        assert result is not None
        return result

    def _declare(self, scope: Scope, name: str, call: syntax.Call) -> None:
        scope.tensors[name] = Tensor(name, "arg", (), (), "real", None, False, call.span)

    def _length(self, call: syntax.Call) -> Expr:
        length = length_of(self.train, call.span)
        if length is None:
            self.findings.error(
                "E0406",
                f"`{call.name}` needs the length of the run, and there is no `train` block that says it",
                call.span,
                help="write steps = .. in the call",
            )
            raise Unresolvable
        return length

    def _given(self, call: syntax.Call, decl: syntax.CircuitDecl) -> dict[str, syntax.Expr]:
        """The call's arguments by name."""
        names = {p.name: p for p in decl.params}
        given: dict[str, syntax.Expr] = {}
        signature = f"{decl.name}({', '.join(names)})"
        note = [Note(f"`{decl.name}` is defined here", decl.name_span)]
        for position, arg in enumerate(call.args):
            name = arg.name or (list(names)[position] if position < len(names) else None)
            if name is None or name not in names or name in given:
                problem = (
                    f"`{name}` is given twice"
                    if name in given
                    else f"`{decl.name}` has no argument `{name}`"
                    if name
                    else f"`{decl.name}` takes {len(names)} arguments"
                )
                fix = did_you_mean(name or "", names) or signature
                self.findings.error("E0213", problem, arg.span, notes=note, help=fix)
                raise Unresolvable
            given[name] = arg.value
        missing = [name for name, p in names.items() if name not in given and p.default is None]
        if missing or call.axes is not None:
            problem = f"`{decl.name}` needs `{missing[0]}`" if missing else f"`{decl.name}` takes no index in brackets"
            self.findings.error("E0213", problem, call.span, notes=note, help=signature)
            raise Unresolvable
        return given


def _lines(decl: syntax.CircuitDecl) -> list[tuple[str, syntax.Expr, bool]]:
    """Name, value and whether it is the output, of every line."""
    lines: list[tuple[str, syntax.Expr, bool]] = []
    for stmt in decl.body:
        if isinstance(stmt, syntax.LetDecl):
            lines += [(item.target.name, item.value, False) for item in stmt.items]
        elif isinstance(stmt, syntax.Equation):
            lines.append((stmt.target.name, stmt.value, stmt.role == "output"))
    return lines
