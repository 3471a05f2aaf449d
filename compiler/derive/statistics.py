"""Statistics that rules may read, in one registry: name -> how it is derived on the graph.

A statistic is derived only when some rule asks for it, for all parameters that ask at once, so that one reverse sweep
serves them all.  The front end knows the names (``frontend/learning.py``); a test holds the two lists together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..graph import expr as e
from ..graph.node import BATCH, Node, Pool
from .gradient import gradient
from .objective import Objective

Statistic = Callable[[Pool, Objective, Sequence[Node]], dict[Node, Node]]


def _grad(pool: Pool, objective: Objective, wrt: Sequence[Node]) -> dict[Node, Node]:
    """Gradient of the objective, prior included (a mean over the batch)."""
    return gradient(pool, objective.total, wrt)


def _grad_sum(pool: Pool, objective: Objective, wrt: Sequence[Node]) -> dict[Node, Node]:
    """Gradient of the summed negative log density of the batch, priors excluded."""
    return {w: e.mul(pool, e.size(pool, BATCH), g) for w, g in gradient(pool, objective.data, wrt).items()}


STATISTICS: dict[str, Statistic] = {"grad": _grad, "grad_sum": _grad_sum}
