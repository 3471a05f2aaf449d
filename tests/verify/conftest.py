"""The helpers beside this file and the generated specs become importable."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "verify"), str(TESTS / "property"), str(TESTS)]
