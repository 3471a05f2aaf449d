"""Generated specs: the helpers beside this file become importable, hypothesis draws the same specs in every run, and the
coverage table is printed when the run ends."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
