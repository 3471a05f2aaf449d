"""The digits model as a hand-written emitted module: the runtime is tested against the ABI, without the compiler."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dltc.runtime.loader import load_class
from dltc.runtime.session import Job

sys.path.insert(0, str(Path(__file__).parents[1]))  # tolerances.py

FOLDER = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def source() -> str:
    """Text of the emitted module."""
    return (FOLDER / "digits.py").read_text()


@pytest.fixture
def manifest() -> dict[str, Any]:
    """A fresh copy of its manifest."""
    return json.loads((FOLDER / "digits.json").read_text())


@pytest.fixture
def digits(source: str) -> Any:
    """The model class, through the loader."""
    return load_class(source, "Digits")


@pytest.fixture
def make_job(source: str, manifest: dict[str, Any], tmp_path: Path) -> Callable[..., Job]:
    """A job of the digits model; keyword arguments replace entries of the manifest's train block."""

    def make(*, text: str | None = None, **train: Any) -> Job:
        own = copy.deepcopy(manifest)
        own["train"] |= train
        return Job(text or source, own, "dlt 1\n# the digits spec\n", tmp_path, {"target": "torch", "set": {}})

    return make
