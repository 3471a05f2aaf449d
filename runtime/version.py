"""The integer versions of what the runtime reads and writes.

The runtime never imports the compiler, so the numbers stand here a second time; ``tests/repo`` holds them equal.
"""

from __future__ import annotations

MODULE_ABI = 1  # of emitted modules: the `ABI = 1` line, checked by the loader
MANIFEST = 1  # of manifest.json
CHECKPOINT = 1  # of checkpoint folders
