"""The same bytes for the same spec: generated specs compiled in two processes with two hash seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from spec_strategy import corpus

PROBE = """
import hashlib, json, sys
from pathlib import Path
from dltc.compiler.pipeline import compile_spec
for path in sorted(Path(sys.argv[1]).glob("*.dlt")):
    artefact = compile_spec(path.read_text(encoding="utf-8"), path.name)
    print(path.name, hashlib.sha256((artefact.source + json.dumps(artefact.manifest)).encode()).hexdigest())
"""


def test_same_bytes_under_two_hash_seeds(tmp_path: Path) -> None:
    """Source and manifest of twelve generated specs."""
    for k, spec in enumerate(corpus(0, 12)):
        (tmp_path / f"{k:02}.dlt").write_text(spec.text, encoding="utf-8")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", PROBE, str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": key},
            stdout=subprocess.PIPE,
            text=True,
        )
        for key in ("1", "20260801")
    ]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == 12
