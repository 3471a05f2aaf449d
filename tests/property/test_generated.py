"""Generated specs: the emitted module is the interpreter, derived gradients are autograd's, steps are the rules.

Hypothesis draws each chunk with a fixed seed.  Everything that can be compared of a spec is (``spec_check.py``), with the
optimizer and without.  What the specs exercise is counted once for all chunks, printed when the run ends, and nothing of
the compiler's tables may be missing.
"""

from __future__ import annotations

import statistics

import pytest
from hypothesis import HealthCheck, given, settings
from spec_check import check_spec
from spec_coverage import Coverage
from spec_strategy import Spec, corpus, specs

from dltc.compiler.pipeline import compile_spec

CHUNKS, EACH = 9, 28
FAST = tuple(k for k in range(CHUNKS) if k != 7)
"""The chunks of the fast tier: 224 specs, in which nothing is missing."""

"""252 specs in all."""


@pytest.mark.parametrize("chunk", [k if k in FAST else pytest.param(k, marks=pytest.mark.slow) for k in range(CHUNKS)])
def test_generated_specs(chunk: int) -> None:
    """1e-10 against the interpreter, 1e-9 against autograd, central differences on a sample."""
    for spec in corpus(chunk, EACH):
        try:
            check_spec(spec)
        except Exception as problem:
            problem.add_note(f"in the spec\n{spec}")
            raise


def test_everything_is_exercised(coverage_table: list[str]) -> None:
    """No operation, construct, domain, prior, distribution, rule or graph op that compiles is missing."""
    coverage = Coverage()
    for chunk in FAST:
        for spec in corpus(chunk, EACH):
            coverage.add(compile_spec(spec.text, "generated.dlt"), spec.equations)
    coverage_table += coverage.lines()
    assert len(coverage.texts) >= 200
    assert statistics.median(coverage.equations) >= 8
    assert not coverage.missing()


@pytest.mark.slow
@settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(specs())
def test_any_spec(spec: Spec) -> None:
    """The same for other specs in every run; what fails is shrunk."""
    check_spec(spec)
