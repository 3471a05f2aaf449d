"""Every shipped spec: it compiles, the emitted module is the interpreter, derived gradients are autograd's, and a step is
what the step graph says; on random inputs, optimized and not, and as trained by its own data where that is bundled."""

from __future__ import annotations

import sys
import zlib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "property"), str(ROOT / "tests")]
check, oracles = import_module("spec_check"), import_module("spec_oracle")

SPECS = sorted(path.name for path in (ROOT / "specs").glob("*.dlt"))


def setting_of(oracle, key: str):
    """A small random batch for a model's inputs; sizes that the data decides are 3."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    sizes = {a.name: 3 for a in oracle.model.axes.values() if a.size is None}
    inputs = {}
    for name, item in oracle.model.inputs.items():
        kind = {"int": "count"}.get(item.kind, item.kind)
        labels = oracle.model.axes[item.tensor.label].size if item.tensor.label else 0
        shape = (5, *(oracle._extent(d, sizes) for d in item.tensor.declared))
        inputs[name] = oracles.column(kind, shape, labels, rng)
    return oracles.Setting(inputs, 1000, 3, sizes)


def test_there_are_specs() -> None:
    assert "digits.dlt" in SPECS


@pytest.mark.parametrize("name", SPECS)
def test_spec_agrees_with_every_oracle(name: str) -> None:
    """Values, densities, measures, initial values, gradients and steps."""
    oracle = oracles.Oracle((ROOT / "specs" / name).read_text(encoding="utf-8"), name)
    check.check_all(oracle, setting_of(oracle, name))
