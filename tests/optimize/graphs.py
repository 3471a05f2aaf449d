"""Graphs to optimize: those of every shipped spec and of generated ones, before any pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from spec_strategy import Spec, corpus

from dltc.compiler.diagnostics import Span
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Graph, Pool
from dltc.compiler.pipeline import Artefact, compile_spec

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY = 10, 78
"""How many generated specs: those of ``tests/property``, from the first on."""
CHUNKS, EACH = 9, 26
"""All of them, a chunk at a time."""

LOOP = """dlt 1
model Loop {
  axis t, pix = 2, hid = 3, cls = 2
  input x[t, pix]
  input y: cls
  param A[hid, hid'] ~ Normal(0, var = 1/hid)
  param B[hid, pix] ~ Normal(0, var = 1/pix)
  param V[cls, hid] ~ Normal(0, var = 1/hid)
  h[t, hid] = tanh(A[hid, hid'] * h[t-1, hid'] + B[hid, pix] * x[t, pix])   start 0
  s[cls] = V[cls, hid] * h[last, hid]
  y ~ Categorical(logits = s)
  learn { A : SGD(lr = 0.1); B, V : Adam(lr = 0.1) }
  train { batch all; steps 3; seeds 2; report accuracy(y, s) }
}
"""
"""A recurrence, inside which passes run, too, in replicas."""


def generated(count: int) -> list[Spec]:
    """So many of the generated specs."""
    chunks = (corpus(chunk, EACH) for chunk in range(-(-count // EACH)))
    return list(islice(chain.from_iterable(chunks), count))


def artefacts(count: int) -> Iterator[Artefact]:
    """The shipped specs, specs of what these lack, and so many generated ones."""
    for path in [*sorted((ROOT / "specs").glob("*.dlt")), ROOT / "tests" / "conformance" / "labels.dlt"]:
        yield compile_spec(path.read_text(encoding="utf-8"), path.name)
    yield compile_spec(LOOP, "loop.dlt")
    yield from (compile_spec(spec.text, "generated.dlt") for spec in generated(count))


def sum_in_a_sum() -> Graph:
    """b + sum[i](a[i] + c): flat, until the sum is distributed over its terms."""
    pool = Pool({"i": 3})
    with pool.origin([Span("by hand", 0, 1)]):
        a, b, c = e.param(pool, "a", ["i"]), e.param(pool, "b", []), e.param(pool, "c", [])
        e.neg(pool, c)  # no pool holds only what is alive, before the last pass
        return Graph(pool, {"value h": e.add(pool, b, e.reduce_sum(pool, e.add(pool, a, c), "i"))})


def graphs(count: int) -> Iterator[Graph]:
    """Functions and step of each, and what none of them is sure to hold."""
    yield sum_in_a_sum()
    for artefact in artefacts(count):
        yield from (artefact.functions, artefact.step)


def graphs_of(chunk: int) -> Iterator[Graph]:
    """Functions and step of the generated specs of a chunk."""
    for spec in corpus(chunk, EACH):
        artefact = compile_spec(spec.text, "generated.dlt")
        yield from (artefact.functions, artefact.step)
