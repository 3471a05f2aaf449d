"""One rule on one parameter: its arguments, its lines with every name resolved, and what brings them to its domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..diagnostics import Findings, Note, did_you_mean
from . import habits
from . import nodes as syntax
from .elaborate import Context, Elaborator
from .model import Expr, Model, Param, RuleState, RuleUse, Tensor
from .roles import roles
from .scope import Scope, Unresolvable
from .statistics import DRAWS, GRADIENTS, MOMENTS, SCALARS, SIGN, STATISTICS
from .time_functions import TimeFunctions
from .walk import walk

EVERY = frozenset({"via", "when"})
"""Arguments that every rule takes."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A rule's definition, and the texts of ``std/domains.dlt`` that stand before and after it (see there)."""

    rule: syntax.RuleDecl
    enter: syntax.RuleDecl | None = None
    leave: syntax.RuleDecl | None = None


class Binding:
    """One rule on one parameter."""

    def __init__(
        self,
        model: Model,
        outer: Scope,
        findings: Findings,
        param: Param,
        chosen: Chosen,
        call: syntax.Call,
        functions: Mapping[str, syntax.CircuitDecl],
    ) -> None:
        self.model = model
        self.outer = outer
        self.findings = findings
        self.param = param
        self.chosen = chosen
        self.rule = chosen.rule
        self.call = call
        self.scope = Scope(findings, axis_items=outer.axis_items, axes=outer.axes)
        self.elaborator = Elaborator(self.scope, findings)
        self.functions = TimeFunctions(functions, findings, model.train)
        self.leaves = frozenset(param.tensor.leaves)
        self.states: list[RuleState] = []
        self.lines: list[tuple[str, Expr]] = []
        self.keeps: list[Expr] = []
        self.used: set[str] = set()

    def use(self) -> RuleUse:
        """The bound rule.

        Raises:
            Unresolvable: after reporting every mistake in the call or the rule.
        """
        args = self._arguments()
        when = self._when()
        w = self._names(args)
        failed = False
        for stmt in self.rule.body:
            try:
                self._statement(stmt)
            except Unresolvable:
                failed = True
                self.scope.broken.update(_names_of(stmt))
        if failed:
            raise Unresolvable
        self._check_statistics()
        enter = self._chart(self.chosen.enter)
        leave = self._chart(self.chosen.leave)
        return RuleUse(
            self.rule.name,
            self.elaborator.text(self.call.span),
            w,
            tuple(self.states),
            args,
            (*self.lines, *leave),
            tuple(self.keeps),
            frozenset(s for s in STATISTICS if s in self.used),
            self.call.span,
            enter,
            when,
        )

    # ------------------------------------------------------------ names

    def _names(self, args: dict[str, Expr]) -> Tensor:
        """Declare what the rule's text may read; the tensor of w."""
        leaves = self._order()
        w = Tensor("w", "w", leaves, leaves, "real", None, False, self.param.tensor.span)
        self.scope.tensors["w"] = w
        for name in (*STATISTICS[:-1], *([SIGN] if self.param.signs is not None else [])):
            axes = leaves if name != SIGN or self.param.signs is None else self.param.signs.leaves
            self.scope.tensors[name] = Tensor(name, "stat", axes, axes, "real", None, False, self.rule.name_span)
        for name in args:
            self.scope.tensors[name] = Tensor(name, "arg", (), (), "real", None, False, self.rule.name_span)
        return w

    def _order(self) -> tuple[str, ...]:
        """w's indices in the order of the rule's axes, which are bound to the parameter's."""
        declared, leaves = self.rule.domain.axes, self.param.tensor.leaves
        if not declared:
            return leaves
        if self.rule.domain.name != "real":
            groups = self.param.domain_axes
        else:
            groups = roles(self.model, self.param, self.rule, self.call, self.findings)
        for axis, group in zip(declared, groups, strict=True):
            self.scope.aliases[axis.name] = group
        named = [leaf for group in groups for leaf in group]
        if self.rule.domain.name != "real":
            return leaves
        return (*named, *(leaf for leaf in leaves if leaf not in named))

    # ------------------------------------------------------------ arguments

    def _arguments(self) -> dict[str, Expr]:
        """The call's arguments, defaults filled in; each a number or an expression of t."""
        declared = {p.name: p for p in self.rule.params}
        given: dict[str, syntax.Expr] = {}
        for position, arg in enumerate(self.call.args):
            name = arg.name or (list(declared)[position] if position < len(declared) else None)
            if name in EVERY:
                continue
            if name in STATISTICS and name not in declared:
                self.findings.error("E0901", f"a supplied statistic (`{name}`) is not compiled yet", arg.span)
                raise Unresolvable
            if name is None or name not in declared or name in given:
                problem = (
                    f"`{name}` is given twice"
                    if name in given
                    else f"{self.rule.name} has no argument `{name}`"
                    if name
                    else f"{self.rule.name} takes {len(declared)} arguments"
                )
                fix = "keep one of them" if name in given else habits.argument(name or "", list(declared))
                self.findings.error(
                    "E0406",
                    problem,
                    arg.span,
                    help=fix or did_you_mean(name or "", declared) or self._signature(),
                    notes=[Note(f"the rule {self.rule.name} is declared here", self.rule.name_span)],
                )
                raise Unresolvable
            given[name] = arg.value
        args: dict[str, Expr] = {}
        for name, parameter in declared.items():
            if name in given:
                args[name] = self._argument(given[name])
            elif parameter.default is not None:
                args[name] = self.elaborator.expression(parameter.default, _of_time())
            else:
                self.findings.error("E0406", f"{self.rule.name} needs `{name}`", self.call.span, help=self._signature())
                raise Unresolvable
        return args

    def _when(self) -> Expr | None:
        """The condition of ``when = COND``."""
        conditions = [arg for arg in self.call.args if arg.name == "when"]
        if len(conditions) > 1:
            self.findings.error("E0406", "`when` is given twice", conditions[1].span, help="join them: a * b")
            raise Unresolvable
        return self._argument(conditions[0].value) if conditions else None

    def _argument(self, e: syntax.Expr) -> Expr:
        """An argument as written in `learn`: constants and sizes of the model, and t; never a tensor of it."""
        outer, context = self.outer, _of_time()
        for node in walk(e):
            tensor = outer.tensors.get(node.name) if isinstance(node, (syntax.Name, syntax.Index)) else None
            if tensor is not None and tensor.name not in context.scalars:
                self.findings.error(
                    "E0406",
                    f"an argument of a rule is a number or an expression of t; `{tensor.name}` is a tensor of the model",
                    node.span,
                    notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
                )
                raise Unresolvable
        constants = Scope(
            self.findings,
            axis_items=outer.axis_items,
            let_items=outer.let_items,
            axes=outer.axes,
            places=outer.places,
            broken=outer.broken,
        )
        return Elaborator(constants, self.findings, self.functions).expression(e, context)

    def _signature(self) -> str:
        return f"{self.rule.name}({', '.join(p.name for p in self.rule.params)})"

    # ------------------------------------------------------------ statements

    def _statement(self, stmt: syntax.Stmt) -> None:
        match stmt:
            case syntax.StateDecl():
                for item in stmt.items:
                    self._state(item)
            case syntax.Update():
                self._update(stmt)
            case syntax.LetDecl():
                for item in stmt.items:
                    self._local(item.target, item.value)
            case syntax.Equation():
                self._local(stmt.target, stmt.value)
            case syntax.KeepLine():
                self.keeps.append(self._expression(stmt.condition, self.leaves))
            case syntax.Broken():
                raise Unresolvable
            case _:
                self.findings.error("E0112", "this statement has no place in a rule", stmt.span)
                raise Unresolvable

    def _state(self, item: syntax.LetItem) -> None:
        """``state m = 0`` (like w), ``state r[] = 0`` (a scalar), ``state r[o] = 0`` (over axes of the rule)."""
        written = self.param.tensor.leaves if item.target.axes is None else self._target(item.target)
        leaves = tuple(leaf for leaf in self.param.tensor.leaves if leaf in written)
        init = self._expression(item.value, frozenset(leaves))
        self._check_start(item)
        tensor = Tensor(item.target.name, "state", written, written, "real", None, False, item.target.name_span)
        self._declare(tensor)
        self.states.append(RuleState(tensor.name, tensor, init))

    def _check_start(self, item: syntax.LetItem) -> None:
        """A state starts before any data or step: from w, constants and the prior."""
        for node in walk(item.value):
            name = node.name if isinstance(node, (syntax.Name, syntax.Index)) else ""
            if name in (*GRADIENTS, *DRAWS, *SCALARS) and (name in SCALARS or name in self.scope.tensors):
                self.findings.error(
                    "E0407",
                    f"the start of `{item.target.name}` cannot read `{name}`: it is made before the first step",
                    node.span,
                    help="start it from w, constants or the prior, and set it in an update",
                )
                raise Unresolvable

    def _target(self, target: syntax.Target) -> tuple[str, ...]:
        """The indices that a left side lists: of w.

        Raises:
            Unresolvable: another index, or one twice; reported.
        """
        leaves: list[str] = []
        for item in target.axes or ():
            if not isinstance(item, syntax.Name):
                self.findings.error("E0215", f"the left side of `{target.name}` lists axes only", item.span)
                raise Unresolvable
            leaves += self.scope.indices(item)
        foreign = [leaf for leaf in leaves if leaf not in self.leaves]
        if foreign or len(set(leaves)) != len(leaves):
            self.findings.error(
                "E0407",
                f"`{target.name}` lists indices that w does not have, or one twice",
                target.span,
                help=f"name w's axes: rule {self.rule.name}(..) on real[o, i]",
            )
            raise Unresolvable
        return tuple(leaves)

    def _local(self, target: syntax.Target, value: syntax.Expr) -> None:
        """An equation or `let` of the rule: over the axes it lists, else over those of w that its value has."""
        leaves = self._target(target) if target.axes is not None else None
        expr = self._expression(value, self.leaves if leaves is None else frozenset(leaves))
        if leaves is None:
            leaves = tuple(leaf for leaf in self.scope.tensors["w"].leaves if leaf in expr.axes)
        self._declare(Tensor(target.name, "local", leaves, leaves, expr.dtype, None, False, target.name_span))
        self.lines.append((target.name, expr))

    def _declare(self, tensor: Tensor) -> None:
        taken = self.scope.tensors.get(tensor.name)
        if taken is not None or tensor.name in SCALARS:
            self.findings.error(
                "E0205",
                f"`{tensor.name}` already means something in this rule",
                tensor.span,
                notes=[Note(f"`{tensor.name}` is declared here", taken.span)] if taken else (),
                help="choose another name",
            )
            raise Unresolvable
        self.scope.tensors[tensor.name] = tensor

    def _update(self, stmt: syntax.Update) -> None:
        """``w <- ..``, ``m[o, i] <- ..``: a left side with axes lists those of the name, in its order."""
        name = stmt.target.name
        tensor = self.scope.tensors.get(name)
        if tensor is None or tensor.kind not in ("w", "state"):
            states = ["w", *(s.name for s in self.states)]
            self.findings.error(
                "E0407",
                f"`{name}` is neither w nor a state of this rule",
                stmt.target.name_span,
                help=did_you_mean(name, states) or f"declare it: state {name} = 0",
            )
            raise Unresolvable
        if stmt.target.axes is not None and self._target(stmt.target) != tensor.leaves:
            self.findings.error(
                "E0407",
                f"an update of `{name}` writes all of it, indexed as it is declared",
                stmt.target.span,
                help=f"write {name} <- ..",
                notes=[Note(f"`{name}` is declared here", tensor.span)],
            )
            raise Unresolvable
        self.lines.append((name, self._expression(stmt.value, frozenset(tensor.leaves))))

    def _expression(self, e: syntax.Expr, open_: frozenset[str]) -> Expr:
        for node in walk(e):
            if isinstance(node, (syntax.Name, syntax.Index)):
                self.used.add(node.name)
        return self.elaborator.expression(e, Context(open=open_, explicit=open_, bare="size", scalars=SCALARS))

    def _check_statistics(self) -> None:
        """Moments of the prior are the value's: there are none of a free coordinate, and a flat prior has no mean."""
        for name in ("prior.mean", "prior.draw"):
            if name in self.used and self.param.prior.name == "Flat":
                self.findings.error(
                    "E0407",
                    f"{self.rule.name} reads `{name}`, but the prior of `{self.param.tensor.name}` is flat",
                    self.call.span,
                    notes=[Note("the prior is here", self.param.prior.span)],
                    help="give it a prior, or another rule",
                )
                raise Unresolvable
        read = [name for name in (*MOMENTS, "prior.draw") if name in self.used]
        if read and self.chosen.enter is not None:
            self.findings.error(
                "E0409",
                f"{self.rule.name} reads `{read[0]}`, which is of `{self.param.tensor.name}` itself, not of a coordinate",
                self.call.span,
                help="remove `via`",
            )
            raise Unresolvable

    # ------------------------------------------------------------ domains

    def _chart(self, text: syntax.RuleDecl | None) -> tuple[tuple[str, Expr], ...]:
        """The lines of a text of ``std/domains.dlt``; one on ``grad`` stands for every gradient that the rule reads."""
        if text is None:
            return ()
        scope = Scope(self.findings, axis_items=self.outer.axis_items, axes=self.outer.axes)
        scope.tensors |= {name: t for name, t in self.scope.tensors.items() if name in ("w", SIGN)}
        for axis, group in zip(text.domain.axes, self.param.domain_axes, strict=False):
            scope.aliases[axis.name] = group
        context = Context(open=self.leaves, explicit=self.leaves, bare="size", scalars=SCALARS)
        elaborator = Elaborator(scope, self.findings)
        lines: list[tuple[str, Expr]] = []

        def line(target: str, value: syntax.Expr) -> Expr:
            self.used |= {n.name for n in walk(value) if isinstance(n, syntax.Name) and n.name == SIGN}
            expr = elaborator.expression(value, context)
            lines.append((target, expr))
            return expr

        for stmt in text.body:
            match stmt:
                case syntax.LetDecl():
                    for item in stmt.items:
                        inner = f"{text.name}.{item.target.name}"
                        expr = line(inner, item.value)
                        leaves = tuple(leaf for leaf in self.param.tensor.leaves if leaf in expr.axes)
                        span = item.target.name_span
                        scope.tensors[item.target.name] = Tensor(
                            inner, "local", leaves, leaves, "real", None, False, span
                        )
                case syntax.Update() if stmt.target.name in GRADIENTS:
                    for name in GRADIENTS:
                        if name in self.used:
                            scope.tensors[stmt.target.name] = self.scope.tensors[name]
                            line(name, stmt.value)
                case syntax.Update():
                    line(stmt.target.name, stmt.value)
                case _:
                    pass
        return tuple(lines)


def _of_time() -> Context:
    return Context(bare="size", scalars=frozenset({"t"}))


def _names_of(stmt: syntax.Stmt) -> list[str]:
    """What a statement of a rule would have declared."""
    match stmt:
        case syntax.StateDecl() | syntax.LetDecl():
            return [item.target.name for item in stmt.items]
        case syntax.Equation():
            return [stmt.target.name]
        case syntax.Broken():
            return [*stmt.names]
        case _:
            return []
