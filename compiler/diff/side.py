"""One side of a comparison: a compiled spec with everything that the comparison asks of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from ..diagnostics import Source, Span
from ..frontend import nodes as syntax
from ..frontend.model import Axis, Dist, Expr, Input, Model, Param, Tensor, Value
from ..frontend.typed_walk import reads, written
from ..graph import expr as e
from ..graph.build import Expressions, build
from ..graph.node import Graph, Node, Pool, base
from ..graph.ops import OPS
from ..graph.rule import apply

CUT = "="
"""Before the name of a value: its equation in the cut graph, where values that it reads are leaves."""


class Checked(Protocol):
    """What the front end keeps of a spec."""

    @property
    def file(self) -> syntax.File: ...


class Artefact(Protocol):
    """What is compared: as `pipeline.compile_spec` returns it."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> Model: ...
    @property
    def circuit(self) -> Graph: ...
    @property
    def sources(self) -> Mapping[str, Source]: ...
    @property
    def checked(self) -> Checked: ...
    @property
    def phases(self) -> Sequence[Artefact]: ...
    @property
    def teacher(self) -> Artefact | None: ...
    def place(self, span: Span) -> str: ...


@dataclass(frozen=True, slots=True)
class RuleGraph:
    """A rule on one parameter: what it reads are holes and states, so that it is the rule alone."""

    next: Node
    states: Mapping[str, tuple[Node, Node]]  # name -> initial value, value after the step
    leaves: Mapping[str, tuple[str, ...]]
    keeps: tuple[Node, ...]


class Side:
    """A spec, its graphs, its texts and places."""

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact
        self.model = artefact.model
        self._rules: dict[tuple[object, ...], RuleGraph] = {}

    # ------------------------------------------------------------ graphs

    @cached_property
    def whole(self) -> Graph:
        """The circuit graph: every root in terms of parameters and inputs."""
        return self.artefact.circuit

    @cached_property
    def symbolic(self) -> Model:
        """The model with sizes of axes left open: a size is compared once, where it is said."""
        return replace(self.model, axes={name: replace(a, size=None) for name, a in self.model.axes.items()})

    @cached_property
    def cut(self) -> Graph:
        """Every statement by itself: the values and tables that it reads are inputs, sizes of axes are open.

        What differs here is the statement's own difference, not one that it inherits.
        """
        model = self.symbolic
        inputs = dict(model.inputs)
        values: dict[str, Value] = {}
        for name, value in model.values.items():
            inputs[name] = Input(value.tensor, "real")
            tensor = replace(value.tensor, name=CUT + name)
            values[CUT + name] = replace(value, tensor=tensor)
        for tensor in [t for t, _ in model.tables.values()] + [f.tensor for f in model.formulas.values()]:
            inputs[tensor.name] = Input(tensor, "real")
        return build(replace(model, inputs=inputs, values=values, tables={}, formulas={}))

    def rule(self, path: str, *, symbolic: bool = False) -> RuleGraph:
        """The rule of a parameter as a graph of its own."""
        key = (self.rule_key(path), symbolic)
        if key not in self._rules:
            self._rules[key] = _rule_graph(self.symbolic if symbolic else self.model, path)
        return self._rules[key]

    def rule_key(self, path: str) -> tuple[object, ...]:
        """What a rule's graph depends on: parameters with the same share it."""
        param, use = self.model.params[path], self.model.rules[path]
        return (use.rule, use.written, param.tensor.leaves, param.domain, param.over)

    # ------------------------------------------------------------ axes and shapes

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """The leaf axes that something is indexed by; any other is but a number."""
        used: set[str] = set()
        for tensor in self.tensors():
            used.update(map(base, tensor.leaves))
            if tensor.label is not None:
                used.update(self.model.axes[tensor.label].leaves)
        for node in _everything(self.whole):
            used.update(map(base, node.axes))
            if node.op == "size":
                used.add(node.attr("axis"))
        return {name: axis for name, axis in self.model.axes.items() if name in used}

    def tensors(self) -> list[Tensor]:
        """Everything declared with axes."""
        model = self.model
        declared = [i.tensor for i in model.inputs.values()] + [p.tensor for p in model.params.values()]
        tables = [t for t, _ in model.tables.values()] + [f.tensor for f in model.formulas.values()]
        states = [s.tensor for s in model.buffers.values()]
        return declared + states + [v.tensor for v in model.values.values()] + tables

    def shape(self, tensor: Tensor) -> tuple[tuple[str, ...], ...]:
        """The declared axes, each as the leaf axes that it is made of: what a caller sees."""
        return tuple(self.model.axes[base(name)].leaves for name in tensor.declared)

    def written(self, tensor: Tensor, *, parts: bool = False) -> str:
        """``W[hid, pix]``; with the parts of products written out: ``W[hid, (row, col)]``."""
        shape = zip(tensor.declared, self.shape(tensor), strict=True)
        axes = [f"({', '.join(leaves)})" if parts and len(leaves) > 1 else name for name, leaves in shape]
        return f"{tensor.name}[{', '.join(axes)}]" if axes else tensor.name

    def labels(self, tensor: Tensor) -> tuple[str, ...]:
        """The leaf axes whose labels a tensor holds."""
        return self.model.axes[tensor.label].leaves if tensor.label is not None else ()

    def entries(self, tensor: Tensor) -> int | None:
        """The number of entries, None where the data decides."""
        total = 1
        for leaf in tensor.leaves:
            size = self.model.axes[base(leaf)].size
            if size is None:
                return None
            total *= size
        return total

    @cached_property
    def size(self) -> int | None:
        """The number of trainable and frozen numbers of the model."""
        total = 0
        for param in self.model.params.values():
            entries = self.entries(param.tensor)
            if entries is None:
                return None
            total += entries
        return total

    @cached_property
    def draws(self) -> list[str]:
        """Paths of random draws that belong to no parameter (dropout), in the order of the graph."""
        paths = [n.attr("path") for n in _everything(self.whole) if OPS[n.op].kind == "sample"]
        owned = [p.partition("~")[0].removesuffix("@mask") for p in dict.fromkeys(paths)]
        return [p for p, owner in zip(dict.fromkeys(paths), owned, strict=True) if owner not in self.model.params]

    @cached_property
    def tables(self) -> dict[str, Tensor]:
        """The constant tables that something reads."""
        written = {name: tensor for name, (tensor, _) in self.model.tables.items()}
        written |= {name: formula.tensor for name, formula in self.model.formulas.items()}
        return {name: tensor for name, tensor in written.items() if name in self._read}

    @cached_property
    def ends(self) -> list[str]:
        """Values that are neither returned nor read: there to be asked for by name."""
        model = self.model
        return [name for name in model.values if name not in model.outputs and name not in self._read]

    @cached_property
    def _read(self) -> set[str]:
        """Names that an equation, density, prior, initial value or measure reads."""
        model = self.model
        roots = [v.expr for v in [*model.values.values(), *model.formulas.values()]]
        for term in model.terms:
            roots += [term.target, *term.dist.args.values(), *([term.power] if term.power is not None else [])]
        for param in model.params.values():
            roots += param.prior.args.values()
            roots += param.init.args.values() if isinstance(param.init, Dist) else [param.init] if param.init else []
        roots += [x for state in model.buffers.values() for x in (state.init, state.update)]
        roots += [x for a in model.asserts for k in range(len(a.operands)) for _, x in a.stats(k)]
        for metric in model.measures():
            roots += [stat for _, stat in metric.stats]
        return {read.tensor.name for read in reads(roots)}

    # ------------------------------------------------------------ texts and places

    @cached_property
    def lets(self) -> dict[str, str]:
        """The `let`s of the model, as written."""
        items = [item for stmt in self.body() if isinstance(stmt, syntax.LetDecl) for item in stmt.items]
        return {item.target.name: self.text(item.value.span) for item in items}

    def number(self, name: str) -> str | None:
        """The number behind the name of a `let` or axis, as text."""
        axis = self.model.axes.get(name)
        return self.lets.get(name) if axis is None else str(axis.size or "from the data")

    def text(self, span: Span) -> str:
        """What is written there, on one line."""
        source = self.artefact.sources.get(span.file)
        lines = source.text[span.start : span.end].splitlines() if source else []
        return " ".join(" ".join(line.partition("#")[0] for line in lines).split())

    def place(self, span: Span | None) -> str | None:
        """``digits.dlt:13``."""
        return self.artefact.place(span) if span is not None and span.file in self.artefact.sources else None

    def body(self) -> tuple[syntax.Stmt, ...]:
        """The statements of the compared model as they were parsed."""
        for stmt in self.artefact.checked.file.body:
            if isinstance(stmt, syntax.ModelDecl) and stmt.name_span == self.model.span:
                return stmt.body
        return ()


def dist_text(dist: Dist) -> str:
    """A distribution with its arguments resolved: ``Normal(mean = 0, var = 2 / 64)``."""
    return f"{dist.name}({', '.join(f'{name} = {written(arg)}' for name, arg in dist.args.items())})"


def prior_text(param: Param) -> str:
    """A prior with its numbers filled in, and the power of its density."""
    return dist_text(param.prior) + (f"^{written(param.power)}" if param.power is not None else "")


def init_text(side: Side, param: Param) -> str:
    """How a parameter starts, as written."""
    if param.init is None:
        return "a draw from the prior"
    return param.init.written if isinstance(param.init, Dist) else side.text(param.init.span)


def resolved(value: Expr | Dist | None) -> str:
    """An expression or distribution with its numbers filled in."""
    if value is None:
        return "a draw from the prior"
    return dist_text(value) if isinstance(value, Dist) else written(value)


def _everything(graph: Graph) -> Iterable[Node]:
    """All nodes, those of scans' bodies included."""
    for node in graph.topological():
        yield node
        if node.op == "scan":
            yield from _everything(node.attr("body"))


def _rule_graph(model: Model, path: str) -> RuleGraph:
    """Bind the rule's lines one after the other, as a step does, to holes for w and the statistics."""
    use = model.rules[path]
    pool = Pool(model.leaf_sizes())
    states = {s.name: e.state(pool, s.name, s.tensor.leaves) for s in use.states}
    param = model.params[path]
    leaves = param.tensor.leaves
    bindings: dict[str, Node] = {"w": e.hole(pool, "w", leaves)}
    for name in sorted(use.statistics):
        signs = param.signs if name == "sign" else None
        bindings[name] = e.hole(pool, f"statistic {name}", leaves if signs is None else signs.leaves)
    expressions = Expressions(pool, bindings, "w")
    applied = apply(expressions, use, bindings, states)
    return RuleGraph(
        e.real(pool, applied.w),
        {name: (e.real(pool, applied.initial[name]), e.real(pool, applied.states[name])) for name in states},
        {s.name: s.tensor.leaves for s in use.states},
        tuple(expressions.build(k) for k in use.keeps),
    )
