"""The compile cache: results of compilations in a private folder, checked when read, bounded in size.

    $DLTC_CACHE/programs/KEY.json   a compiled spec (see ``cli/compiled.py``)
    $DLTC_CACHE/modules/HASH/       the module texts that were loaded (see :mod:`.loader`)

Importable without torch.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .errors import CacheError
from .files import write_atomic
from .private import OFF, cache_folder, private_folder

LIMIT = 256 * 2**20
"""Bytes that the cache may hold; what was not used for longest goes first.  A module of 2,000 equations takes 3 MB."""

PROGRAMS, MODULES = "programs", "modules"


class Damaged(Exception):
    """An entry whose content is not what was written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: a file or a folder, its bytes, when it was last used (nanoseconds since 1970)."""

    path: Path
    size: int
    used: int


def enabled() -> bool:
    """Whether results are kept: not with ``DLTC_CACHE=off``."""
    return os.environ.get("DLTC_CACHE") != OFF


def read(key: str) -> bytes | None:
    """What was kept under a key, None if nothing was; it counts as used now.

    Raises:
        CacheError: the cache cannot be used.
        Damaged: the content is not what was written.
    """
    path = _program(key)
    try:
        content = path.read_bytes()
        os.utime(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    head, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != head:
        raise Damaged(str(path))
    return body


def write(key: str, body: bytes, limit: int = LIMIT) -> None:
    """Keep something under a key, and drop what has not been used for longest where the cache grows too large.

    Raises:
        CacheError: the cache cannot be used.
    """
    path = _program(key)
    try:
        write_atomic(path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body, mode=0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    trim(limit, keep=path)


def entries() -> list[Entry]:
    """All entries, those used last first.

    Raises:
        CacheError: the cache cannot be read.
    """
    found: list[Entry] = []
    for kind in (PROGRAMS, MODULES):
        folder = cache_folder() / kind
        try:
            paths = [p for p in folder.iterdir() if not p.name.startswith(".")] if folder.is_dir() else []
            found += [entry for path in paths if (entry := _entry(path)) is not None]
        except OSError as error:
            raise _unusable(folder, error) from error
    return sorted(found, key=lambda e: (-e.used, e.path.as_posix()))


def trim(limit: int, keep: Path | None = None) -> None:
    """Drop entries, those used longest ago first, until the rest takes at most ``limit`` bytes."""
    total = 0
    for entry in entries():
        total += entry.size
        if total > limit and entry.path != keep:
            _drop(entry.path)


def clear() -> tuple[int, int]:
    """Drop all entries; returns how many there were and their bytes.

    Raises:
        CacheError: the cache cannot be read.
    """
    found = entries()
    for entry in found:
        _drop(entry.path)
    return len(found), sum(entry.size for entry in found)


def _program(key: str) -> Path:
    return private_folder(private_folder(cache_folder()) / PROGRAMS) / f"{key}.json"


def _entry(path: Path) -> Entry | None:
    """The entry at a path; None if another process drops it just now.  A link is not followed."""
    try:
        inside = [*path.iterdir()] if path.is_dir() and not path.is_symlink() else []
        infos = [p.lstat() for p in (path, *inside)]
    except FileNotFoundError:
        return None
    files = infos[1:] if inside else infos
    return Entry(path, sum(info.st_size for info in files), max(info.st_mtime_ns for info in files))


def _drop(path: Path) -> None:
    """Remove an entry; another process may be doing the same."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _unusable(path: Path, error: OSError) -> CacheError:
    return CacheError(
        f"the cache {path} cannot be used: {error.strerror or error}; set DLTC_CACHE to a writable folder"
    )
