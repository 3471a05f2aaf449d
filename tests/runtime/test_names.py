"""The lazy door of the runtime: every name resolves, every op is listed, nothing imports torch too early."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import dltc.runtime as rt
from dltc.runtime import ops, version


def test_every_name_resolves():
    for name in rt._HOME:
        assert getattr(rt, name).__name__ == name
    assert set(rt.__all__) <= set(rt._HOME)
    with pytest.raises(AttributeError, match="has no attribute `nothing`"):
        _ = rt.nothing


def test_every_op_is_listed():
    public = [n for n, f in vars(ops).items() if inspect.isfunction(f) and f.__module__ == ops.__name__ and n[0] != "_"]
    assert sorted(public) == sorted(rt._OPS)


def test_versions_are_the_compilers():
    from dltc.compiler import version as compiler

    assert (version.MODULE_ABI, version.MANIFEST, version.CHECKPOINT) == (
        compiler.MODULE_ABI,
        compiler.MANIFEST,
        compiler.CHECKPOINT,
    )


def test_the_door_alone_imports_no_torch():
    code = (
        "import sys, dltc.runtime; from dltc.runtime import data, errors, scores, tables; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
