"""Generated specs: contraction FLOPs of every routine exactly, memory at the peak within the tolerance."""

from __future__ import annotations

import pytest
import torch
from measured import flops, peak_bytes
from spec_check import setting_of
from spec_oracle import Oracle
from spec_strategy import Spec, corpus
from tolerances import ALLOCATED, ALLOCATED_TINY

from dltc.compiler.cost.account import Accountant
from dltc.compiler.explain import explain
from dltc.compiler.explain_text import text
from dltc.compiler.plan.module import Planner
from dltc.runtime.errors import Diverged

CHUNKS, EACH = 9, 26


def compare(spec: Spec) -> int:
    """Compare the routines of one spec; how many there were."""
    oracle = Oracle(spec.text)
    setting = setting_of(spec, oracle)
    module = oracle.module(setting)
    plan = Planner.of(oracle.model, *oracle.artefact.optimized, oracle.artefact.place, traced=True).plan()
    sizes = {"batch": spec.batch, **spec.sizes}
    assert len(text(explain(oracle.artefact, sizes)).splitlines()) > 20
    books = Accountant(oracle.model, plan, sizes, "float64")
    batch = module.checked(setting.inputs, every=True)

    def forward() -> object:
        with torch.no_grad():
            values = module._values(batch)
            return values, [values[name] for name in module.OUTPUTS] and None

    def measure() -> object:
        with torch.no_grad():
            values = module._values(batch)
            return values, module._measure(values)

    def step() -> object:
        module._steps = 0  # a rule's `when`, which counts as taken, holds at the first step of every generated spec
        return module.advance(batch)

    runs = {"forward": forward, "_measure": measure}
    if module.TRAINABLE:
        runs["_step"] = step
    for routine, run in runs.items():
        account = books.run(routine)
        try:
            counted = flops(run), flops(run, everything=True)
            measured = peak_bytes(run)
        except Diverged:  # a step or two from where the spec starts: the rest of it is not comparable
            continue
        total = account.total
        assert (total.counted.at(sizes), total.flops["contraction"].at(sizes)) == counted, spec
        own = account.peak - sum(account.memory[r].at(sizes) for r in ("parameters", "states", "inputs"))
        assert abs(own - measured) <= ALLOCATED * measured + ALLOCATED_TINY, (routine, own, measured, spec)
    return len(runs)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_generated_specs(chunk: int) -> None:
    assert sum(compare(spec) for spec in corpus(chunk, EACH)) > 2 * EACH
