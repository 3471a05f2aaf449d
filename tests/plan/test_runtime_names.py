"""Whatever an emitted module may call as ``rt.NAME`` exists in the runtime."""

from __future__ import annotations

import re
from pathlib import Path

import dltc.runtime as rt
from dltc.compiler.graph.node import Pool
from dltc.compiler.graph.ops import OPS
from dltc.compiler.plan.elementwise import TENSOR
from dltc.compiler.plan.layout import Layout
from dltc.compiler.plan.lower import Lowering

SOURCES = "\n".join(
    p.read_text(encoding="utf-8") for p in (Path(__file__).parents[2] / "compiler" / "plan").glob("*.py")
)


def test_every_runtime_name_in_the_plan_exists() -> None:
    """Written out, and built from op names."""
    names = set(re.findall(r'"rt\.(\w+)"', SOURCES)) | {"Slot", "Input", "Metric", "Draw", "Module", "Values"}
    built = {"softmax", "log_softmax", "logsumexp", "max", "min", "prod"}
    built |= {name for name, row in OPS.items() if row.kind == "linalg"}
    for name in sorted(names | built):
        assert hasattr(rt, name), name


def test_every_op_has_a_torch_form_or_is_a_leaf() -> None:
    """Scans are the one kind that no spec can reach yet."""
    lowering = Lowering(Pool({}), Layout({}), {}, {})
    covered = set(TENSOR) | set(lowering._methods) | {"const", "size", "step", "examples", "training"}
    assert set(OPS) - covered == {"input", "param", "state", "hole", "scan", "result"}
