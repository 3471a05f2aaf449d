"""Equations, densities, probes and outputs of one model."""

from __future__ import annotations

from ..diagnostics import Findings, Note
from . import nodes as syntax
from .declarations import Declarations
from .distributions import Variable
from .elaborate import Context, Elaborator
from .model import Dist, Expr, Model, Read, Tensor, Term, Value
from .scope import Scope, Unresolvable
from .typed_walk import reads
from .walk import names, walk


class Equations:
    """Reads equations in the order they depend on each other (their order in the text is free)."""

    def __init__(
        self, model: Model, scope: Scope, findings: Findings, elaborator: Elaborator, declarations: Declarations
    ) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.elaborator = elaborator
        self.declarations = declarations

    # ------------------------------------------------------------ values

    def values(self, equations: list[syntax.Equation]) -> None:
        """Type every equation; each after those it reads."""
        order = self._ordered(equations)
        typed: dict[str, Value] = {}
        for equation in order:
            if equation.target.name in self.scope.broken:
                continue
            try:
                typed[equation.target.name] = self._value(equation)
            except Unresolvable:
                self.scope.broken.add(equation.target.name)
        for equation in equations:  # the model keeps the order of the text
            if equation.target.name in typed:
                self.model.values[equation.target.name] = typed[equation.target.name]

    def _value(self, equation: syntax.Equation) -> Value:
        if equation.start is not None:
            self.findings.error("E0901", "a recurrence (`start`) is not compiled yet", equation.start.span)
            raise Unresolvable
        left = self.declarations.tensor(equation.target, "value", "real", None)
        indices = frozenset(left.leaves)
        expr = self.elaborator.expression(equation.value, Context(open=indices, explicit=indices))
        tensor = Tensor(
            left.name, "value", left.declared, left.leaves, expr.dtype, _label_of(expr), "batch" in expr.axes, left.span
        )
        self.scope.tensors[tensor.name] = tensor
        return Value(tensor, expr, equation.role == "probe", equation.span)

    def _ordered(self, equations: list[syntax.Equation]) -> list[syntax.Equation]:
        """Topological order by name (depth first, no recursion); circles are reported once, with their members."""
        by_name = {e.target.name: e for e in equations}
        reads = {name: sorted(names(e.value) & by_name.keys()) for name, e in by_name.items()}
        order: list[syntax.Equation] = []
        state: dict[str, int] = {}
        for root in by_name:
            stack = [(root, iter(reads[root]))]
            if root in state:
                continue
            state[root] = 1
            while stack:
                name, rest = stack[-1]
                following = next(rest, None)
                if following is None:
                    stack.pop()
                    state[name] = 2
                    order.append(by_name[name])
                elif following not in state:
                    state[following] = 1
                    stack.append((following, iter(reads[following])))
                elif state[following] == 1:
                    path = [n for n, _ in stack]
                    self._circle(path[path.index(following) :], by_name)
        return order

    def _circle(self, members: list[str], by_name: dict[str, syntax.Equation]) -> None:
        """A value that depends on itself: a recurrence when it reads shifted labels, else a mistake."""
        equation = by_name[members[0]]
        shifted = any(
            isinstance(arg, (syntax.Binary, syntax.Unary)) and node.name in members
            for name in members
            for node in walk(by_name[name].value)
            if isinstance(node, syntax.Index)
            for arg in node.args
        )
        if shifted or any(by_name[m].start is not None for m in members):
            self.findings.error(
                "E0901",
                f"a recurrence (`{members[0]}` reads itself at another label) is not compiled yet",
                equation.span,
            )
        else:
            circle = " -> ".join([*members, members[0]])
            self.findings.error(
                "E0206",
                f"`{members[0]}` depends on itself: {circle}",
                equation.target.span,
                help="a recurrence reads an earlier label, for instance h[t-1]",
            )
        self.scope.broken.update(members)

    # ------------------------------------------------------------ densities

    def density(self, stmt: syntax.Density) -> None:
        """``target ~ D(..)^w``: one term of the model's density."""
        try:
            term = self._term(stmt)
        except Unresolvable:
            return
        self.model.terms.append(term)

    def _term(self, stmt: syntax.Density) -> Term:
        call = stmt.distribution.call
        target = self._target(stmt.target)
        indices = target.axes - {"batch"}
        context = Context(open=indices, explicit=indices, free=True)
        tensor = target.tensor
        plain = tuple(p for p in target.at if isinstance(p, str))
        categorical = tensor.label if call.name == "Categorical" else None
        variable = Variable(tensor.name, plain, tensor.declared[-1:], categorical, plain[-1:])
        dist = self.declarations.distribution(call, context, variable)
        kind = self._fit(target, dist, stmt)
        power = None
        if stmt.distribution.power is not None:
            power = self.elaborator.expression(stmt.distribution.power, context)
        repeated = indices.union(*(a.axes for a in dist.args.values())) - {"batch", *dist.classes, *dist.over}
        return Term(kind, target, repeated, dist, power, stmt.span)

    def _target(self, e: syntax.Expr) -> Read:
        """The variable of a density: an input or a value, with its open indices."""
        name = e.name if isinstance(e, (syntax.Name, syntax.Index)) else ""
        tensor = self.scope.tensors.get(name)
        if tensor is None:
            if name not in self.scope.broken:
                self.scope.unknown(name, e.span)
            raise Unresolvable
        if tensor.kind not in ("input", "value"):
            self.findings.error(
                "E0501",
                f"`{name}` is a {_KINDS.get(tensor.kind, tensor.kind)}: a density describes an input or a value",
                e.span,
                notes=[Note(f"`{name}` is declared here", tensor.span)],
                help="a parameter's prior stands in its declaration" if tensor.kind == "param" else None,
            )
            raise Unresolvable
        context = Context(open=frozenset(tensor.leaves), explicit=frozenset(tensor.leaves), free=True)
        target = self.elaborator.expression(e, context)
        assert isinstance(target, Read)
        if any(not isinstance(p, str) for p in target.at):
            self.findings.error("E0901", "a density on a shifted or fixed entry is not compiled yet", e.span)
            raise Unresolvable
        return target

    def _fit(self, target: Read, dist: Dist, stmt: syntax.Density) -> str:
        """Does the distribution fit the variable?  Returns the kind of the term."""
        tensor = target.tensor
        if dist.name == "Gibbs":
            if tensor.kind == "input":
                self._misfit(
                    stmt,
                    tensor,
                    "Gibbs turns a computed loss into a density",
                    "name the loss in an equation and write `e ~ Gibbs()`",
                )
            return "loss"
        support = {"Categorical": "label", "Bernoulli": "bool", "Poisson": "count"}.get(dist.name, "real")
        if support == "label" and tensor.label is None:
            self._misfit(
                stmt,
                tensor,
                "Categorical describes a label",
                f"declare `input {tensor.name}: AXIS` with the axis of its classes",
            )
        if support == "bool" and tensor.dtype != "bool":
            self._misfit(stmt, tensor, "Bernoulli describes a bool", f"declare `input {tensor.written()}: bool`")
        if support == "count" and (tensor.dtype != "int" or tensor.label is not None):
            self._misfit(stmt, tensor, "Poisson describes a count", f"declare `input {tensor.written()}: int`")
        if support == "real" and (tensor.label is not None or tensor.dtype == "bool"):
            fix = "Categorical(logits = ..)" if tensor.label is not None else "Bernoulli(logits = ..)"
            self._misfit(stmt, tensor, f"{dist.name} describes a real number", f"use {fix}")
        self._check_class_axis(dist)
        return "likelihood" if tensor.kind == "input" else "activity"

    def _misfit(self, stmt: syntax.Density, tensor: Tensor, why: str, fix: str) -> None:
        held = f"labels of `{tensor.label}`" if tensor.label else tensor.dtype
        self.findings.error(
            "E0502",
            f"{why}, but `{tensor.name}` holds {held}",
            stmt.distribution.call.name_span,
            notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
            help=fix,
        )
        raise Unresolvable

    def _check_class_axis(self, dist: Dist) -> None:
        classes = dist.classes
        for name, arg in dist.args.items():
            lacking = [c for c in classes if c not in arg.axes]
            if lacking:
                found = ", ".join(sorted(arg.axes - {"batch"})) or "no axes"
                self.findings.error(
                    "E0503",
                    f"`{name}` must have the class axis `{', '.join(classes)}`; it has {found}",
                    arg.span,
                    help=f"give it an entry per class of `{', '.join(classes)}`",
                )
                raise Unresolvable

    # ------------------------------------------------------------ outputs

    def outputs(self, body: tuple[syntax.Stmt, ...], reported: set[str]) -> None:
        """Declared outputs; else what a density, report or probe reads, or nothing reads."""
        declared: list[str] = []
        for stmt in body:
            if isinstance(stmt, syntax.Equation) and stmt.role == "output":
                declared.append(stmt.target.name)
            if isinstance(stmt, syntax.OutputDecl):
                declared += [n.name for n in stmt.names if self._output(n)]
        if declared:
            self.model.outputs = tuple(dict.fromkeys(declared))
            return
        wanted = {r.tensor.name for t in self.model.terms for r in reads([t.target, *t.dist.args.values()])} | reported
        read = {r.tensor.name for state in self.model.buffers.values() for r in reads([state.update])}
        for value in self.model.values.values():
            here = {r.tensor.name for r in reads([value.expr])}
            read |= here
            wanted |= here if value.probe else set()
        read |= {r.tensor.name for t in self.model.terms for r in reads([t.target, *t.dist.args.values()])}
        values = [v for v in self.model.values.values() if not v.probe]
        self.model.outputs = tuple(
            v.tensor.name for v in values if v.tensor.name in wanted or v.tensor.name not in read
        )

    def _output(self, name: syntax.Name) -> bool:
        if name.name in self.model.values:
            return True
        tensor = self.scope.tensors.get(name.name)
        if tensor is not None:
            self.findings.error(
                "E0215",
                f"`{name.name}` is a {_KINDS.get(tensor.kind, tensor.kind)}, not a computed value",
                name.span,
                notes=[Note(f"`{name.name}` is declared here", tensor.span)],
            )
        else:
            self.scope.unknown(name.name, name.span)
        return False


_KINDS = {"input": "input", "param": "parameter", "let": "constant table", "value": "value", "state": "state"}


def _label_of(expr: Expr) -> str | None:
    """The axis whose labels an expression holds: a label tensor read as it is."""
    return expr.tensor.label if isinstance(expr, Read) else None
