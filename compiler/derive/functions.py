"""What the module computes beside the step: values, densities, measures and initial values, as one graph.

Roots: ``value NAME``, ``log_prob``, ``log_joint``, ``log_prior``, ``term K``, ``prior PATH``, ``measure STAT`` (at every
place of every example; probes as batch means), ``check K/S`` (what assertions compare), ``init PATH`` with parameters that read each other's initial values resolved.
"""

from __future__ import annotations

from ..diagnostics import InternalError
from ..frontend.model import Expr, Metric, Model
from ..graph import expr as e
from ..graph.ends import Ends
from ..graph.node import BATCH, Graph, Node, Pool
from .objective import Objective


def functions(graph: Graph, model: Model, objective: Objective, step: Graph) -> Graph:
    """The functions graph of a model."""
    pool = graph.pool
    ends = Ends(pool, model.ragged())
    roots = {name: node for name, node in graph.roots.items() if name.startswith(("value ", "sample "))}
    roots |= {"log_prob": objective.log_prob, "log_joint": objective.log_joint, "log_prior": objective.log_prior}
    roots |= {name: node for name, node in graph.roots.items() if name.startswith(("term ", "prior "))}
    with pool.origin(pool.origins(objective.log_prob)):
        roots["measure nll"] = e.neg(pool, objective.log_prob)
    for metric in model.measures():
        for stat, _ in metric.stats:
            node = graph.roots[f"metric {metric.key}/{stat}"]
            with pool.origin(pool.origins(node)):
                roots |= _probed(ends, stat, node) if metric.kind == "probe" else {f"measure {stat}": node}
    roots |= _checked(graph, model, ends, objective.log_prob)
    initial = {n: x for n, x in [*graph.roots.items(), *step.roots.items()] if n.startswith("init ")}
    return Graph(pool, roots | _resolved(pool, initial))


def _probed(ends: Ends, key: str, node: Node) -> dict[str, Node]:
    """A probe's batch mean; where axes end per example also how many examples have each entry."""
    found = {f"measure {key}": ends.mean(node, [BATCH])}
    valid = ends.valid(node.axes)
    if valid is not None:
        found[f"measure {key}.places"] = e.real(ends.pool, e.reduce_sum(ends.pool, valid, [BATCH]))
    return found


def _checked(graph: Graph, model: Model, ends: Ends, log_prob: Node) -> dict[str, Node]:
    """What assertions compare, at every place; where axes end per example also which places exist."""
    found = {f"check {n.removeprefix('assert ')}": x for n, x in graph.roots.items() if n.startswith("assert ")}
    for k, assertion in enumerate(model.asserts):
        operands = [found[f"check {k}/{j}"] for j, x in enumerate(assertion.operands) if isinstance(x, Expr)]
        for j, operand in enumerate(assertion.operands):
            if isinstance(operand, Metric) and not operand.stats:  # nll
                with graph.pool.origin([assertion.span]):
                    found[f"check {k}/{j}/0"] = e.neg(graph.pool, log_prob)
        valid = ends.valid(frozenset[str]().union(*(x.axes for x in operands)))
        if valid is not None:
            with graph.pool.origin([assertion.span]):
                found[f"check {k}/places"] = e.real(graph.pool, valid)
    return found


def _resolved(pool: Pool, initial: dict[str, Node]) -> dict[str, Node]:
    """Initial values in which a read of a parameter is that parameter's own initial value."""
    done: dict[str, Node] = {}
    open_: list[str] = []

    def resolve(name: str) -> Node:
        if name in done:
            return done[name]
        if name in open_:
            raise InternalError(f"`{name}` is drawn from a prior that depends on itself")
        open_.append(name)
        new: dict[Node, Node] = {}
        for node in Graph(pool, {name: initial[name]}).topological():
            if node.op == "param":
                new[node] = resolve(f"init {node.attr('path')}")
            else:
                new[node] = pool.inherit(e.remake(pool, node, [new[i] for i in node.inputs]), node)
        open_.pop()
        done[name] = new[initial[name]]
        return done[name]

    return {name: resolve(name) for name in initial}
