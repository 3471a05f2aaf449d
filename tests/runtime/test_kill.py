"""kill -9 at random moments: every checkpoint loads, and a resumed run ends with the same parameters bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SPEC = """dlt 1
model Small {
  axis d = 8, h = 16, c = 3
  input x[d]
  input y: c
  param W[h, d] ~ Normal(0, var = 1)  init Normal(0, var = 1/d)
  param g[h] in positive ~ LogNormal(0, std = 0.3)  init 1
  param V[c, h] ~ Normal(0, var = 1)  init Normal(0, var = 1/h)
  u[h] = g * dropout(relu(W * x), 0.2)
  s[c] = V * u
  y ~ Categorical(logits = s)
  learn { W, V : Adam(lr = 0.01); g : EG(lr = 0.1) }
  data from npz("points.npz") { x = x; y = y; test 0.2 }
  train { batch 16; steps 300; seed 3; report accuracy(y, s) every 20 }
}
"""


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_killed_at_any_moment(tmp_path: Path, kills: int) -> None:
    """The moments are drawn with a fixed seed; what they hit depends on the machine, which is the point."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8))
    np.savez(tmp_path / "points.npz", x=x, y=np.argmax(x[:, :3], 1))
    spec = tmp_path / "small.dlt"
    spec.write_text(SPEC, encoding="utf-8")
    script = Path(__file__).with_name("killed.py")
    command = [sys.executable, str(script), str(spec), str(tmp_path), str(kills), "20261123"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count = json.loads(done.stdout)
    print(count)
    assert count["killed"] == kills
    assert count["runs"] >= 1
    if kills > 100:
        assert count["loaded"] > kills / 2  # or the kills came too early to show anything
