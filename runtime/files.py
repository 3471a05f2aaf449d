"""Writing files so that a crash leaves the old content or the new, never half of it.  Importable without torch."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

_PART = ".part"


def write_atomic(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace a file: temporary file in the same folder, flush, fsync, rename.  ``mode`` is its permissions.

    Raises:
        OSError: when the folder cannot be written or the disk is full; the old file is then untouched.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PART)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    _sync_folder(path.parent)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left behind; the caller holds the folder's lock."""
    for part in folder.glob(f".*{_PART}"):
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable (a no-op where folders cannot be opened)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def to_json(value: object, *, indent: int | None = None) -> str:
    """Strict JSON text: numbers that are not finite become null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in cast("Sequence[object]", value)]
    return value
