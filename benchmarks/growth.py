"""A deep or long model builds as fast as a shallow or short one: a recurrence is one node with a body, never unrolled text.

    python benchmarks/growth.py

Goal: 48 transformer blocks, and a recurrence over 1,000 steps, build within 1.2 times the time of 2; nodes and text are the
same but for numbers.  Seconds are of the processor, the least of the rounds; the variants take turns.
"""

from __future__ import annotations

import time

from timing import machine

ROUNDS = 15

DEPTH = """dlt 1
use std.layers (TransformerBlock)
model Deep {
  axis t = 16, d = 32, layer = SIZE, cls = 3
  input x[t, d]
  input y: cls
  param V[cls, d] ~ Normal(0, var = 1/d)
  z[layer, t, d] = TransformerBlock[layer](z[layer-1], heads = 4, wide = 64)   start x
  s[cls] = V[cls, d] * mean[t](z[last, t, d])
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 1e-3) }
  train { batch 10; steps 3; report accuracy(y, s) }
}
"""

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


def build(text: str, size: int) -> tuple[float, int, int]:
    """Processor seconds from the text to the module's text; nodes of the optimized step; characters."""
    from dltc.compiler import pipeline

    start = time.process_time()
    artefact = pipeline.compile_spec(text.replace("SIZE", str(size)), "growth.dlt")
    characters = len(artefact.source)
    return time.process_time() - start, len(artefact.optimized[1].topological()), characters


def report(name: str, text: str, large: int) -> None:
    """One row: 2 beside the large size."""
    runs = {size: [build(text, size)] for size in (2, large)}
    for _ in range(ROUNDS):
        for size, found in runs.items():
            found.append(build(text, size))
    (small, nodes, text2), (big, more, text_n) = ((min(r[0] for r in found), *found[0][1:]) for found in runs.values())
    print(
        f"| {name} | 2: {small * 1e3:.0f} ms, {nodes} nodes, {text2:,} characters "
        f"| {large:,}: {big * 1e3:.0f} ms, {more} nodes, {text_n:,} characters | {big / small:.2f} |"
    )


if __name__ == "__main__":
    from dltc.cli.main import quiet_collector

    quiet_collector()
    print(machine(), "\n")
    print("| recurrence over | short | long | time long / short |")
    print("|---|---|---|---:|")
    report("depth (transformer blocks)", DEPTH, 48)
    report("time (steps)", TIME, 1000)
