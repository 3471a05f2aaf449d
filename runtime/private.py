"""The private cache folder.  Importable without torch."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import CacheError

OFF = "off"
"""The value of ``$DLTC_CACHE`` that keeps no results of compilations; modules that are loaded still need a file."""


def cache_folder() -> Path:
    """The cache: ``$DLTC_CACHE`` unless that is ``off``, else ``dltc`` in the user's cache folder (``$XDG_CACHE_HOME`` or
    ``~/.cache``)."""
    chosen = os.environ.get("DLTC_CACHE")
    if chosen and chosen != OFF:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dltc"


def private_folder(path: Path) -> Path:
    """Make a folder that nobody else can read or write (mode 0700).

    Raises:
        CacheError: when it cannot be made, or belongs to someone else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.stat()
        if os.name == "posix":
            if info.st_uid != os.getuid():
                raise CacheError(f"the cache {path} belongs to another user: set DLTC_CACHE to a folder of your own")
            if stat.S_IMODE(info.st_mode) & 0o077:
                path.chmod(0o700)
    except OSError as error:
        raise CacheError(f"the cache {path} cannot be used: {error}; set DLTC_CACHE to a writable folder") from error
    return path
