"""Read me first: the stages and the passes as data, and the one function that runs them.

    text --parse--> syntax --check--> typed model --build--> circuit graph --derive--> step graph
         --optimize--> optimized graphs --plan--> plan --render--> module text

The compiler is a pure function from text and options to artefacts: no globals, no working directory, no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from .diagnostics import Findings, InternalError, Note, Source, Span, SpecError
from .frontend import nodes as syntax
from .frontend.check import check as check_model
from .frontend.circuits.files import Files, Read
from .frontend.domains import Library
from .frontend.generative import generative
from .frontend.model import Data, Model
from .frontend.parse import parse_text
from .frontend.typed_walk import posteriors
from .version import EDITION, MANIFEST, MODULE_ABI, __version__

if TYPE_CHECKING:
    from .derive.vjp import NoGradientError
    from .draw import Sketch
    from .graph.node import Graph
    from .optimize.base import Pass
    from .plan.tree import ModulePlan

STAGES = ("syntax", "model", "graph", "step", "optimized", "plan", "code")
"""What `dltc show --stage` can print, in the order in which they are made."""

GRAPHS = ("graph", "step", "optimized")
"""Those of them that are graphs."""

DRAWN = ("model", *GRAPHS, "plan")
"""Those of them that `dltc show --svg` draws."""

PASSES = ("constants", "stable", "sums", "share", "contraction", "constants", "dead")
"""The optimizer: files of ``optimize/``, run in this order on the functions graph and on the step graph.  Each can be
switched off (`--without`): the module then computes the same, only otherwise."""

TARGETS = ("torch",)


def load_passes(names: Sequence[str] = PASSES, without: Sequence[str] = ()) -> tuple[Pass, ...]:
    """The passes of these names but those switched off, once it is certain that each finds what it requires.

    Raises:
        PipelineError: a pass requires a property that does not hold when it runs.
    """
    from .optimize.order import check_order

    passes: list[Pass] = [import_module(f".optimize.{name}", __package__).PASS for name in names]
    on, off = ([p for p in passes if (p.name in without) == out] for out in (False, True))
    check_order(on, off)
    return tuple(on)


@dataclass(frozen=True)
class Options:
    """What changes the result beside the text.  ``set`` holds the texts of ``--set``, ``without`` the passes that are
    switched off; ``read`` gives the texts of the files that the spec uses."""

    target: str = "torch"
    set: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str | None = None
    seed: int | None = None
    dtype: str | None = None
    allow_extern: bool = False
    allow_path: bool = False
    command: str = ""
    without: tuple[str, ...] = ()
    read: Read | None = field(default=None, compare=False)

    def overrides(self) -> dict[str, str]:
        """``--set`` with ``--seed`` and ``--dtype``, which are shorthands of settings."""
        merged = dict(self.set)
        if self.seed is not None:
            merged["train.seed"] = str(self.seed)
        if self.dtype is not None:
            merged["train.dtype"] = self.dtype
        return merged


@dataclass
class Checked:
    """What the front end found: ``model`` is None when nothing could be made of the text."""

    findings: Findings
    file: syntax.File
    phases: list[Model]
    """The model as each train block has it, in order; they differ in `train`, rules and inference only."""
    used: dict[str, str] = field(default_factory=dict[str, str])
    """The texts of the files that it uses, by path from its folder."""
    graphs: tuple[Graph, Graph] | None = None
    """The circuit graph of ``model``, before and after its latents are found, where checking has made them."""

    @property
    def model(self) -> Model | None:
        """The model as the last train block leaves it: what is used afterwards.  None when nothing could be made of the text."""
        return self.phases[-1] if self.phases else None


def check(text: str, name: str, options: Options | None = None) -> Checked:
    """Parse and check a spec.  Never raises for a user's mistake: it is among the findings."""
    options = options or Options()
    findings = Findings()
    file = parse_text(text, name, findings)
    library = standard_library(findings)
    used = Files(library.file, options.read, lambda text, path: parse_text(text, path, findings), findings)
    chosen, overrides = options.model, options.overrides()
    phases = check_model(
        file, findings, library, files=used, model=chosen, overrides=overrides, allow_extern=options.allow_extern
    )
    checked = Checked(findings, file, phases, used.texts)
    for model in phases:
        if (model.latents or any(posteriors(v.expr) for v in model.values.values())) and not findings.errors:
            checked.graphs = _with_latents(model, findings)
    if checked.model is not None and checked.model.data is not None and checked.model.data.teacher is not None:
        _can_be_drawn(checked.model.data, checked.model.data.teacher, findings)
    return checked


def _can_be_drawn(data: Data, teacher: Model, findings: Findings) -> None:
    """Every input of the model that data are drawn from must have a density to draw it from; values have none: what is
    drawn in order would not follow it."""
    from .graph.joint import joint

    for term in teacher.terms:
        if term.kind in ("activity", "loss"):
            findings.error(
                "E0613",
                f"`{data.source['name']}` cannot be drawn from: its value `{term.target.tensor.name}` has a density",
                data.source_span,
                notes=[Note("it stands here", term.span)],
                help="data are drawn from the densities of inputs and latents alone: use a model without this one",
            )

    described = {term.target.tensor.name for term in teacher.terms}
    for name, why in joint(teacher).given.items():
        findings.error(
            "E0613",
            f"`{data.source['name']}` cannot draw `{name}`: {why}",
            data.source_span,
            notes=[Note(f"`{name}` is declared here", teacher.inputs[name].tensor.span)],
            help="describe it whole by one density, which reads only what is drawn before it"
            if name in described
            else f"say what it is drawn from: {name} ~ Normal(0, std = 1), for instance",
        )


def _with_latents(model: Model, findings: Findings) -> tuple[Graph, Graph] | None:
    """The circuit graph of a model with latents, and with all of them found, when they can be: that shows on the graph only."""
    from .derive.latents import NotLinear, found
    from .derive.posterior import Circular
    from .derive.second import TooLarge
    from .derive.vjp import NoGradientError
    from .graph.build import build
    from .graph.latents import NotEnumerable

    circuit: Graph | None = None
    try:
        circuit = build(model)
        return circuit, found(circuit, model)
    except NotLinear as problem:
        message = f"the step of this search follows from a linear map; what is observed is not linear in `{problem}`"
        help = "use a rule with a learning rate and `steps`"
        findings.error("E0516", message, problem.latent.found_at, help=help)
    except Circular as problem:
        message = f"`posterior({problem})` is read by the densities that it is made from"
        place = problem.item.tensor.span
        findings.error("E0518", message, place, help="read it in an equation that no density of the model needs")
    except TooLarge as problem:
        message = f"the step of this search needs the sizes of `{problem}`, which only the data tell"
        help = "give the axes sizes, or use a rule with a learning rate and `steps`"
        findings.error("E0516", message, problem.latent.found_at, help=help)
    except NotEnumerable as problem:
        message = f"`{problem.latent.tensor.name}` cannot be summed out: {problem.reason}"
        help = "sum over independent labels, a chain (z[t-1]) or a tree (z[(node-1)//2]); or sample it"
        findings.error("E0517", message, problem.latent.found_at, help=help)
    except NoGradientError as problem:
        assert circuit is not None
        _no_gradient(findings, model, circuit, problem)
    return None


def _no_gradient(findings: Findings, model: Model, circuit: Graph, problem: NoGradientError) -> None:
    """The user's view of a derivative that cannot be had."""
    spans = sorted(s for s in circuit.pool.origins(problem.node) if s.file == model.span.file)
    findings.error(
        "E0901",
        f"a rule needs a gradient through `{problem.node.op}`: {problem.reason}",
        spans[0] if spans else model.span,
        help="wrap the argument in stop(..), or freeze the parameters below it",
    )


def standard_library(findings: Findings) -> Library:
    """The texts of ``specs/std``, which ship with the package; each is parsed when first asked for.

    Parsing raises InternalError where a text does not parse (a fault of the installation, not of a spec).
    """

    def load(name: str) -> syntax.File | None:
        known = {f"std/{file.name}": file for file in files("dltc.specs").joinpath("std").iterdir()}
        resource = known.get(name)  # the name is not put to the file system: it may be longer than that takes
        if resource is None:
            return None
        own = Findings()
        file = parse_text(resource.read_text(encoding="utf-8"), name, own)
        if own.errors:
            raise InternalError(f"{name}: {own.errors[0].message}")
        findings.sources.update(own.sources)
        return file

    return Library(load)


def compile_spec(text: str, name: str, options: Options | None = None) -> Artefact:
    """Compile a spec.

    Raises:
        SpecError: the spec has mistakes; all of them are listed.
    """
    options = options or Options()
    checked = check(text, name, options)
    checked.findings.raise_if_errors()
    if checked.model is None:
        checked.findings.error("E0704", f"{name} holds no model", None, help="write model NAME { .. }")
        checked.findings.raise_if_errors()
    assert checked.model is not None
    return Artefact(text, name, options, checked, checked.model)


@dataclass
class Artefact:
    """A compiled spec; every stage is made when first asked for and kept."""

    text: str
    name: str
    options: Options
    checked: Checked
    model: Model

    @property
    def phases(self) -> list[Artefact]:
        """What each train block runs, in order; the last one is this artefact."""
        return [*(replace(self, model=model) for model in self.checked.phases[:-1]), self]

    def sampling(self, *, priors: bool) -> Artefact:
        """The same spec with routines that draw latents and inputs from their densities; with ``priors`` its parameters are
        draws from their priors too, whatever their `init` says."""
        from .graph.joint import from_priors

        phases = [generative(block.model) for block in self.phases]
        phases = [replace(from_priors(m) if priors else m, sampling=True) for m in phases]
        return replace(self, model=phases[-1], checked=replace(self.checked, phases=phases, graphs=None))

    @property
    def file_name(self) -> str:
        """The spec's name without its folder: what is written into artefacts."""
        return PurePath(self.name).name

    @property
    def sources(self) -> dict[str, Source]:
        """The texts that diagnostics and origins point into."""
        return self.checked.findings.sources

    @cached_property
    def circuit(self) -> Graph:
        """The circuit graph: values, terms, priors, initial values, metrics."""
        from .graph.build import build

        return self._known[0] if self._known is not None else build(self.model)

    @property
    def _known(self) -> tuple[Graph, Graph] | None:
        """What checking has made of this very model."""
        return self.checked.graphs if self.model is self.checked.model else None

    @cached_property
    def _derived(self) -> tuple[Graph, Graph]:
        from .derive.functions import functions
        from .derive.latents import found
        from .derive.objective import objective
        from .derive.replicas import replicated
        from .derive.step import step
        from .derive.vjp import NoGradientError

        model = self.planned
        try:
            circuit = self._known[1] if self._known is not None else found(self.circuit, self.model)
            target = objective(circuit, model)
            stepped = step(circuit, model, target)
        except NoGradientError as problem:
            findings = self.checked.findings
            _no_gradient(findings, self.model, self.circuit, problem)
            raise SpecError(findings.sorted(), findings.sources) from problem
        graphs = functions(circuit, model, target, stepped), stepped
        return (replicated(graphs[0]), replicated(graphs[1])) if self.model.replicas else graphs

    @cached_property
    def planned(self) -> Model:
        """The model whose found latents are values: what the module computes."""
        from .derive.latents import found_model

        return found_model(self.model)

    @property
    def functions(self) -> Graph:
        """What the module can compute: values, densities, measures, initial values."""
        return self._derived[0]

    @property
    def step(self) -> Graph:
        """One learning step."""
        return self._derived[1]

    @cached_property
    def optimized(self) -> tuple[Graph, Graph]:
        """Functions and step after all passes."""
        passes = load_passes(without=self.options.without)
        return run_passes(self.functions, passes), run_passes(self.step, passes)

    @cached_property
    def plan(self) -> ModulePlan:
        """The plan of the emitted module."""
        from .plan.module import Planner

        functions, step = self.optimized
        return Planner.of(self.planned, functions, step, self.place).plan()

    @cached_property
    def teacher(self) -> Artefact | None:
        """The model that the data are drawn from."""
        data = self.model.data
        return None if data is None or data.teacher is None else replace(self, model=data.teacher).sampling(priors=True)

    @cached_property
    def source(self) -> str:
        """The text of the emitted module."""
        from .render.render import Header, render

        digest = hashlib.sha256(self.text.encode()).hexdigest()
        command = self.options.command or f"dltc build {self.file_name}"
        plans = [self.plan]
        if self.teacher is not None and self.model.data is not None:
            plans.insert(0, replace(self.teacher.plan, name=self.model.data.source["class"]))
        return render(plans, Header(self.file_name, digest, __version__, command, MODULE_ABI))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The facts of the module as JSON-able data."""
        from .plan.manifest import manifest

        head = {"manifest": MANIFEST, "abi": MODULE_ABI, "compiler": __version__, "edition": EDITION}
        spec = {"name": self.file_name, "sha256": hashlib.sha256(self.text.encode()).hexdigest()}
        command = self.options.command or f"dltc build {self.file_name}"
        off = sorted({*self.options.without})
        return {
            **head,
            **manifest(self.planned, self.optimized, self.checked.findings.sources),
            "spec": spec,
            "command": command,
            "target": self.options.target,
            "passes": [{"name": name} for name in PASSES if name not in off],
            "without": off,
        }

    def graph(self, level: str = "graph") -> Graph:
        """A graph by the name of its stage.

        Raises:
            ValueError: there is no such stage.
        """
        graphs = {
            "graph": lambda: self.circuit,
            "step": lambda: self.step,
            "optimized": lambda: self.optimized[1] if self.model.learns else self.optimized[0],
        }
        if level not in graphs:
            raise ValueError(f"no graph is called {level!r}: choose one of {', '.join(graphs)}")
        return graphs[level]()

    def stage(self, name: str) -> str:
        """A stage as text (``dltc show --stage``).

        Raises:
            ValueError: there is no such stage.
        """
        from .show import stage

        return stage(self, name)

    def sketch(self, stage: str, *, nodes: bool = False) -> Sketch:
        """A stage as something to draw (``dltc show --svg``); ``nodes``: every node of a graph is an item.

        Raises:
            ValueError: the stage is not drawn, or has no nodes.
        """
        from . import draw

        blocks = len(self.checked.phases)
        title = f"{stage} of {self.model.name}{f', last of {blocks} train blocks' if blocks > 1 else ''}"
        if stage not in DRAWN or (nodes and stage not in GRAPHS):
            raise ValueError(f"{stage!r} is not drawn{' node by node' if stage in DRAWN else ''}")
        if stage == "model":
            return draw.sketch_model(self.model, title, self.sources)
        if stage == "plan":
            return draw.sketch_plan(self.plan, title)
        values = frozenset([*self.model.values, *self.planned.values])
        terms = [f"{term.target.tensor.name} ~ {term.dist.name}" for term in self.model.terms]
        view = draw.View(title, values, terms, self.sources, self.model.span.file)
        return (draw.sketch_nodes if nodes else draw.sketch_statements)(self.graph(stage), view)

    def graph_data(self, level: str) -> dict[str, Any]:
        """A graph's nodes, edges and roots as JSON-able data (``dltc show --json``).

        Raises:
            ValueError: there is no such stage.
        """
        from .graph.printer import data

        return data(self.graph(level), self.sources)

    def place(self, span: Span) -> str:
        """``digits.dlt:13`` for a span."""
        source = self.sources[span.file]
        return f"{source.name}:{source.position(span.start)[0]}"

    def data_span(self, name: str) -> Span | None:
        """Where an input's column is written."""
        data = self.model.data
        return data.spans.get(name, data.span) if data else None


def run_passes(graph: Graph, passes: Sequence[Pass]) -> Graph:
    """The graph after the passes, in order."""
    from .optimize.bodies import everywhere

    for p in passes:
        graph = everywhere(p, graph)
    return graph
