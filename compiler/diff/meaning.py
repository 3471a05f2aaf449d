"""What a spec means, as numbers of canonical terms: the facts that two specs must share to be the same."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..frontend.model import Assertion, Expr, Latent, Metric, Model, Tensor
from ..frontend.typed_walk import written
from ..graph import expr as e
from ..graph.node import BATCH, REPLICA, Graph
from .canon import Canon, Names
from .side import CUT, Side
from .terms import Terms

Fact = tuple[Hashable, ...]


class ValueFact(NamedTuple):
    """A value: its declared shape (each axis as its leaves), dtype, label axes, whether per example, and its term."""

    shape: tuple[tuple[str, ...], ...]
    dtype: str
    labels: tuple[str, ...]
    batched: bool
    term: int


class TermFact(NamedTuple):
    """A density statement."""

    kind: str
    term: int


class MetricFact(NamedTuple):
    """What is measured: how it is finished, the positions of a probe, its statistics."""

    kind: str
    positions: tuple[str, ...]
    stats: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one graph: a fact per statement.  Facts with equal content are the same, whatever they are called."""

    values: Mapping[str, ValueFact]
    terms: tuple[TermFact, ...]
    metrics: tuple[MetricFact, ...]
    priors: Mapping[str, int]
    inits: Mapping[str, int]
    masks: Mapping[str, int]
    states: Mapping[str, Fact]
    asserts: tuple[Fact, ...]
    latents: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class RuleMeaning:
    """A rule: the parameter after the step, and each state (its shape, initial value and value after the step)."""

    next: int
    states: Mapping[str, Fact]
    keeps: tuple[int, ...]

    def fact(self) -> Fact:
        """Everything as one value; states by their names."""
        return (self.next, tuple(sorted(self.states.items(), key=lambda item: item[0])), self.keeps)


def meaning(side: Side, terms: Terms, names: Names, *, cut: bool = False) -> Meaning:
    """The facts of the whole graph, or of every statement by itself (``cut``)."""
    graph, prefix = (side.cut, CUT) if cut else (side.whole, "")
    canon = Canon(terms, names, side.model.params)
    model = side.model
    return Meaning(
        {name: _value(side, canon, v.tensor, graph, f"value {prefix}{name}") for name, v in model.values.items()},
        tuple(TermFact(term.kind, canon.root(graph.roots[f"term {k}"])) for k, term in enumerate(model.terms)),
        _metrics(canon, model, graph),
        {path: canon.root(graph.roots[f"prior {path}"]) for path in model.params},
        {path: _init(canon, p.tensor, graph) for path, p in model.params.items()},
        {path: _init(canon, p.mask, graph, f"{path}@mask") for path, p in model.params.items() if p.mask is not None},
        {name: _state(side, canon, s.tensor, graph) for name, s in model.buffers.items()},
        tuple(_assertion(canon, k, a, graph) for k, a in enumerate(model.asserts)),
        {name: _latent(side, canon, latent, graph) for name, latent in model.latents.items()},
    )


def _latent(side: Side, canon: Canon, latent: Latent, graph: Graph) -> Fact:
    """A latent by its name: what it is over, where it lives, and how it is found."""
    names, tensor, how = canon.names, latent.tensor, latent.inference
    shape = tuple(tuple(map(names.axis, leaves)) for leaves in side.shape(tensor))
    over = tuple(tuple(map(names.axis, leaves)) for leaves in latent.domain_axes)
    facts: Fact = (shape, tensor.dtype, tuple(map(names.axis, side.labels(tensor))), latent.domain, over)
    if how is None:
        return facts
    scope = {BATCH: BATCH, **_scope(names, tensor.leaves)}
    parts = [x for key, x in graph.roots.items() if key.startswith(f"latent {tensor.name}/") and "elsewhere" not in key]
    found = tuple(canon.root(x, {a: scope.get(a, a) for a in x.axes} | scope) for x in parts)
    rule: Fact = ()
    if how.rule is not None:
        arguments = tuple((name, written(arg)) for name, arg in how.rule.args.items())
        lines = tuple(side.text(line.span) for _, line in how.rule.lines)
        rule = (how.rule.rule, arguments, lines)
    return (*facts, how.how, how.steps, how.through, rule, found)


def _scope(names: Names, indices: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(indices, names.positions(indices), strict=True))


def _value(side: Side, canon: Canon, tensor: Tensor, graph: Graph, root: str) -> ValueFact:
    """A value by its positions: its declared shape and dtype, and the term."""
    names = canon.names
    shape = tuple(tuple(map(names.axis, leaves)) for leaves in side.shape(tensor))
    labels = tuple(map(names.axis, side.labels(tensor)))
    scope = {BATCH: BATCH, **_scope(names, tensor.leaves)}
    return ValueFact(shape, tensor.dtype, labels, tensor.batched, canon.root(graph.roots[root], scope))


def _init(canon: Canon, tensor: Tensor, graph: Graph, path: str = "") -> int:
    """The initial value, as the real number that it becomes."""
    node = graph.roots[f"init {path or tensor.name}"]
    if node.op == "const":
        return canon.terms.constant(float(node.attr("value")))
    return canon.root(node, _scope(canon.names, tensor.leaves))


def _state(side: Side, canon: Canon, tensor: Tensor, graph: Graph) -> Fact:
    """A state of the model: its declared shape, its start and its value after a step."""
    shape = tuple(tuple(map(canon.names.axis, leaves)) for leaves in side.shape(tensor))
    update = canon.root(graph.roots[f"update {tensor.name}"], _scope(canon.names, tensor.leaves))
    return shape, _init(canon, tensor, graph), update


_COMPARE = {"<": e.lt, "<=": e.le, "==": e.eq, "!=": e.ne}
_SWAPPED = {">": "<", ">=": "<="}


def _assertion(canon: Canon, k: int, assertion: Assertion, graph: Graph) -> Fact:
    """What must hold: a condition at every place, in whatever order; a comparison with a metric by its operands."""
    pool, operands = graph.pool, assertion.operands
    if any(not isinstance(x, Expr) for x in operands):
        facts: list[Fact] = []
        for j, x in enumerate(operands):
            roots = [graph.roots[f"assert {k}/{name}"] for name, _ in assertion.stats(j)]
            means = [e.mean(pool, node, node.axes - {BATCH, REPLICA}) for node in roots]
            facts.append((x.kind if isinstance(x, Metric) else "", *(canon.root(node) for node in means)))
        return (assertion.ops, *facts)
    nodes = [graph.roots[f"assert {k}/{j}"] for j in range(len(operands))]
    condition = nodes[0] if not assertion.ops else e.const(pool, 1)
    for op, a, b in zip(assertion.ops, nodes, nodes[1:], strict=False):
        pair = (b, a) if op in _SWAPPED else (a, b)
        condition = e.mul(pool, condition, e.real(pool, _COMPARE[_SWAPPED.get(op, op)](pool, *pair)))
    return ("everywhere", canon.root(e.mean(pool, condition, condition.axes - {BATCH, REPLICA})))


def _metrics(canon: Canon, model: Model, graph: Graph) -> tuple[MetricFact, ...]:
    """What is measured; the key of a metric is its text, which is no meaning."""
    facts: list[MetricFact] = []
    for metric in model.measures():
        leaves = model.probes[metric.key].tensor.leaves if metric.key in model.probes else ()
        scope = _scope(canon.names, leaves)
        roots = [graph.roots[f"metric {metric.key}/{name}"] for name, _ in metric.stats]
        if metric.kind != "probe":  # every place counts alike, in whatever order
            roots = [e.mean(graph.pool, node, node.axes - {BATCH, REPLICA}) for node in roots]
        stats = [canon.root(node, scope) for node in roots]
        facts.append(MetricFact(metric.kind, canon.names.positions(leaves), tuple(stats)))
    return tuple(facts)


def rule_meaning(
    side: Side, path: str, terms: Terms, names: Names, states: Mapping[str, str], *, cut: bool = False
) -> RuleMeaning:
    """A parameter's rule; its states are called as ``states`` says, else by their own names."""
    graph = side.rule(path, symbolic=cut)
    known = replace(names, draws=None, locals={f"state {own}": f"state {called}" for own, called in states.items()})
    canon = Canon(terms, known)
    scope = _scope(known, side.model.params[path].tensor.leaves)
    facts: dict[str, Fact] = {}
    for name, (initial, after) in graph.states.items():
        leaves = tuple(scope[leaf] for leaf in graph.leaves[name])
        facts[states.get(name, name)] = (leaves, canon.root(initial, scope), canon.root(after, scope))
    keeps = sorted(canon.root(k, scope) for k in graph.keeps)
    return RuleMeaning(canon.root(graph.next, scope), facts, tuple(keeps))
