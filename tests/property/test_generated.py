"""Generated specs: the emitted module is the interpreter, derived gradients are autograd's, steps are the rules.

Each chunk draws its own specs (hypothesis, fixed seeds); everything that can be compared of a spec is, with and without
the optimizer (`spec_check.py`).  What was exercised is collected for the coverage table at the end of the run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from spec_check import check_spec
from spec_oracle import Oracle
from spec_strategy import Spec, specs

CHUNKS, EACH = 8, 26


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_generated_specs(chunk: int) -> None:
    """208 specs in all; 1e-10 against the interpreter, 1e-9 against autograd, central differences on a sample."""
    records: list[dict[str, object]] = []

    @seed(chunk)
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(specs())
    def run(spec: Spec) -> None:
        records.append(_record(spec, check_spec(spec)))

    run()
    assert len(records) >= EACH
    folder = os.environ.get("DLTC_COVERAGE")
    if folder:
        Path(folder, f"chunk{chunk}.json").write_text(json.dumps(records), encoding="utf-8")


def _record(spec: Spec, oracle: Oracle) -> dict[str, object]:
    """What a spec exercised."""
    model = oracle.model
    graphs = (oracle.artefact.functions, oracle.artefact.step)
    return {
        "equations": spec.equations,
        "ops": sorted({node.op for graph in graphs for node in graph.topological()}),
        "parameters": sorted(
            {
                (p.domain, p.prior.name, model.rules[n].rule if n in model.rules else "-")
                for n, p in model.params.items()
            }
        ),
        "densities": sorted({t.dist.name for t in model.terms}),
        "inputs": sorted({i.kind for i in model.inputs.values()}),
    }
