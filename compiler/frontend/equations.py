"""Equations, densities, probes and outputs of one model."""

from __future__ import annotations

from dataclasses import replace

from ..diagnostics import Findings, Note, did_you_mean
from . import nodes as syntax
from .cycles import components
from .declarations import Declarations
from .distributions import Variable
from .elaborate import Context, Elaborator
from .model import Dist, Expr, Model, Read, Tensor, Term, Value, Window
from .recurrences import Recurrences
from .scope import Scope, Unresolvable
from .typed_walk import reads
from .walk import names


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
        by_name = {e.target.name: e for e in equations}
        reads = {name: sorted(names(e.value) & by_name.keys()) for name, e in by_name.items()}
        started = {e.target.name: e.start for e in equations if e.start is not None}
        for name, start in started.items():
            reads[name] = sorted({*reads[name], *(names(start) & by_name.keys())})
        typed: dict[str, Value] = {}
        for members in components(reads):
            if any(name in self.scope.broken for name in members):
                self.scope.broken.update(members)
            elif len(members) > 1 or members[0] in reads[members[0]]:
                typed |= Recurrences(self).read([by_name[name] for name in members])
            else:
                typed |= self._one(by_name[members[0]])
        for equation in equations:  # the model keeps the order of the text
            if equation.target.name in typed:
                self.model.values[equation.target.name] = typed[equation.target.name]

    def _one(self, equation: syntax.Equation) -> dict[str, Value]:
        """The value of an equation that does not read itself; none after an error."""
        try:
            return {equation.target.name: self._value(equation)}
        except Unresolvable:
            self.scope.broken.add(equation.target.name)
            return {}

    def _value(self, equation: syntax.Equation) -> Value:
        if equation.start is not None:
            self.findings.error(
                "E0223",
                f"`{equation.target.name}` has a start, but its equation never reads it",
                equation.start.span,
                help="remove the start, or read an earlier label: h[t-1]",
            )
            raise Unresolvable
        left = self.declarations.tensor(equation.target, "value", "real", None)
        indices = frozenset(left.leaves)
        expr = self.elaborator.expression(equation.value, Context(open=indices, explicit=indices, left=left.declared))
        self._check_sized(left)
        tensor = Tensor(
            left.name, "value", left.declared, left.leaves, expr.dtype, _label_of(expr), "batch" in expr.axes, left.span
        )
        self.scope.tensors[tensor.name] = tensor
        return Value(tensor, expr, equation.role == "probe", equation.span)

    def _check_sized(self, left: Tensor) -> None:
        """An axis bound by the data gets its size from an input that has it."""
        carried = {leaf for item in self.model.inputs.values() for leaf in item.tensor.leaves}
        for leaf in left.leaves:
            axis = self.scope.axis(leaf.rstrip("'"))
            if axis.size is None and axis.name not in carried | self.scope.broken:
                self.findings.error(
                    "E0207",
                    f"the size of `{axis.name}` is only known from the data, and no input has it",
                    left.span,
                    notes=[Note(f"`{axis.name}` is declared without a size", axis.span)],
                    help=f"give it one: axis {axis.name} = .., or declare an input over it: input x[{axis.name}]",
                )
                raise Unresolvable

    # ------------------------------------------------------------ densities

    def density(self, stmt: syntax.Density) -> None:
        """``target ~ D(..)^w``: one term of the model's density."""
        try:
            term = self.term(stmt)
        except Unresolvable:
            return
        self.model.terms.append(term)

    def term(self, stmt: syntax.Density) -> Term:
        """A density statement, typed.

        Raises:
            Unresolvable: it is wrong; reported.
        """
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
                self._not_a_variable(name, e)
            raise Unresolvable
        if tensor.kind not in ("input", "value", "latent"):
            self.findings.error(
                "E0501",
                f"`{name}` is a {_KINDS.get(tensor.kind, tensor.kind)}: a density describes an input or a value",
                e.span,
                notes=[Note(f"`{name}` is declared here", tensor.span)],
                help="a parameter's prior stands in its declaration"
                if tensor.kind == "param"
                else "write the density of an input or of a computed value: y ~ ..",
            )
            raise Unresolvable
        context = Context(open=frozenset(tensor.leaves), explicit=frozenset(tensor.leaves), free=True)
        target = self.elaborator.expression(e, context)
        assert isinstance(target, Read)
        return replace(target, at=tuple(map(_existing, target.at)))

    def _not_a_variable(self, name: str, e: syntax.Expr) -> None:
        """The left side of a density is no tensor: an axis, a constant, or declared nowhere."""
        place = self.scope.places.get(name)
        if place is not None:
            kind = "an axis" if self.scope.is_axis(name) else "a constant"
            self.findings.error(
                "E0501",
                f"`{name}` is {kind}: a density describes an input or a value",
                e.span,
                notes=[Note(f"`{name}` is declared here", place)],
                help="write the density of an input or of a computed value: y ~ ..",
            )
            return
        close = did_you_mean(name, [t.name for t in self.scope.tensors.values() if t.kind in ("input", "value")])
        written = self.elaborator.text(e.span)
        fix = close or f"declare it: input {written}, or param {written} ~ .. for a parameter with this prior"
        self.findings.error("E0201", f"unknown name `{name}`", e.span, help=fix)
        self.scope.broken.add(name)

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
            axis = tensor.declared[-1] if tensor.declared else "AXIS"
            fix = f"declare `input {tensor.name}: {axis}` with the axis of its classes"
            if tensor.kind != "input":
                fix = "the label stands on the left, the scores in the argument: y ~ Categorical(logits = s)"
            self._misfit(stmt, tensor, "Categorical describes a label", fix)
        if support == "bool" and tensor.dtype != "bool":
            self._misfit(stmt, tensor, "Bernoulli describes a bool", f"declare `input {tensor.written()}: bool`")
        if support == "count" and (tensor.dtype != "int" or tensor.label is not None):
            self._misfit(stmt, tensor, "Poisson describes a count", f"declare `input {tensor.written()}: int`")
        if support == "real" and (tensor.label is not None or tensor.dtype == "bool"):
            fix = "Categorical(logits = ..)" if tensor.label is not None else "Bernoulli(logits = ..)"
            self._misfit(stmt, tensor, f"{dist.name} describes a real number", f"use {fix}")
        self._check_class_axis(dist)
        return {"input": "likelihood", "latent": "latent"}.get(tensor.kind, "activity")

    def _misfit(self, stmt: syntax.Density, tensor: Tensor, why: str, fix: str) -> None:
        held = f"labels of `{tensor.label}`" if tensor.label else _HELD.get(tensor.dtype, tensor.dtype)
        self.findings.error(
            "E0502",
            f"{why}, but `{tensor.name}` holds {held}",
            stmt.distribution.call.name_span,
            notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
            help=fix,
        )
        self.scope.suspect.add(tensor.name)
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
        idle = self._idle(wanted | read)
        within = self._read_within(idle)
        for name, value in self.model.values.items():
            if name in idle:
                continue
            here = {r.tensor.name for r in reads([value.expr])}
            read |= here - within.get(name, set())
            wanted |= here if value.probe else set()
        read |= {r.tensor.name for t in self.model.terms for r in reads([t.target, *t.dist.args.values()])}
        values = [v for v in self.model.values.values() if not v.probe]
        found = [name for name, latent in self.model.latents.items() if latent.found]
        self.model.outputs = (
            *found,
            *(
                name
                for name in (v.tensor.name for v in values)
                if name in wanted or (name not in read and name not in idle)
            ),
        )

    def _idle(self, wanted: set[str]) -> set[str]:
        """Values inside circuits that neither the model nor a density reads: further outputs that this model has no use
        for, say.  They can be asked for, but are nobody's result and nobody's reader."""
        values = self.model.values
        todo = [name for name in values if "." not in name or name in wanted]
        used = set(todo)
        while todo:
            value = values.get(todo.pop())
            read = {r.tensor.name for r in reads([value.expr])} if value is not None else set[str]()
            found = [name for name in read if name in values and name not in used]
            used.update(found)
            todo += found
        return values.keys() - used

    def _read_within(self, idle: set[str]) -> dict[str, set[str]]:
        """Per member of a recurrence that nothing outside reads: its members, whose reads of each other are no use."""
        found: dict[str, set[str]] = {}
        for recurrence in self.model.recurrences:
            members = set(recurrence.names())
            others = [v.expr for name, v in self.model.values.items() if name not in members and name not in idle]
            if not members & {r.tensor.name for r in reads(others)}:
                found |= dict.fromkeys(members, members)
        return found

    def _output(self, name: syntax.Name) -> bool:
        latent = self.model.latents.get(name.name)
        if name.name in self.model.values or (latent is not None and (latent.found or latent.inference is None)):
            return True  # of a latent with no way to be found that has been said
        tensor = self.scope.tensors.get(name.name)
        if tensor is not None:
            self.findings.error(
                "E0215",
                f"`{name.name}` is a {_KINDS.get(tensor.kind, tensor.kind)}, not a computed value",
                name.span,
                notes=[Note(f"`{name.name}` is declared here", tensor.span)],
                help=f"give it an equation: output y = {name.name}",
            )
        elif name.name not in self.scope.broken:
            fix = did_you_mean(name.name, self.model.values) or f"give it an equation: output {name.name} = .."
            self.findings.error("E0201", f"unknown name `{name.name}`", name.span, help=fix)
        return False


_HELD = {"real": "real numbers", "bool": "bools", "int": "whole numbers"}
_KINDS = {
    "input": "input",
    "latent": "latent",
    "param": "parameter",
    "let": "constant table",
    "value": "value",
    "state": "state",
}


def _existing(position: str | Expr) -> str | Expr:
    """A fixed label on the left of a density (``h[2]``, ``h[last]``): where it is outside the axis there is no term."""
    if isinstance(position, (str, Window)) or reads([position]):
        return position
    return Window(position.axes, "int", position.span, position)


def _label_of(expr: Expr) -> str | None:
    """The axis whose labels an expression holds: a label tensor read as it is."""
    return expr.tensor.label if isinstance(expr, Read) else None
