"""`posterior(y)` of an input with labels: p(y | the other inputs), by Bayes' rule over the model's densities.

Every density is evaluated at every label, what is found of latents with it; what does not depend on y cancels.
"""

from __future__ import annotations

from ..frontend.model import Input, Model
from ..graph import expr as e
from ..graph.node import BATCH, Graph, Node, Pool, below
from .substitute import substituted


class Circular(Exception):
    """A posterior whose densities read it."""

    def __init__(self, item: Input) -> None:
        super().__init__(item.tensor.name)
        self.item = item


def with_posteriors(graph: Graph, model: Model) -> Graph:
    """The graph with every posterior of an input in place; latents are found already.

    Raises:
        Circular: the densities of an input read its own posterior.
    """
    holes = {n for n in graph.topological() if n.op == "hole" and n.attr("name").startswith("posterior ")}
    asked = {
        n: model.inputs[name] for n in holes if (name := n.attr("name").removeprefix("posterior ")) in model.inputs
    }
    if not asked:
        return graph
    terms = [root for name, root in graph.roots.items() if name.startswith("term ") and BATCH in root.axes]
    found = {hole: _posterior(graph.pool, model, item, terms) for hole, item in asked.items()}
    for hole, node in found.items():
        if hole in below([node]):
            raise Circular(asked[hole])
    return Graph(graph.pool, substituted(graph.pool, graph.roots, found))


def _posterior(pool: Pool, model: Model, item: Input, terms: list[Node]) -> Node:
    """[batch, labels]."""
    y = e.input(pool, item.tensor.name, (), item.tensor.dtype)
    axis = model.axes[item.tensor.label or ""]
    label = e.add(pool, e.position(pool, axis.leaves), axis.low)
    joint = e.real(pool, e.add(pool, *(t for t in terms if y in below([t]))))
    at_each = substituted(pool, {"": joint}, {y: label})[""]
    return e.softmax(pool, e.carrying(pool, at_each, axis.leaves), axis.leaves)
