"""`learn`: which rule moves which parameter, and the rule's lines bound to that parameter.

No rule is known by name here: standard rules come from ``specs/std/rules.dlt`` like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..diagnostics import Findings, Note, did_you_mean
from . import nodes as syntax
from .elaborate import Context, Elaborator
from .model import Expr, Model, Param, RuleState, RuleUse, Tensor
from .scope import Scope, Unresolvable
from .walk import walk

STATISTICS = ("grad", "grad_sum")
"""What a rule may read beside w, its states and its arguments; derived on the graph (``derive/statistics.py``)."""

STATISTICS_NOT_YET = (
    "prior.grad",
    "prior.mean",
    "prior.var",
    "prior.precision",
    "prior.draw",
    "curvature",
    "hessian",
    "fisher",
    "gram",
    "pre",
    "post",
    "delta",
    "noise",
    "uniform",
    "mask",
    "local_step",
    "attenuation.min",
)

SCALARS = frozenset({"t", "n", "N"})
_NOT_YET_ARGUMENTS = {"via": "a change of variable (`via`)", "when": "a condition (`when`)"}


@dataclass(frozen=True, slots=True)
class _Choice:
    """A selector that matches a parameter; more literal characters are more specific, no star beats any star."""

    rank: tuple[bool, int]
    line: syntax.RuleLine
    selector: syntax.Name


class Learning:
    """Binds rules to parameters."""

    def __init__(
        self, model: Model, scope: Scope, findings: Findings, rules: Mapping[str, Sequence[syntax.RuleDecl]]
    ) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.rules = rules
        self.elaborator = Elaborator(scope, findings)

    def read(self, blocks: list[syntax.LearnBlock], required: bool) -> None:
        """Give every parameter that is not frozen its rule; ``required`` when the spec trains."""
        lines = [line for block in blocks for line in block.lines if isinstance(line, syntax.RuleLine)]
        self._check_selectors(lines)
        for param in self.model.params.values():
            choice = self._choose(param, lines)
            if choice is None or param.frozen:
                self._check_unmoved(param, choice, bool(blocks) or required)
                continue
            try:
                self.model.rules[param.tensor.name] = self._bind(param, choice.line)
            except Unresolvable:
                continue

    # ------------------------------------------------------------ selecting

    def _check_selectors(self, lines: list[syntax.RuleLine]) -> None:
        known = [*self.model.params, *self.scope.broken]
        for line in lines:
            for selector in line.selectors:
                if any(fnmatchcase(path, selector.name) for path in known):
                    continue
                tensor = self.scope.tensors.get(selector.name)
                if tensor is not None:
                    self.findings.error(
                        "E0405",
                        f"`{selector.name}` is not a parameter: rules move parameters",
                        selector.span,
                        notes=[Note(f"`{selector.name}` is declared here", tensor.span)],
                    )
                else:
                    self.findings.error(
                        "E0405",
                        f"`{selector.name}` matches no parameter",
                        selector.span,
                        help=did_you_mean(selector.name, self.model.params)
                        or (
                            f"parameters: {', '.join(f'`{p}`' for p in self.model.params)}"
                            if self.model.params
                            else None
                        ),
                    )

    def _choose(self, param: Param, lines: list[syntax.RuleLine]) -> _Choice | None:
        path = param.tensor.name
        matches = [
            _Choice(("*" not in s.name, len(s.name.replace("*", ""))), line, s)
            for line in lines
            for s in line.selectors
            if fnmatchcase(path, s.name)
        ]
        if not matches:
            return None
        best = max(m.rank for m in matches)
        top = [m for m in matches if m.rank == best]
        if len(top) > 1:
            self.findings.error(
                "E0404",
                f"two equally specific rules for `{path}`",
                top[1].selector.span,
                notes=[Note(f"`{path}` has its first rule here", top[0].selector.span)],
                help="remove one of them",
            )
        return top[0]

    def _check_unmoved(self, param: Param, choice: _Choice | None, required: bool) -> None:
        path = param.tensor.name
        if param.frozen and choice is not None and "*" not in choice.selector.name:
            self.findings.error(
                "E0408",
                f"`{path}` is frozen and has a rule",
                choice.selector.span,
                notes=[Note(f"`{path}` is declared frozen here", param.tensor.span)],
                help="remove the rule, or `frozen`",
            )
        if not param.frozen and choice is None and required:
            self.findings.error(
                "E0403",
                f"`{path}` has no rule",
                param.tensor.span,
                help=f"add to learn: {path} : RULE(..), or declare it `frozen`",
            )

    # ------------------------------------------------------------ binding

    def _bind(self, param: Param, line: syntax.RuleLine) -> RuleUse:
        call, *more = line.rules
        if more:
            self.findings.error("E0901", "a second rule on one parameter (topology) is not compiled yet", more[0].span)
            raise Unresolvable
        rule = self._overload(param, call)
        self._refuse_not_yet(rule, call)
        return _Binding(self, param, rule, call).use()

    def _overload(self, param: Param, call: syntax.Call) -> syntax.RuleDecl:
        """The definition of the called rule on the parameter's domain."""
        overloads: Sequence[syntax.RuleDecl] = self.rules.get(call.name, [])
        if not overloads:
            if call.name in self.scope.broken:
                raise Unresolvable
            self.findings.error(
                "E0402",
                f"unknown rule `{call.name}`",
                call.name_span,
                help=did_you_mean(call.name, self.rules)
                or f"rules on {param.domain}: {', '.join(self._legal(param.domain))}",
            )
            raise Unresolvable
        for rule in overloads:
            if rule.domain.name == param.domain and self._ranks_fit(rule, param):
                return rule
        on = ", ".join(sorted({r.domain.name for r in overloads}))
        self.findings.error(
            "E0401",
            f"{call.name} is a rule on {on}; `{param.tensor.name}` is {param.domain}",
            call.name_span,
            label=f"would leave the domain `{param.domain}`",
            notes=[Note(f"`{param.tensor.name}` is declared here", param.tensor.span)],
            help=f"rules on {param.domain}: {', '.join(self._legal(param.domain))}",
        )
        raise Unresolvable

    def _ranks_fit(self, rule: syntax.RuleDecl, param: Param) -> bool:
        return rule.domain.name != "simplex" or len(rule.domain.axes) == 1

    def _legal(self, domain: str) -> list[str]:
        return [name for name, rules in self.rules.items() if any(r.domain.name == domain for r in rules)]

    def _refuse_not_yet(self, rule: syntax.RuleDecl, call: syntax.Call) -> None:
        """One diagnostic, at the use, for a rule whose text needs more than is compiled."""
        missing: list[tuple[str, syntax.Stmt]] = []
        if rule.domain.name == "real" and rule.domain.axes:
            missing.append(("the axes of a rule's domain", rule))
        for stmt in rule.body:
            match stmt:
                case syntax.VarianceLine():
                    missing.append(("variance", stmt))
                case syntax.ForwardLine():
                    missing.append(("forward", stmt))
                case syntax.AxisDecl():
                    missing.append(("axes of its own", stmt))
                case syntax.Update() if stmt.target.name.startswith("prior."):
                    missing.append((stmt.target.name, stmt))
                case _:
                    pass
            for e in _expressions(stmt):
                for node in walk(e):
                    name = node.name if isinstance(node, (syntax.Name, syntax.Index, syntax.Call)) else ""
                    if name in STATISTICS_NOT_YET:
                        missing.append((name, stmt))
        if missing:
            wanted = ", ".join(f"`{name}`" for name in dict.fromkeys(name for name, _ in missing))
            self.findings.error(
                "E0901",
                f"the rule {call.name} needs {wanted}: not compiled yet",
                call.span,
                notes=[Note(f"`{missing[0][0]}` is used here", missing[0][1].span)],
            )
            raise Unresolvable


class _Binding:
    """One rule on one parameter."""

    def __init__(self, learning: Learning, param: Param, rule: syntax.RuleDecl, call: syntax.Call) -> None:
        self.learning = learning
        self.findings = learning.findings
        self.param = param
        self.rule = rule
        self.call = call
        outer = learning.scope
        self.scope = Scope(self.findings, axis_items=outer.axis_items, axes=outer.axes)
        self.elaborator = Elaborator(self.scope, self.findings)
        indices = frozenset(param.tensor.leaves)
        self.context = Context(open=indices, explicit=indices, bare="size", scalars=SCALARS)
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
        leaves = self.param.tensor.leaves
        if self.rule.domain.axes:
            self.scope.aliases[self.rule.domain.axes[0].name] = self.param.over
        w = Tensor("w", "w", leaves, leaves, "real", None, False, self.param.tensor.span)
        self.scope.tensors["w"] = w
        for name in STATISTICS:
            self.scope.tensors[name] = Tensor(name, "stat", leaves, leaves, "real", None, False, self.rule.name_span)
        for name in args:
            self.scope.tensors[name] = Tensor(name, "arg", (), (), "real", None, False, self.rule.name_span)
        failed = False
        for stmt in self.rule.body:
            try:
                self._statement(stmt)
            except Unresolvable:
                failed = True
                self.scope.broken.update(_names_of(stmt))
        if failed:
            raise Unresolvable
        statistics = frozenset(s for s in STATISTICS if s in self.used)
        written = self.elaborator.text(self.call.span)
        return RuleUse(
            self.rule.name,
            written,
            w,
            tuple(self.states),
            args,
            tuple(self.lines),
            tuple(self.keeps),
            statistics,
            self.call.span,
        )

    def _arguments(self) -> dict[str, Expr]:
        """The call's arguments, defaults filled in; each a number or an expression of t."""
        declared = {p.name: p for p in self.rule.params}
        given: dict[str, syntax.Expr] = {}
        for position, arg in enumerate(self.call.args):
            name = arg.name or (list(declared)[position] if position < len(declared) else None)
            if name in _NOT_YET_ARGUMENTS or (name in STATISTICS and name not in declared):
                what = _NOT_YET_ARGUMENTS.get(name or "", f"a supplied statistic (`{name}`)")
                self.findings.error("E0901", f"{what} is not compiled yet", arg.span)
                raise Unresolvable
            if name is None or name not in declared or name in given:
                problem = (
                    f"`{name}` is given twice"
                    if name in given
                    else f"{self.rule.name} has no argument `{name}`"
                    if name
                    else f"{self.rule.name} takes {len(declared)} arguments"
                )
                self.findings.error(
                    "E0406",
                    problem,
                    arg.span,
                    help=did_you_mean(name or "", declared) or self._signature(),
                    notes=[Note(f"the rule {self.rule.name} is declared here", self.rule.name_span)],
                )
                raise Unresolvable
            given[name] = arg.value
        args: dict[str, Expr] = {}
        context = Context(bare="size", scalars=frozenset({"t"}))
        for name, parameter in declared.items():
            if name in given:
                args[name] = self._argument(given[name], context)
            elif parameter.default is not None:
                args[name] = self.elaborator.expression(parameter.default, context)
            else:
                self.findings.error("E0406", f"{self.rule.name} needs `{name}`", self.call.span, help=self._signature())
                raise Unresolvable
        return args

    def _argument(self, e: syntax.Expr, context: Context) -> Expr:
        """An argument as written in `learn`: constants and sizes of the model, and t; never a tensor of it."""
        outer = self.learning.scope
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
        return Elaborator(constants, self.findings).expression(e, context)

    def _signature(self) -> str:
        return f"{self.rule.name}({', '.join(p.name for p in self.rule.params)})"

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
                self.keeps.append(self._expression(stmt.condition))
            case syntax.Broken():
                raise Unresolvable
            case _:
                self.findings.error("E0112", "this statement has no place in a rule", stmt.span)
                raise Unresolvable

    def _state(self, item: syntax.LetItem) -> None:
        """``state m = 0`` (like w) or ``state r[] = 0`` (a scalar)."""
        leaves = self.param.tensor.leaves if item.target.axes is None else ()
        if item.target.axes:
            self.findings.error("E0901", "a rule state with axes of its own is not compiled yet", item.target.span)
            raise Unresolvable
        init = self._expression(item.value)
        tensor = Tensor(item.target.name, "state", leaves, leaves, "real", None, False, item.target.name_span)
        self._declare(tensor)
        self.states.append(RuleState(tensor.name, tensor, init))

    def _local(self, target: syntax.Target, value: syntax.Expr) -> None:
        """An equation or `let` of the rule: a name for a value, over w's axes unless it lists none of them."""
        expr = self._expression(value)
        leaves = tuple(leaf for leaf in self.param.tensor.leaves if leaf in expr.axes)
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
        if stmt.target.axes is not None:
            self.findings.error(
                "E0901", "an update with axes is not compiled yet", stmt.target.span, help=f"write {name} <- .."
            )
            raise Unresolvable
        self.lines.append((name, self._expression(stmt.value)))

    def _expression(self, e: syntax.Expr) -> Expr:
        for node in walk(e):
            if isinstance(node, (syntax.Name, syntax.Index)):
                self.used.add(node.name)
        return self.elaborator.expression(e, self.context)


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


def _expressions(stmt: syntax.Stmt) -> list[syntax.Expr]:
    match stmt:
        case syntax.Update() | syntax.Equation() | syntax.VarianceLine() | syntax.ForwardLine():
            return [stmt.value]
        case syntax.StateDecl() | syntax.LetDecl():
            return [item.value for item in stmt.items]
        case syntax.KeepLine():
            return [stmt.condition]
        case _:
            return []
