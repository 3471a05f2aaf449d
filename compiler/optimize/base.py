"""What a pass is: graph in, graph out, with its properties declared.

A pass works through ``Graph.rewrite``, which keeps the origins, and means the same on *any* graph: what it requires it
needs in order to find what it is for, never in order to be right.  So every pass can be switched off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import ClassVar, Protocol

from ..diagnostics import InternalError
from ..graph.node import Graph, Node

_ROUNDS = 100


class Pass(Protocol):
    """One rewrite of a graph; the names are those of ``properties.PROPERTIES``."""

    name: ClassVar[str]
    """That of its file: what `--without` takes."""
    requires: ClassVar[frozenset[str]]
    """Must hold before."""
    establishes: ClassVar[frozenset[str]]
    """Hold after."""
    destroys: ClassVar[frozenset[str]]
    """May hold before and not after."""
    algebraic: ClassVar[bool]
    """The rewrites hold in every field, the functions taken as unknown ones (``graph/field.py``)."""
    moves: ClassVar[bool]
    """The result lies in another pool (bodies of scans move along)."""

    def run(self, graph: Graph) -> Graph:
        """The rewritten graph: the same roots with the same meaning.  Running it again changes nothing."""
        ...


def uses(graph: Graph) -> Counter[Node]:
    """How many times each node is read: by nodes, and as a root."""
    return Counter(chain(graph.roots.values(), chain.from_iterable([node.inputs for node in graph.topological()])))


def settled(graph: Graph, once: Callable[[Graph], Graph], broken: Callable[[Graph], list[Node]]) -> Graph:
    """The graph after as many rounds of a rewrite as it takes: one rewrite may open the way for another.

    Args:
        graph: where to start.
        once: a round.
        broken: the nodes that another round would change.

    Raises:
        InternalError: it does not come to rest.
    """
    for _ in range(_ROUNDS):
        after = once(graph)
        if after.roots == graph.roots or not broken(after):  # nodes are interned: equal ones are the same
            return after
        graph = after
    raise InternalError(f"a rewrite goes on changing its own result after {_ROUNDS} rounds")
