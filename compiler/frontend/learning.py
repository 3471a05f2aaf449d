"""`learn`: which rule moves which parameter, and the rule's lines bound to that parameter.

No rule is known by name here: standard rules come from ``specs/std/rules.dlt`` like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..diagnostics import Findings, Note, did_you_mean, suggest
from . import nodes as syntax
from .binding import Binding, Chosen
from .domains import ENTER, LEAVE, RETRACT, Library, Rules
from .elaborate import Elaborator
from .model import Model, Param, RuleUse
from .scope import Scope, Unresolvable
from .statistics import STATISTICS_NOT_YET
from .walk import walk


@dataclass(frozen=True, slots=True)
class _Choice:
    """A selector that matches a parameter: a line of the train block beats all others, a name a circuit's own line, which
    beats a star; then more literal characters are more specific."""

    rank: tuple[int, int, int]
    line: syntax.RuleLine
    selector: syntax.Name


class Learning:
    """Binds rules to parameters."""

    def __init__(self, model: Model, scope: Scope, findings: Findings, rules: Rules, library: Library) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.rules = rules
        self.library = library
        self.elaborator = Elaborator(scope, findings)
        self.unclear: set[str] = set()

    def read(self, blocks: list[syntax.LearnBlock], replacing: list[syntax.LearnBlock], *, required: bool) -> None:
        """Give every parameter that is not frozen its rule; ``required`` when the spec trains.

        A line of the train block (``replacing``) replaces those of the model for what it matches.  What a line that could
        not be read, or a selector of nothing, may have been about is not said to lack a rule.
        """
        every = [*blocks, *replacing]
        lines = [line for block in every for line in block.lines if isinstance(line, syntax.RuleLine)]
        broken = [line for block in every for line in block.lines if isinstance(line, syntax.Broken)]
        first = {id(line) for block in replacing for line in block.lines}
        self.unclear = set().union(*(line.words for line in broken))
        self._check_selectors(lines)
        for param in self.model.params.values():
            choice = self._choose(param, lines, first)
            if choice is None or param.frozen:
                self._check_unmoved(param, choice, bool(every) or required)
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
                        help="remove it from this line",
                    )
                else:
                    self._matches_nothing(selector)

    def _matches_nothing(self, selector: syntax.Name) -> None:
        params = self.model.params
        close = suggest(selector.name, params)
        everything = selector.name.lower() in ("all", "everything", "default", "rest", "others", "params", "parameters")
        self.unclear.add("*" if everything else close or "")
        fix = (
            "all parameters together are written `*`"
            if everything
            else f"did you mean `{close}`?"
            if close is not None
            else f"parameters: {', '.join(f'`{p}`' for p in params)}"
            if params
            else f"declare it: param {selector.name} ~ Normal(0, var = 1)"
        )
        message = f"`{selector.name}` matches no parameter"
        self.findings.error("E0405", message, selector.span, help=fix)

    def _choose(self, param: Param, lines: list[syntax.RuleLine], first: set[int]) -> _Choice | None:
        path = param.tensor.name
        matches = [
            _Choice(
                (id(line) in first, 1 if line.default else 0 if "*" in s.name else 2, len(s.name.replace("*", ""))),
                line,
                s,
            )
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
        if not param.frozen and choice is None and required and not self.unclear & {path, "*"}:
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
        chosen = self.overload(param, call)
        self.refuse_not_yet(chosen.rule, call)
        use = Binding(self.model, self.scope, self.findings, param, chosen, call, self.library.functions).use()
        self._check_moments(param, use, call)
        return use

    def _check_moments(self, param: Param, use: RuleUse, call: syntax.Call) -> None:
        """The moments of a prior with a power are known for a normal one only."""
        read = sorted(use.statistics & {"prior.mean", "prior.var", "prior.precision"})
        if param.power is not None and read and param.prior.name != "Normal":
            self.findings.error(
                "E0411",
                f"{call.name} reads {read[0]}: of {param.prior.name}(..)^w it is not known",
                call.span,
                notes=[Note(f"`{param.tensor.name}` has its prior here", param.prior.span)],
                help="leave the power out, or use a rule that reads prior.grad or grad",
            )
            raise Unresolvable

    def overload(self, param: Param, call: syntax.Call) -> Chosen:
        """The definition of the called rule on the parameter's domain, or on real with what brings it there.

        Raises:
            Unresolvable: no such rule, or not on this domain; reported with the legal ones.
        """
        overloads: Sequence[syntax.RuleDecl] = self.rules.get(call.name, [])
        if not overloads:
            if call.name in self.scope.broken:
                raise Unresolvable
            self.findings.error(
                "E0402",
                f"unknown rule `{call.name}`",
                call.name_span,
                help=did_you_mean(call.name, self.rules) or self._legal(param),
            )
            raise Unresolvable
        real = next((r for r in overloads if r.domain.name == "real"), None)
        via = next((arg for arg in call.args if arg.name == "via"), None)
        if via is not None:
            return self._through(param, call, via, real)
        for rule in overloads:
            real_or_fits = rule.domain.name == "real" or len(rule.domain.axes) in (0, len(param.domain_axes))
            if rule.domain.name == param.domain and real_or_fits:
                return Chosen(rule)
        retract = self.library.of(RETRACT, param.domain)
        if real is not None and retract is not None:
            return Chosen(real, None, retract)
        on = ", ".join(sorted({r.domain.name for r in overloads}))
        self.findings.error(
            "E0401",
            f"{call.name} is a rule on {on}; `{param.tensor.name}` is {param.domain}",
            call.name_span,
            label=f"would leave the domain `{param.domain}`",
            notes=[Note(f"`{param.tensor.name}` is declared here", param.tensor.span)],
            help=self._legal(param),
        )
        raise Unresolvable

    def _through(self, param: Param, call: syntax.Call, via: syntax.Arg, real: syntax.RuleDecl | None) -> Chosen:
        """``via = log``: a rule on real on a free coordinate of another domain."""
        names = list(self.library.coordinates(param.domain))
        name = via.value.name if isinstance(via.value, syntax.Name) else ""
        note = Note(f"`{param.tensor.name}` is declared here", param.tensor.span)
        if not names:
            problem = f"`{param.tensor.name}` is {param.domain}: there is no coordinate to go through"
            self.findings.error("E0409", problem, via.span, notes=[note], help="remove `via`")
        elif name not in names:
            fix = did_you_mean(name, names) or f"write via = {' or via = '.join(names)}"
            self.findings.error(
                "E0409",
                f"a {param.domain} parameter goes through {' or '.join(names)}",
                via.span,
                notes=[note],
                help=fix,
            )
        elif real is None:
            problem = f"{call.name} is no rule on real: `via` is for these"
            self.findings.error("E0409", problem, via.span, help="remove `via`")
        else:
            enter, leave = (self.library.of(word + name, param.domain) for word in (ENTER, LEAVE))
            return Chosen(real, enter, leave)
        raise Unresolvable

    def _legal(self, param: Param) -> str:
        """The rules that may move a parameter, as a fix."""
        domain = param.domain
        retracts = self.library.of(RETRACT, domain) is not None

        def on(*domains: str) -> str:
            return ", ".join(n for n, rules in self.rules.items() if any(r.domain.name in domains for r in rules))

        text = f"rules on {domain}: {on(domain, 'real') if retracts else on(domain)}"
        through = [f"via = {name}" for name in self.library.coordinates(domain)]
        return f"{text}; with {' or '.join(through)} also {on('real')}" if through else text

    def refuse_not_yet(self, rule: syntax.RuleDecl, call: syntax.Call) -> None:
        """One diagnostic, at the use, for a rule whose text needs more than is compiled."""
        missing: list[tuple[str, syntax.Stmt]] = []
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
