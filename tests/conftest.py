"""Checks that hold for the whole test run, and fixtures that every folder uses."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """One thread per worker; and the package under test is this checkout, under its one name, and nothing else."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # models here are tiny, workers many; child processes inherit it
    os.environ.setdefault(
        "ONEDNN_MAX_CPU_ISA", "AVX2"
    )  # a convolution's scratch memory differs between instruction sets
    import dltc

    found = Path(dltc.__file__).resolve().parent
    if found != ROOT:
        raise pytest.UsageError(f"`dltc` resolves into {found}, not into this checkout {ROOT}: run `make`")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Commands switch the search for cycles off, for a process that ends soon; this one goes on."""
    yield
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the user's compile cache."""
    os.environ["DLTC_CACHE"] = str(tmp_path_factory.mktemp("cache"))
