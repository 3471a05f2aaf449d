"""Passes that are wrong on purpose: the last pass of a kind and then a change of one node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Graph, Node, Pool
from dltc.compiler.optimize.base import Pass

SPEC = """dlt 1
model Small {
  axis d = 3, hid = 2, cls = 2
  input x[d]
  input y: cls
  param W[hid, d] ~ Normal(0, var = 1)
  param b[hid] ~ Normal(0, var = 1)
  param V[cls, hid] ~ Normal(0, var = 1)
  h[hid] = tanh(W * x + b)
  u[hid] = (2 + h)^b
  s[cls] = V * u + 0.3
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 0.01) }
  train { batch 2; steps 1; report accuracy(y, s) }
}
"""

LOOP = """dlt 1
model Loop {
  axis t, pix = 2, hid = 3
  input x[t, pix]
  param A[hid, hid'] ~ Normal(0, var = 1/hid)
  param B[hid, pix] ~ Normal(0, var = 1/pix)
  z[t, hid] = sin(B[hid, pix] * x[t, pix])
  h[t, hid] = tanh(A[hid, hid'] * h[t-1, hid'] + z[t, hid])   start 0
  g = sum[hid](h[last, hid])
  g ~ Gibbs()
  learn { A, B : SGD(lr = 0.1) }
  train { batch all; steps 3 }
}
"""

Change = Callable[[Pool, Node], Node | None]


@dataclass(frozen=True)
class Broken:
    """A pass that does what it says, and then something wrong: ``change`` gives the replacement of a node, or None."""

    whole: Pass
    change: Change
    only: str = ""
    """Only on graphs that have this root."""

    def __getattr__(self, name: str) -> object:
        return getattr(self.whole, name)

    def run(self, graph: Graph) -> Graph:
        """The wrong graph."""
        graph = self.whole.run(graph)
        if self.only not in {"", *graph.roots}:
            return graph
        pool = graph.pool

        def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
            changed = self.change(pool, node)
            return e.remake(pool, node, inputs) if changed is None else changed

        return graph.rewrite(visit)


def breaking(passes: tuple[Pass, ...], name: str, change: Change, only: str = "") -> tuple[Pass, ...]:
    """The pipeline with the first pass of that name broken."""
    at = [p.name for p in passes].index(name)
    return (*passes[:at], Broken(passes[at], change, only), *passes[at + 1 :])


# kinds of mistakes


def wrong_constant(pool: Pool, node: Node) -> Node | None:
    """0.3 becomes 0.3000003."""
    return e.const(pool, 0.3000003) if e.constant(node) == 0.3 else None


def swapped(pool: Pool, node: Node) -> Node | None:
    """x ^ y becomes y ^ x."""
    return pool.node("pow", *node.inputs[::-1]) if node.op == "pow" else None


def dropped(pool: Pool, node: Node) -> Node | None:
    """The gradient by V loses a term: that of the prior."""
    if pool.hints.get(node) != "grad_V" or node.op != "add":
        return None
    return e.add(pool, *(x for x in node.inputs if "batch" in _below(x)))


def _below(node: Node) -> set[str]:
    return {axis for x in Graph(Pool({}), {"": node}).topological() for axis in x.axes}


def tiny(pool: Pool, node: Node) -> Node | None:
    """u becomes u + 1e-30 h."""
    if node.op != "pow":
        return None
    h = next((x for x in node.inputs[0].inputs if x.op == "tanh"), None)  # Adam has powers of its own
    return e.add(pool, node, e.mul(pool, 1e-30, h)) if h is not None else None


def another_function(pool: Pool, node: Node) -> Node | None:
    """tanh becomes sigmoid."""
    return e.sigmoid(pool, node.inputs[0]) if node.op == "tanh" else None
