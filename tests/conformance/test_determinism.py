"""The compiler is a pure function: same bytes under two hash seeds, and torch is never imported."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PROBE = """
import hashlib, json, sys
from pathlib import Path
from dltc.compiler.pipeline import STAGES, compile_spec
for path in sys.argv[1:]:
    artefact = compile_spec(Path(path).read_text(encoding="utf-8"), Path(path).name)
    everything = "".join(artefact.stage(s) for s in STAGES) + json.dumps(artefact.manifest)
    print(Path(path).name, hashlib.sha256(everything.encode()).hexdigest())
print("torch" in sys.modules, "networkx" in sys.modules)
"""

OTHER = """dlt 1
model Other {
  axis row = 3, col = 2, pix = (row, col), k = 4
  input x[pix]
  input z: k
  input on[k]: bool
  let scale = 0.5
  param A[k, pix] ~ Laplace(0, scale = scale)
  param p[k] in simplex[k] ~ Dirichlet(2)
  param g[pix] in positive ~ LogNormal(0, std = 0.1)
  m[k] = A * x / (1 + norm(x))
  q[pix, pix'] = A[k, pix] * A[k, pix'] * p[k]
  v = logdet[row, row'](sum[col](A[z, row, col] * A[z, row', col]) + 3 * (label(row) == label(row')))
  probe Z[k, k'] = A[k, pix] * A[k', pix]
  z ~ Categorical(logits = m + log(p))
  on[k] ~ Bernoulli(logits = m)
  v ~ Normal(0, std = 2)^0.1
  learn { A : Lion(); g, p : EG(lr = 0.1) }
  train { batch all; steps 3; report accuracy(z, m), accuracy(on, m), v }
}
"""


def test_same_bytes_under_two_hash_seeds(root: Path, tmp_path: Path) -> None:
    """Every stage and the manifest of every spec, in two processes."""
    (tmp_path / "other.dlt").write_text(OTHER, encoding="utf-8")
    specs = [*map(str, sorted((root / "specs").glob("*.dlt"))), str(tmp_path / "other.dlt")]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROBE, *specs],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4242")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count("\n") == len(specs) + 1
    assert outputs[0].endswith("False False\n"), "the compiler imported torch or networkx"
    assert hashlib.sha256(b"").hexdigest() not in outputs[0]
