"""How much a graph saves over the expressions that it stands for.

Written out as a tree, every shared part is repeated wherever it is read; the tree can be exponentially larger than the
graph, so its size is a Python integer and never built.  The *sharing factor* is tree size / number of nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import log2

from ..graph.node import Graph, Node


@dataclass(frozen=True, slots=True)
class Sharing:
    """Counts of a graph (``nodes``, ``edges``, ``depth``: the longest path in nodes) and of its tree (``tree`` nodes, of
    them ``leaves`` without operands).  A scan's body counts once, as if it stood in the graph."""

    nodes: int
    edges: int
    depth: int
    tree: int
    leaves: int

    @property
    def factor(self) -> Fraction:
        """Tree size over number of nodes; 1 where nothing is shared."""
        return Fraction(self.tree, self.nodes) if self.nodes else Fraction(1)


def sharing(graph: Graph) -> Sharing:
    """The counts of all roots together, each root written out once under its name."""
    tree: dict[Node, int] = {}
    leaves: dict[Node, int] = {}
    depth: dict[Node, int] = {}
    nodes = edges = 0
    for node in graph.topological():
        inner = [sharing(value) for _, value in node.attrs if isinstance(value, Graph)]
        nodes += 1 + sum(s.nodes for s in inner)
        edges += len(node.inputs) + sum(s.edges for s in inner)
        tree[node] = 1 + sum(tree[i] for i in node.inputs) + sum(s.tree for s in inner)
        leaves[node] = sum(leaves[i] for i in node.inputs) + sum(s.leaves for s in inner) or 1
        depth[node] = 1 + max([depth[i] for i in node.inputs] + [s.depth for s in inner], default=0)
    roots = list(graph.roots.values())
    deepest = max((depth[r] for r in roots), default=0)
    return Sharing(nodes, edges, deepest, sum(tree[r] for r in roots), sum(leaves[r] for r in roots))


def exact(number: int) -> str:
    """All digits of an integer of any size (Python's own conversion stops at a few thousand)."""
    return str(Decimal(number))


def log2_of(number: int) -> float:
    """The logarithm of a positive integer of any size."""
    shift = max(number.bit_length() - 64, 0)
    return log2(number >> shift) + shift


def readable(number: int) -> str:
    """With thousands separated, or as ``1.27e+30`` where that would be long."""
    return f"{number:,}" if number < 10**15 else f"{Decimal(number):.2e}"
