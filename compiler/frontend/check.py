"""The front end's door: a parsed file becomes a typed model, with all independent errors of the file in one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from keyword import kwlist

from ..diagnostics import Findings, Note, did_you_mean, suggest
from . import nodes as syntax
from .circuits.bodies import Circuits
from .circuits.files import Files, Visible
from .circuits.places import note_calls
from .data_block import DataReader
from .declarations import Declarations, density_meant
from .domains import Library
from .elaborate import Elaborator
from .equations import Equations
from .externs import Extern, Externs
from .latents import Latents
from .learning import Learning
from .lengths import read_lengths
from .measured import Measured
from .model import Model
from .phases import in_effect, own
from .repeats import merge_repeats
from .scope import Scope
from .states import States
from .training import SETTINGS, TrainReader
from .typed_walk import reads
from .unused import warn

NOT_A_CLASS = frozenset([*kwlist, "torch", "rt", "math", "F", "Tensor", "ABI", "_"])
"""Names that a class of the emitted module cannot have: Python's keywords and the module's own names."""

_NOT_YET: dict[type[syntax.Stmt], str] = {
    syntax.MovedDecl: "a declared refactor (`moved`, `extend`, `dropped`)",
}


def check(
    file: syntax.File,
    findings: Findings,
    library: Library,
    *,
    files: Files,
    model: str | None = None,
    overrides: Mapping[str, str] | None = None,
    allow_extern: bool = False,
) -> list[Model]:
    """The typed model of a file, once for every train block: what is the same in all stands in each.

    ``library`` is the standard library (a rule of the file hides its namesake there), ``files`` finds what the file uses,
    ``allow_extern`` says that it may call Python, ``model`` picks one of several, ``overrides`` are the texts of ``--set``.  Findings collect everything that is wrong;
    empty when there is no model to speak of.
    """
    for stmt in file.body:
        _refuse_not_yet(stmt, findings)
    chosen = choose(file, model, findings)
    if chosen is None:
        return []
    rules_broken = {s.names[0] for s in file.body if isinstance(s, syntax.Broken) and s.names}
    visible = files.visible(file)
    rules_broken |= visible.failed
    models = {decl.name: decl for decl in file.body if isinstance(decl, syntax.ModelDecl)}
    phases = range(max(1, sum(isinstance(s, syntax.TrainBlock) for s in chosen.body)))
    given = overrides or {}
    externs = Externs(findings, allow_extern, files.read)
    for stmt in file.body:
        if isinstance(stmt, syntax.ExternDecl):
            externs.declare(stmt)
    files.texts |= externs.texts
    rules_broken |= externs.failed
    found = [
        _Check(chosen, findings, visible, library, given, rules_broken, models, externs.known, k).run() for k in phases
    ]
    merge_repeats(findings)
    return found


def _refuse_not_yet(stmt: syntax.Stmt, findings: Findings) -> None:
    what = _NOT_YET.get(type(stmt))
    if what is not None:
        findings.error("E0901", f"{what} is not compiled yet", stmt.span)


def choose(file: syntax.File, name: str | None, findings: Findings) -> syntax.ModelDecl | None:
    """The main model: the named one, else the one that trains, else the last."""
    models = [s for s in file.body if isinstance(s, syntax.ModelDecl)]
    for decl in models:
        if decl.name in NOT_A_CLASS:
            message = f"`{decl.name}` cannot name a model: the emitted class could not have that name"
            findings.error("E0113", message, decl.name_span, help=f"write model {decl.name.title()}Model, say")
    first: dict[str, syntax.ModelDecl] = {}
    for decl in models:
        if decl.name in first:
            place = Note(f"`{decl.name}` is first declared here", first[decl.name].name_span)
            findings.error(
                "E0205",
                f"the model `{decl.name}` is declared twice",
                decl.name_span,
                notes=[place],
                help="rename one of them",
            )
        first.setdefault(decl.name, decl)
    if name is not None:
        hit = next((m for m in models if m.name == name), None)
        if hit is None:
            known = [m.name for m in models]
            findings.error(
                "E0704",
                f"there is no model `{name}`",
                file.span,
                help=did_you_mean(name, known) or f"models: {', '.join(known)}",
            )
        return hit
    if not models:
        if (
            not findings.errors
            and not any(isinstance(s, syntax.Broken) for s in file.body)
            and not any(isinstance(s, syntax.RuleDecl) for s in file.body)
        ):
            findings.error("E0704", "the file holds no model", file.span, help="write model NAME { .. }")
        return None
    training = [m for m in models if any(isinstance(s, syntax.TrainBlock) for s in m.body)]
    return training[-1] if training else models[-1]


class _Check:
    """The order of the checks on one model; each step goes on with what the earlier ones could resolve."""

    def __init__(
        self,
        decl: syntax.ModelDecl,
        findings: Findings,
        visible: Visible,
        library: Library,
        overrides: Mapping[str, str],
        broken: set[str],
        models: Mapping[str, syntax.ModelDecl],
        externs: dict[str, Extern],
        phase: int = 0,
    ) -> None:
        """``phase`` is the number of the train block that counts."""
        self.decl = decl
        self.phase = phase
        self.block: syntax.TrainBlock | None = None
        self.models = models
        self.externs = externs
        self.findings = findings
        self.visible = visible
        self.library = library
        self.overrides = overrides
        self.model = Model(decl.name, decl.name_span, doc=decl.doc, sources=findings.sources)
        self.broken = broken
        self.scope = Scope(findings, overrides, broken=set(broken))
        self.scope.circuit_help = self._circuit_help
        self.elaborator = Elaborator(self.scope, findings)
        self.elaborator.declare(externs)

    def _circuit_help(self, name: str) -> str | None:
        """A circuit of the file, or of the standard library, that an unknown call may have meant."""
        standard = [
            s.name
            for s in getattr(self.library.file("std/layers.dlt"), "body", ())
            if isinstance(s, syntax.CircuitDecl)
        ]
        close = suggest(name, [*self.visible.circuits, *standard])
        if close is None or close in self.visible.circuits:
            return f"did you mean `{close}`?" if close is not None else None
        return (
            f"it is a standard circuit: add the line `use std.layers ({close})`"
            if close == name
            else f"did you mean `{close}` of std.layers?"
        )

    def run(self) -> Model:
        """The model with all that it trains on and how."""
        blocks = in_effect([s for s in self.decl.body if isinstance(s, syntax.TrainBlock)], self.findings)
        self.block = blocks[self.phase] if blocks else None
        body, equations, circuits = self._declared(infer=True)
        self._check_overrides()
        self._training(body, equations)
        note_calls(self.findings, circuits.called)
        if not self.findings.errors:
            warn(self.decl.body, body, self.model, self.findings)
        return self.model

    def teaching(self) -> Model | None:
        """The model without training and without how its latents are found; None when it has errors."""
        before = len(self.findings.errors)
        _, _, circuits = self._declared(infer=False)
        note_calls(self.findings, circuits.called)
        return self.model if len(self.findings.errors) == before else None

    def _teacher(self, name: str) -> Model | None:
        """A model of the file to draw data from."""
        if name == self.decl.name:
            own = self.model  # as it is so far: nothing is learned yet
            return None if self.findings.errors else replace(own, rules=dict(own.rules))
        decl = self.models[name]
        return _Check(
            decl, self.findings, self.visible, self.library, self.overrides, self.broken, self.models, self.externs
        ).teaching()

    def _declared(self, *, infer: bool) -> tuple[tuple[syntax.Stmt, ...], Equations, Circuits]:
        """Everything but `data`, `learn` and `train`.  Returns the body with circuits written out, and who read it."""
        circuits = Circuits(self.findings)
        body = circuits.written_out(self.decl.body, self.visible.circuits)
        declarations = Declarations(self.model, self.scope, self.findings, self.elaborator)
        equations = Equations(self.model, self.scope, self.findings, self.elaborator, declarations)
        latents = Latents(self.model, self.scope, self.findings, self.elaborator, declarations, equations)
        states = States(self.model, self.scope, self.findings, self.elaborator, declarations)
        for stmt in body:
            _refuse_not_yet(stmt, self.findings)
        declarations.reserve(body)
        self.scope.broken.update(s.target.name for s in body if isinstance(s, syntax.Update) and self._undeclared(s))
        declarations.resolve_axes()
        for stmt in body:
            if isinstance(stmt, syntax.InputDecl):
                declarations.input(stmt)
            elif isinstance(stmt, syntax.ParamDecl):
                declarations.param_tensor(stmt)
            elif isinstance(stmt, syntax.StateDecl):
                states.declare(stmt)
            elif isinstance(stmt, syntax.LatentDecl):
                latents.declare(stmt)
        read_lengths(body, self.model, self.scope, self.findings)
        for stmt in body:
            if isinstance(stmt, syntax.ParamDecl):
                declarations.param(stmt)
        declarations.check_draws()
        equations.values([s for s in body if isinstance(s, syntax.Equation) and not density_meant(s)])
        states.read(body)
        for stmt in body:
            if isinstance(stmt, syntax.Density):
                equations.density(stmt)
        latents.priors()
        if infer:
            lines = [s for s in body if isinstance(s, syntax.InferBlock)]
            latents.infer(lines, own(self.block, syntax.InferBlock), self.visible.rules, self.library)
        measured = Measured(self.model, self.scope, self.findings, self.elaborator)
        measured.probes(body)
        measured.asserts(body)
        return body, equations, circuits

    def _undeclared(self, stmt: syntax.Update) -> bool:
        """An update of nothing was meant as an equation: its readers are not to blame."""
        return stmt.target.name not in self.scope.places

    def _check_overrides(self) -> None:
        known = [*self.scope.axis_items, *self.scope.let_items, *self._sizes_of_teacher()]
        for name in self.overrides:
            if not name.startswith("train.") and name not in known and name not in self.scope.broken:
                self.findings.error(
                    "E0219",
                    f"`--set {name}`: the spec declares no axis or `let` of that name",
                    self.decl.name_span,
                    help=did_you_mean(name, known)
                    or (f"a setting is written --set train.{name}=.." if name in SETTINGS else None)
                    or f"there are {', '.join(known) or 'none'}; a setting is written --set train.steps=9",
                )

    def _sizes_of_teacher(self) -> list[str]:
        """The axes and `let`s of the model that the data come from: `--set` changes both models alike."""
        sources = [s.source.name for s in self.decl.body if isinstance(s, syntax.DataBlock)]
        taught = [s for name in sources if name in self.models for s in self.models[name].body]
        axes = [item.name for s in taught if isinstance(s, syntax.AxisDecl) for item in s.items]
        return axes + [item.target.name for s in taught if isinstance(s, syntax.LetDecl) for item in s.items]

    def _training(self, body: tuple[syntax.Stmt, ...], equations: Equations) -> None:
        block = self.block
        data = [s for s in body if isinstance(s, syntax.DataBlock)]
        for more in data[1:]:
            self.findings.error("E0705", "a model has one data block", more.span)
        if data:
            models = {name: partial(self._teacher, name) for name in self.models}
            DataReader(self.model, self.scope, self.findings, models).read(data[0])
        TrainReader(self.model, self.scope, self.findings, self.elaborator).read(block, self.overrides)
        learn = [s for s in body if isinstance(s, syntax.LearnBlock)]
        replacing = own(block, syntax.LearnBlock)
        rules = {**self.library.rules, **self.visible.rules} if learn or replacing else {}
        foreign = any(
            isinstance(s, syntax.Broken) and s.block for s in body
        )  # it may have been the `learn` of this model
        required = block is not None and not (foreign and not learn)
        learning = Learning(self.model, self.scope, self.findings, rules, self.library)
        learning.read(learn, replacing, required=required)
        reported = _reported(self.model)
        equations.outputs(body, reported)
        if block is not None and not self.model.terms and not self.findings.errors:
            self.findings.error(
                "E0504",
                f"`{self.model.name}` has no density: there is nothing to learn from",
                block.span,
                help="add a likelihood: y ~ .., or a loss: e ~ Gibbs()",
            )


def _reported(model: Model) -> set[str]:
    """The names that a report, a probe or an assertion reads."""
    metrics = model.train.metrics if model.train else ()
    roots = [e for m in metrics for _, e in m.stats] + [p.expr for p in model.probes.values()]
    roots += [e for a in model.asserts for k in range(len(a.operands)) for _, e in a.stats(k)]
    return {r.tensor.name for r in reads(roots)}
