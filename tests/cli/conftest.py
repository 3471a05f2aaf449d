"""A small spec to run commands on, and two ways to run them: in this process, or in one of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dltc.cli.main import main

DIGITS = """dlt 1

model Digits {
  axis pix = 64, hid = 12, cls = 10

  input x[pix]
  input y: cls

  param W[hid, pix] ~ Normal(0, var = 2/pix)
  param g[hid] in positive ~ LogNormal(0, std = 0.3)  init 1
  param V[cls, hid] ~ Normal(0, var = 1/hid)

  h[hid] = g[hid] * relu(W[hid, pix] * x[pix])
  s[cls] = V[cls, hid] * h[hid]

  y ~ Categorical(logits = s)

  learn {
    W, V : Adam(lr = 0.01)
    g    : EG(lr = 0.1)
  }

  data from sklearn("digits") {
    x = data / 16
    y = target
    test 0.2
  }

  train { batch 32; epochs 2; seed 0; report accuracy(y, s), nll every 20 }
}
"""


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Every test has a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def spec(folder) -> Path:
    """digits.dlt in the working folder."""
    path = folder / "digits.dlt"
    path.write_text(DIGITS)
    return path


@pytest.fixture
def dltc(capfd):
    """Run a command in this process."""

    def call(*arguments: str) -> Done:
        capfd.readouterr()
        code = main(list(arguments))
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def process():
    """Run a command in a process of its own."""

    def call(*arguments: str, **options: Any) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "dltc", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **options,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call
