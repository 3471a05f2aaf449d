"""What the module computes beside the step: values, densities, measures and initial values, as one graph.

Roots: ``value NAME``, ``log_prob``, ``log_joint``, ``log_prior``, ``term K``, ``prior PATH``, ``measure STAT`` (at every
place of every example; probes as batch means), ``init PATH`` with
parameters that read each other's initial values resolved.
"""

from __future__ import annotations

from ..diagnostics import InternalError
from ..frontend.model import Model
from ..graph import expr as e
from ..graph.ends import Ends
from ..graph.node import BATCH, Graph, Node, Pool
from .objective import Objective


def functions(graph: Graph, model: Model, objective: Objective, step: Graph) -> Graph:
    """The functions graph of a model."""
    pool = graph.pool
    ends = Ends(pool, model.ragged())
    roots = {name: node for name, node in graph.roots.items() if name.startswith("value ")}
    roots |= {"log_prob": objective.log_prob, "log_joint": objective.log_joint, "log_prior": objective.log_prior}
    roots |= {name: node for name, node in graph.roots.items() if name.startswith(("term ", "prior "))}
    with pool.origin(pool.origins(objective.log_prob)):
        roots["measure nll"] = e.neg(pool, objective.log_prob)
    for name, node in graph.roots.items():
        if name.startswith("metric "):
            stat = name.partition("/")[2] if "/" in name else name
            with pool.origin(pool.origins(node)):
                probe = stat in model.values and model.values[stat].probe
                roots[f"measure {stat}"] = ends.mean(node, [BATCH]) if probe else node
    initial = {n: x for n, x in [*graph.roots.items(), *step.roots.items()] if n.startswith("init ")}
    return Graph(pool, roots | _resolved(pool, initial))


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
