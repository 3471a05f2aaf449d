"""Statistics that rules may read, in one registry: name -> how it is derived on the graph.

A statistic is derived only when some rule asks for it, for all parameters that ask at once, so that one reverse sweep
serves them all.  The front end knows the names (``frontend/statistics.py``); a test holds the two lists together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..graph import expr as e
from ..graph.node import BATCH, Graph, Node, Pool
from .gradient import gradient
from .objective import Objective

Gradient = Callable[[Pool, Objective, Sequence[Node]], dict[Node, Node]]
Own = Callable[[Graph, str, tuple[str, ...]], Node]


def _grad(pool: Pool, objective: Objective, wrt: Sequence[Node]) -> dict[Node, Node]:
    """Gradient of the objective, prior included (a mean over the batch)."""
    return gradient(pool, objective.total, wrt)


def _grad_sum(pool: Pool, objective: Objective, wrt: Sequence[Node]) -> dict[Node, Node]:
    """Gradient of the summed negative log density of the batch, priors excluded."""
    return {w: e.mul(pool, e.size(pool, BATCH), g) for w, g in gradient(pool, objective.data, wrt).items()}


def _prior_grad(pool: Pool, objective: Objective, wrt: Sequence[Node]) -> dict[Node, Node]:
    """Gradient of the negative log density of all that counts once: grad = grad_sum / n + prior.grad / N."""
    return gradient(pool, e.neg(pool, objective.log_prior), wrt)


SWEEPS: dict[str, Gradient] = {"grad": _grad, "grad_sum": _grad_sum, "prior.grad": _prior_grad}
"""One reverse sweep for all parameters that ask."""


def _rooted(name: str) -> Own:
    return lambda graph, path, leaves: graph.roots[f"{name} {path}"]


def _drawn(name: str, kind: str) -> Own:
    return lambda graph, path, leaves: e.sample(graph.pool, kind, f"{path}/{name}", leaves)


OWN: dict[str, Own] = {
    **{name: _rooted(name) for name in ("prior.mean", "prior.var", "prior.precision", "prior.draw")},
    "noise": _drawn("noise", "normal"),
    "uniform": _drawn("uniform", "uniform"),
    "sign": lambda graph, path, leaves: e.state(graph.pool, f"{path}@sign", leaves),
}
"""Of one parameter (its path and leaves; those of its signs for ``sign``), on the circuit graph."""
