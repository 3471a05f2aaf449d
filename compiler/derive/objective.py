"""The objective: what the density statements and priors add up to.

log_prob    likelihood terms per example            [batch]
log_joint   everything per example, priors excluded [batch]
log_prior   parameters' priors and statements that depend on no input, once
objective = mean[batch](-log_joint) - log_prior / N
nll       = mean[batch](-log_prob)
"""

from __future__ import annotations

from dataclasses import dataclass

from ..frontend.model import Expr, Model, Posterior, Read, SizeOf
from ..frontend.typed_walk import children, dependency_order
from ..graph import expr as e
from ..graph.node import BATCH, Graph, Node, base


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
        if not _depends(parts, dependent, model):
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
    """The inputs, and the values that depend on the data: also without an index of the batch, through a mean over it, or
    through a size that the data decides."""
    found = {*model.inputs, *model.latents}
    together = {r.names()[0]: r for r in model.recurrences}
    for name in dependency_order(model):
        recurrence = together.get(name)
        members = recurrence.names() if recurrence else (name,)
        starts = [s for r in recurrence.everywhere() for s in r.starts.values()] if recurrence else []
        if _depends([*(model.values[m].expr for m in members), *starts], found, model):
            found.update(members)
    return found


def _depends(roots: list[Expr], found: set[str], model: Model) -> bool:
    stack = list(roots)
    while stack:
        x = stack.pop()
        unsized = any(model.axes[base(i)].size is None for i in x.axes - {BATCH})
        if unsized or isinstance(x, SizeOf | Posterior) or (isinstance(x, Read) and x.tensor.name in found):
            return True
        stack += children(x)
    return False


def _nonzero(node: Node) -> bool:
    return not (node.op == "const" and node.attr("value") == 0)
