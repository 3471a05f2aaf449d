"""From emitted text to a class: a real file in a private cache, re-hashed, then run from exactly those bytes."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import traceback
import types
from pathlib import Path

from .errors import AbiError, CacheError
from .files import write_atomic
from .module import Module
from .private import cache_folder, private_folder
from .version import MODULE_ABI


def load_class(source: str, name: str) -> type[Module]:
    """The class of an emitted module.

    The text is kept as a real file (tracebacks and debuggers show it), under its hash; the file is read back, hashed
    again and run from the bytes read, so neither a changed file nor a stale byte-code cache can be run instead.

    Args:
        source: the emitted text.
        name: the model's name, that of the class.

    Raises:
        AbiError: another module ABI, or no such class.
        CacheError: the cache cannot be used, or its file was changed.
    """
    content = source.encode()
    digest = hashlib.sha256(content).hexdigest()
    path = _cached(content, digest, name)
    qualified = f"dltc_module_{digest[:32]}"
    loaded = sys.modules.get(qualified)
    if loaded is None:
        loaded = _run(path, qualified, digest)
    found = getattr(loaded, name, None)
    if not (isinstance(found, type) and issubclass(found, Module)):
        raise AbiError(f"the emitted module {path.name} has no model class `{name}`")
    return found


def _cached(content: bytes, digest: str, name: str) -> Path:
    folder = private_folder(cache_folder())
    stem = re.sub(r"\W", "_", name, flags=re.ASCII).lower() or "model"
    path = private_folder(private_folder(folder / "modules") / digest[:32]) / f"{stem}.py"
    try:
        if not path.exists():
            write_atomic(path, content)
        else:
            os.utime(path)  # used now: what was not used for longest goes first
    except OSError as error:
        raise CacheError(f"the cache {path} cannot be written: {error}; set DLTC_CACHE to a writable folder") from error
    return path


def _run(path: Path, qualified: str, digest: str) -> types.ModuleType:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise CacheError(f"the cached module {path} was changed: delete it and run again")
    module = types.ModuleType(qualified)
    module.__file__ = str(path)
    sys.modules[qualified] = module
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
        abi = getattr(module, "ABI", None)
        if abi != MODULE_ABI:
            raise AbiError(
                f"{path.name} was emitted for module ABI {abi}, this runtime runs {MODULE_ABI}: build it again"
            )
    except BaseException:
        del sys.modules[qualified]
        raise
    return module


def spec_place(error: BaseException, model: type[Module]) -> str | None:
    """The place in the spec (``digits.dlt:13``) that an error inside emitted code comes from, if the module says.

    Reads the innermost frame of the emitted file and the class's ``LINES`` table.
    """
    file = getattr(sys.modules.get(model.__module__), "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    for line in reversed(lines):
        known = [start for start in model.LINES if line is not None and start <= line]
        if known:
            return model.LINES[max(known)]
    return None
