"""A recurrence is one node with a body: its length shows in numbers, never in the size of graphs or text."""

from __future__ import annotations

import pytest

from dltc.compiler.graph.node import Graph
from dltc.compiler.pipeline import compile_spec

TIME = """dlt 1
model Long {
  axis t = SIZE, hid = 8, pix = 4, cls = 3
  input x[t, pix]
  input y: cls
  param A[hid, hid'] ~ Normal(0, var = 1/hid)
  param B[hid, pix] ~ Normal(0, var = 1/pix)
  param V[cls, hid] ~ Normal(0, var = 1/hid)
  h[t, hid] = tanh(A[hid, hid'] * h[t-1, hid'] + B[hid, pix] * x[t, pix])   start 0
  s[cls] = V[cls, hid] * h[last, hid]
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 1e-3) }
  train { batch 10; steps 3; report accuracy(y, s) }
}
"""
DEPTH = """dlt 1
use std.layers (TransformerBlock)
model Deep {
  axis t = 6, d = 8, layer = SIZE, cls = 3
  input x[t, d]
  input y: cls
  param V[cls, d] ~ Normal(0, var = 1/d)
  z[layer, t, d] = TransformerBlock[layer](z[layer-1], heads = 2, wide = 12)   start x
  s[cls] = V[cls, d] * mean[t](z[last, t, d])
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 1e-3) }
}
"""


def computed(graph: Graph) -> int:
    """Nodes but constants: two numbers may be one by chance."""
    return sum(node.op != "const" for node in graph.topological())


@pytest.mark.parametrize(("text", "many"), [(TIME, 1000), (DEPTH, 48)], ids=["time", "depth"])
def test_length_does_not_show_in_size(text: str, many: int) -> None:
    short, long = (compile_spec(text.replace("SIZE", str(n)), "growth.dlt") for n in (2, many))
    for graphs in ((short.functions, long.functions), (short.step, long.step), (short.optimized[1], long.optimized[1])):
        assert computed(graphs[0]) == computed(graphs[1])
    lines = [made.source.splitlines() for made in (short, long)]
    assert abs(len(lines[0]) - len(lines[1])) <= 0.01 * len(lines[0])  # a longer number may break a line
