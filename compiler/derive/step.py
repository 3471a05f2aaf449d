"""One learning step as a graph: a pure function (state, batch) -> (state', report).

Roots::

    next W      the parameter after the step        next W@m    a rule's state after the step
                                                    next m      a state of the model after the step
    init W@m    a rule state's initial value        report nll, report objective
    guard gradients   (where needed) a number that is finite only if the gradients are
"""

from __future__ import annotations

from ..frontend.model import Model, RuleUse
from ..graph import expr as e
from ..graph.build import LEARNED, Expressions
from ..graph.node import Graph, Node, Pool
from ..graph.rule import apply
from ..graph.supports import held
from .finite import checksum
from .objective import Objective
from .statistics import OWN, SWEEPS


def step(graph: Graph, model: Model, objective: Objective) -> Graph:
    """The step graph of a model; empty of ``next`` roots when nothing learns."""
    pool = graph.pool
    values = {name: graph.roots[f"value {name}"] for name in model.values}
    derived = _statistics(pool, model, objective, values)
    roots: dict[str, Node] = {}
    for path, use in model.rules.items():
        param = model.params[path]
        w = e.param(pool, path, param.tensor.leaves)
        statistics: dict[str, Node] = {}
        for name in sorted(use.statistics):
            signs = param.signs if name == "sign" else None
            with pool.origin([use.span]):
                own = OWN[name](graph, path, (signs or param.tensor).leaves) if name in OWN else derived[name][w]
            statistics[name] = own
        _apply(pool, path, w, use, statistics, roots)
        with pool.origin([use.span]):
            roots[f"next {path}"] = held(pool, param, roots[f"next {path}"])
    roots |= _states(graph, model, roots)
    roots["report nll"] = objective.nll
    roots["report objective"] = objective.total
    asked = [node for name in ("grad", "grad_sum") for node in _asked(pool, model, derived, name)]
    with pool.origin([span for use in model.rules.values() for span in [use.span]] or [model.span]):
        gradients = checksum(pool, objective.total, asked)
    if gradients is not None:
        roots["guard gradients"] = gradients
    return Graph(pool, roots)


def _asked(pool: Pool, model: Model, derived: dict[str, dict[Node, Node]], name: str) -> list[Node]:
    """A statistic of the parameters whose rules read it."""
    paths = [path for path, use in model.rules.items() if name in use.statistics]
    return [derived[name][e.param(pool, path, model.params[path].tensor.leaves)] for path in paths]


def _states(graph: Graph, model: Model, learned: dict[str, Node]) -> dict[str, Node]:
    """The states of the model after the step; a parameter that an update reads by name is the learned one."""
    updates = {f"next {name}": graph.roots[f"update {name}"] for name in model.buffers}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        name: str = node.attr("name") if node.op == "hole" else ""
        if not name.startswith(LEARNED):
            return e.remake(graph.pool, node, inputs)
        path = name.removeprefix(LEARNED)
        return learned.get(f"next {path}") or e.param(graph.pool, path, node.attr("axes"))

    return Graph(graph.pool, updates).rewrite(visit).roots


def _statistics(pool: Pool, model: Model, objective: Objective, values: dict[str, Node]) -> dict[str, dict[Node, Node]]:
    """Every statistic that a rule asks for, for all parameters that ask.

    Named values are asked along, only to learn what their cotangents should be called in emitted code.
    """
    asked: dict[str, dict[Node, str]] = {}
    for path, use in model.rules.items():
        for name in sorted(use.statistics & SWEEPS.keys()):
            w = e.param(pool, path, model.params[path].tensor.leaves)
            asked.setdefault(name, {})[w] = f"{name}_{path}"
    derived: dict[str, dict[Node, Node]] = {}
    for name, wrt in asked.items():
        named = {**{node: f"{name}_{value}" for value, node in values.items() if node.dtype == "real"}, **wrt}
        with pool.origin(use.span for use in model.rules.values() if name in use.statistics):
            derived[name] = SWEEPS[name](pool, objective, list(named))
        if name == "grad" and model.train is not None and model.train.clip is not None:
            with pool.origin([model.train.clip_span or model.span]):
                derived[name] |= _clipped(pool, {w: derived[name][w] for w in wrt}, model.train.clip)
        for node, result in derived[name].items():
            if result.op != "const":
                pool.hints.setdefault(result, named[node])
    for value, node in values.items():
        pool.hints.setdefault(node, value)
    return derived


def _clipped(pool: Pool, grads: dict[Node, Node], limit: float) -> dict[Node, Node]:
    """The gradients of all parameters, scaled down together where their joint Euclidean norm exceeds ``limit``.

    (Pascanu, Mikolov & Bengio 2013, algorithm 1.)  `grad_sum` is left alone: precision rules need exact sums.
    """
    squares = [e.contract(pool, [g, g], w.axes) for w, g in grads.items()]
    norm = e.sqrt(pool, e.add(pool, *squares))
    scale = e.div(pool, limit, e.maximum(pool, norm, limit))  # exactly 1 up to the limit
    pool.hints.setdefault(norm, "norm")
    pool.hints.setdefault(scale, "clip")
    return {w: e.mul(pool, scale, g) for w, g in grads.items()}


def _apply(pool: Pool, path: str, w: Node, use: RuleUse, statistics: dict[str, Node], roots: dict[str, Node]) -> None:
    """One rule on one parameter: statistics, parameter and states in; parameter and states out."""
    with pool.origin([use.span]):
        states = {s.name: e.state(pool, f"{path}@{s.name}", s.tensor.leaves) for s in use.states}
    bindings: dict[str, Node] = {"w": w, **statistics}
    applied = apply(Expressions(pool, bindings, path), use, bindings, states)
    roots[f"next {path}"] = applied.w
    for name in states:
        roots[f"init {path}@{name}"] = applied.initial[name]
        roots[f"next {path}@{name}"] = applied.states[name]
