"""The objective: what the density statements and priors add up to.

log_prob    likelihood terms per example            [batch]
log_joint   everything per example, priors excluded [batch]
log_prior   parameters' priors and statements that depend on no input, once
objective = mean[batch](-log_joint) - log_prior / N
nll       = mean[batch](-log_prob)
"""

from __future__ import annotations

from dataclasses import dataclass

from ..frontend.model import Model
from ..frontend.typed_walk import reads
from ..graph import expr as e
from ..graph.node import BATCH, Graph, Node


@dataclass(frozen=True, slots=True)
class Objective:
    """The pieces as nodes.  ``data`` is the part per example, already averaged; ``total`` adds the priors."""

    log_prob: Node
    log_joint: Node
    log_prior: Node
    nll: Node
    data: Node
    total: Node


def objective(graph: Graph, model: Model) -> Objective:
    """The objective of a circuit graph (its roots ``term K`` and ``prior PATH``)."""
    pool = graph.pool
    likelihood: list[Node] = []
    each: list[Node] = []
    once: list[Node] = []
    dependent = _per_example(model)
    for k, term in enumerate(model.terms):
        node = graph.roots[f"term {k}"]
        parts = [term.target, *term.dist.args.values(), *([term.power] if term.power is not None else [])]
        if not any(r.tensor.name in dependent for r in reads(parts)):
            once.append(node)
            continue
        each.append(node)
        if term.kind == "likelihood":
            likelihood.append(node)
    once += [graph.roots[f"prior {path}"] for path in model.params]
    spans = [t.span for t in model.terms] or [model.span]
    with pool.origin(spans):
        log_prob = e.real(pool, e.add(pool, *likelihood))
        log_joint = e.real(pool, e.add(pool, *each))
        log_prior = e.real(pool, e.add(pool, *once))
        nll = e.neg(pool, e.mean(pool, log_prob, [BATCH]))
        data = e.neg(pool, e.mean(pool, log_joint, [BATCH]))
        total = e.sub(pool, data, e.div(pool, log_prior, e.examples(pool))) if _nonzero(log_prior) else data
    return Objective(log_prob, log_joint, log_prior, nll, data, total)


def _per_example(model: Model) -> set[str]:
    """The inputs, and the values that depend on one: also without an index of the batch, through a mean over it."""
    found = set(model.inputs)
    waiting = {name: {r.tensor.name for r in reads([v.expr])} for name, v in model.values.items()}
    while ready := [name for name, needs in waiting.items() if needs & found]:
        found.update(ready)
        for name in ready:
            del waiting[name]
    return found


def _nonzero(node: Node) -> bool:
    return not (node.op == "const" and node.attr("value") == 0)
