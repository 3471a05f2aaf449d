"""Latents and `infer`: what is unobserved per example, and how it is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ..diagnostics import Findings, Note, did_you_mean
from . import nodes as syntax
from .binding import Binding
from .declarations import Declarations
from .distributions import ON_DOMAIN, Variable
from .domains import Library, Rules
from .elaborate import Context, Elaborator
from .equations import Equations
from .learning import Learning
from .model import Dist, Expr, Inference, Latent, Model, Param, RuleUse
from .scope import Scope, Unresolvable
from .typed_walk import posteriors, reads


@dataclass(frozen=True, slots=True)
class Way:
    """A way to infer that is no rule of the library: its arguments, and what latents it is for."""

    steps: bool
    discrete: bool | None


WAYS: dict[str, Way] = {
    "ISTA": Way(True, False),
    "FISTA": Way(True, False),
    "Newton": Way(True, False),
    "Sample": Way(False, None),
    "Enumerate": Way(False, True),
    "Hard": Way(False, True),
}
"""Everything else that infers is a rule of `learn` with ``steps = k``, or a density: a guide."""

MOST_STEPS = 100_000


class Latents:
    """Reads the latents of one model and what `infer` says about them."""

    def __init__(
        self,
        model: Model,
        scope: Scope,
        findings: Findings,
        elaborator: Elaborator,
        declarations: Declarations,
        equations: Equations,
    ) -> None:
        self.model, self.scope, self.findings = model, scope, findings
        self.elaborator, self.declarations, self.equations = elaborator, declarations, equations
        self.stmts: dict[str, syntax.LatentDecl] = {}

    def declare(self, stmt: syntax.LatentDecl) -> None:
        """``latent z[k] in DOMAIN ~ D``, ``latent c: cls ~ Categorical(..)``: a tensor like an input that no column gives."""
        try:
            _, dtype, label = self.declarations.kind_of(stmt.kind)
            tensor = self.declarations.tensor(stmt.target, "latent", dtype, label, batched=True)
            domain, groups = self.declarations.domain(stmt.domain, tensor)
        except Unresolvable:
            self.scope.broken.add(stmt.target.name)
            return
        self.scope.tensors[tensor.name] = tensor
        self.stmts[tensor.name] = stmt
        if tensor.label is not None or dtype == "bool":
            domain = "label" if tensor.label is not None else "bool"
        self.model.latents[tensor.name] = Latent(tensor, domain, groups, None, stmt.doc)

    def priors(self) -> None:
        """The priors, once everything that they may read has its type: a term each."""
        for name, stmt in self.stmts.items():
            latent = self.model.latents[name]
            try:
                if stmt.prior is None:
                    fix = f"say what is believed about it: latent {stmt.target.name} ~ Normal(0, var = 1)"
                    self.findings.error("E0510", f"the latent `{name}` has no prior", stmt.span, help=fix)
                    raise Unresolvable
                if stmt.prior.call.name not in ON_DOMAIN[latent.domain]:
                    legal = " or ".join(ON_DOMAIN[latent.domain])
                    message = f"{stmt.prior.call.name} does not live on `{latent.domain}`, where `{name}` is"
                    self.findings.error("E0308", message, stmt.prior.call.name_span, help=f"use {legal}")
                    raise Unresolvable
                target = syntax.Name(stmt.target.name_span, name)
                term = self.equations.term(syntax.Density(stmt.span, target, stmt.prior))
                self.model.latents[name] = replace(latent, prior=len(self.model.terms))
                self.model.terms.append(term)
            except Unresolvable:
                self.scope.broken.add(name)
                del self.model.latents[name]

    # ------------------------------------------------------------ infer

    def infer(
        self, blocks: list[syntax.InferBlock], replacing: list[syntax.InferBlock], rules: Rules, library: Library
    ) -> None:
        """Give every latent the way in which it is found; lines of the train block (``replacing``) replace the model's."""
        lines = [line for block in [*blocks, *replacing] for line in block.lines]
        chosen = dict(self._chosen([line for block in blocks for line in block.lines]))
        chosen |= self._chosen([line for block in replacing for line in block.lines])
        learning = Learning(self.model, self.scope, self.findings, {**library.rules, **rules}, library)
        for name, latent in self.model.latents.items():
            line = chosen.get(name)
            if line is None:
                if not any(isinstance(s, syntax.Broken) for s in lines):
                    message = f"nothing says how the latent `{name}` is found"
                    fix = f"add infer {{ {name} : {'Enumerate()' if latent.discrete else 'RULE(.., steps = 50)'} }}"
                    self.findings.error("E0511", message, latent.tensor.span, help=fix)
                continue
            try:
                found = (
                    self._guide(latent, line) if isinstance(line, syntax.Density) else self._way(latent, line, learning)
                )
                self.model.latents[name] = replace(latent, inference=found)
            except Unresolvable:
                continue

        self._check_posteriors()

    def _check_posteriors(self) -> None:
        """Only what is summed out, or an input that a density is about, has a posterior."""
        described = {term.target.tensor.name for term in self.model.terms}
        for x in [x for value in self.model.values.values() for x in posteriors(value.expr)]:
            if x.latent in self.model.inputs and x.latent not in described:
                message = f"`posterior({x.latent})` needs a density on `{x.latent}`"
                notes = [Note(f"`{x.latent}` is declared here", self.model.inputs[x.latent].tensor.span)]
                help = f"say what it is drawn from: {x.latent} ~ Categorical(p = ..)"
                self.findings.error("E0518", message, x.span, notes=notes, help=help)
            if x.latent not in self.model.latents:
                continue  # one whose declaration was refused is reported there
            if (how := self.model.latents[x.latent].inference) is not None and how.how != "enumerate":
                message = f"`posterior({x.latent})` needs a latent that is summed out"
                notes = [Note(f"`{x.latent}` is found otherwise here", how.span)]
                help = f"write infer {{ {x.latent} : Enumerate() }}"
                self.findings.error("E0518", message, x.span, notes=notes, help=help)

    def _chosen(self, lines: list[syntax.Stmt]) -> Mapping[str, syntax.RuleLine | syntax.Density]:
        """The line for each latent: a guide or the most specific selector."""
        found: dict[str, tuple[tuple[int, int], syntax.RuleLine | syntax.Density, syntax.Expr]] = {}
        for line in lines:
            if isinstance(line, syntax.RuleLine):
                for s in line.selectors:
                    hits = [n for n in self.model.latents if fnmatchcase(n, s.name)]
                    if not hits and s.name not in self.scope.broken:
                        self._no_latent(s, s.name)
                    for name in hits:
                        strength = 1 if line.default else 0 if "*" in s.name else 2
                        self._take(found, name, (strength, len(s.name)), line, s)
            elif isinstance(line, syntax.Density):
                name = line.target.name if isinstance(line.target, syntax.Name | syntax.Index) else ""
                if name in self.model.latents:
                    self._take(found, name, (1 if line.default else 2, len(name)), line, line.target)
                elif name not in self.scope.broken:
                    self._no_latent(line.target, name)
        return {name: line for name, (_, line, _) in found.items()}

    def _no_latent(self, e: syntax.Expr, name: str) -> None:
        tensor = self.scope.tensors.get(name)
        notes = [Note(f"`{name}` is declared here", tensor.span)] if tensor is not None else []
        message = f"`{name}` is no latent" if tensor is not None else f"there is no latent `{name}`"
        fix = did_you_mean(name, self.model.latents) or "`infer` finds latents; parameters move by `learn`"
        self.findings.error("E0512", message, e.span, notes=notes, help=fix)

    def _take(
        self,
        found: dict[str, tuple[tuple[int, int], syntax.RuleLine | syntax.Density, syntax.Expr]],
        name: str,
        rank: tuple[int, int],
        line: syntax.RuleLine | syntax.Density,
        place: syntax.Expr,
    ) -> None:
        old = found.get(name)
        if old is not None and old[0] == rank:
            first = [Note(f"`{name}` has its first line here", old[2].span)]
            message = f"`{name}` is inferred in two ways"
            self.findings.error("E0404", message, place.span, notes=first, help="remove one of them")
        elif old is None or old[0] < rank:
            found[name] = rank, line, place

    def _guide(self, latent: Latent, line: syntax.Density) -> Inference:
        """``z ~ Normal(mu, std = s)``: what z is drawn from, given the data."""
        tensor = latent.tensor
        if line.distribution.power is not None:
            self.findings.error("E0513", "a guide is a density, without a power", line.span, help="leave the power out")
            raise Unresolvable
        if latent.discrete or line.distribution.call.name not in ON_DOMAIN[latent.domain]:
            legal = "Enumerate()" if latent.discrete else " or ".join(ON_DOMAIN[latent.domain])
            message = f"`{tensor.name}` is `{latent.domain}`: {line.distribution.call.name} is no guide for it"
            self.findings.error("E0513", message, line.distribution.call.name_span, help=f"use {legal}")
            raise Unresolvable
        indices = frozenset(tensor.leaves)
        variable = Variable(tensor.name, tensor.leaves, tensor.declared[-1:], None, tensor.leaves[-1:])
        context = Context(open=indices, explicit=indices)
        guide = self.declarations.distribution(line.distribution.call, context, variable)
        self._check_order(latent, guide, line)
        return Inference("guide", 0, True, None, guide, line.span)

    def _check_order(self, latent: Latent, guide: Dist, line: syntax.Density) -> None:
        """A guide reads data and parameters: nothing that is computed from the latent itself."""
        todo, seen = [*guide.args.values()], set[str]()
        while todo:
            for read in reads([todo.pop()]):
                name = read.tensor.name
                if name == latent.tensor.name:
                    message = f"the guide of `{name}` depends on `{name}`"
                    self.findings.error("E0513", message, line.span, help="compute it from the inputs")
                    raise Unresolvable
                if name in self.model.values and name not in seen:
                    seen.add(name)
                    todo.append(self.model.values[name].expr)

    def _way(self, latent: Latent, line: syntax.RuleLine, learning: Learning) -> Inference:
        call = line.rules[0]
        if len(line.rules) > 1:
            self.findings.error("E0514", "a latent is found in one way", line.rules[1].span, help="remove one of them")
            raise Unresolvable
        way = WAYS.get(call.name)
        rest, steps, through = self._arguments(call, required=way is None or way.steps)
        if way is None:
            return Inference("rule", steps, through, self._rule(latent, rest, learning), None, call.span)
        for arg in rest.args:
            fix = f"write {call.name}({'steps = 50' if way.steps else ''})"
            self.findings.error("E0514", f"{call.name} has no such argument", arg.span, help=fix)
            raise Unresolvable
        if way.discrete is not None and way.discrete != latent.discrete:
            what = "labels and bools" if way.discrete else "real numbers"
            fix = "Enumerate() or Hard()" if latent.discrete else "RULE(.., steps = 50), or a guide"
            message = f"{call.name} is for {what}; `{latent.tensor.name}` is `{latent.domain}`"
            self.findings.error("E0514", message, call.name_span, help=f"use {fix}")
            raise Unresolvable
        if call.name in ("ISTA", "FISTA"):
            self._check_prox(latent, call)
        if call.name == "Sample":
            self._check_draw(latent, call)
        if call.name == "Newton" and latent.domain != "real":
            message = f"Newton is for real numbers; `{latent.tensor.name}` is `{latent.domain}`"
            self.findings.error("E0514", message, call.name_span, help="use RULE(.., steps = 50)")
            raise Unresolvable
        return Inference(call.name.lower(), steps, through, None, None, call.span)

    def _check_draw(self, latent: Latent, call: syntax.Call) -> None:
        """A draw from a density that reads other labels of what is drawn would go along them, label by label."""
        if latent.prior is None:
            return
        stack: list[Expr] = [*self.model.terms[latent.prior].dist.args.values()]
        seen: set[str] = set()
        while stack:
            for name in {r.tensor.name for r in reads([stack.pop()])} - seen:
                seen.add(name)
                stack += [self.model.values[name].expr] if name in self.model.values else []
        if latent.tensor.name in seen:
            what = f"drawing `{latent.tensor.name}`, whose density reads its other labels,"
            notes = [Note(f"`{latent.tensor.name}` is declared here", latent.tensor.span)]
            self.findings.error("E0901", f"{what} is not compiled yet", call.span, notes=notes)
            raise Unresolvable

    def _check_prox(self, latent: Latent, call: syntax.Call) -> None:
        prior = self.model.terms[latent.prior].dist if latent.prior is not None else None
        legal = {"real": ("Laplace",), "positive": ("Laplace", "Exponential")}.get(latent.domain, ())
        if prior is None or prior.name not in legal:
            has = prior.name if prior is not None else "none"
            message = f"{call.name} needs a Laplace prior (positive: Laplace or Exponential); it is {has}"
            notes = [Note(f"`{latent.tensor.name}` is declared here", latent.tensor.span)]
            self.findings.error("E0515", message, call.name_span, notes=notes, help="use RULE(.., steps = 50)")
            raise Unresolvable

    def _arguments(self, call: syntax.Call, *, required: bool) -> tuple[syntax.Call, int, bool]:
        """``steps`` and ``through`` of a call, and the call without them."""
        own = {a.name: a for a in call.args if a.name in ("steps", "through")}
        steps, through = 0, False
        if "steps" in own and required:
            steps = self.scope.whole(own["steps"].value)
            if not 1 <= steps <= MOST_STEPS:
                message = f"`steps` is from 1 to {MOST_STEPS:,}, not {steps}"
                self.findings.error("E0514", message, own["steps"].span, help="write steps = 50")
                raise Unresolvable
        elif required:
            fix = f"write {call.name}({'' if call.name in WAYS else 'lr = 0.1, '}steps = 50)"
            self.findings.error("E0514", f"{call.name} needs `steps`: how often", call.span, help=fix)
            raise Unresolvable
        if "through" in own:
            value = own["through"].value
            word = value.name if isinstance(value, syntax.Name) else ""
            if word not in ("true", "false"):
                self.findings.error(
                    "E0514", "`through` is true or false", own["through"].span, help="write through = true"
                )
                raise Unresolvable
            through = word == "true"
        rest = tuple(a for a in call.args if a.name not in own or (a.name == "steps" and not required))
        return replace(call, args=rest), steps, through

    def _rule(self, latent: Latent, call: syntax.Call, learning: Learning) -> RuleUse:
        """A rule of `learn` on a latent: each example's value moves like a parameter of its own."""
        if latent.discrete:
            message = f"{call.name} is a rule for real numbers; `{latent.tensor.name}` is `{latent.domain}`"
            self.findings.error("E0514", message, call.name_span, help="use Enumerate() or Hard()")
            raise Unresolvable
        assert latent.prior is not None
        prior = self.model.terms[latent.prior].dist
        param = Param(latent.tensor, latent.domain, latent.domain_axes, prior, None, frozen=False)
        chosen = learning.overload(param, call)
        learning.refuse_not_yet(chosen.rule, call)
        use = Binding(self.model, self.scope, self.findings, param, chosen, call, learning.library.functions).use()
        foreign = sorted(use.statistics - {"grad"})
        if foreign:
            message = f"{call.name} reads `{foreign[0]}`, which a latent does not have"
            legal = "a rule that reads `grad` alone"
            self.findings.error("E0514", message, call.name_span, help=f"use {legal}")
            raise Unresolvable
        return use
