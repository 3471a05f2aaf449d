"""The report that an internal error leaves behind, to be attached to an issue."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence

from ..compiler.version import __version__

_PACKAGES = ("torch", "numpy", "lark", "networkx", "jinja2", "click", "safetensors", "scikit-learn", "rich")


def package_version(name: str) -> str | None:
    """The installed version of a package, from its metadata alone; None when it is not there."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and seldom needed

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def write_report(error: BaseException, arguments: Sequence[str]) -> str:
    """Write what is known about an internal error to a new file in the temporary folder; returns its path."""
    lines = [
        f"dltc {__version__}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(f"{name} {package_version(name) or '-'}" for name in _PACKAGES),
        f"command: dltc {shlex.join(arguments)}",
        "",
        *traceback.format_exception(error),
    ]
    descriptor, path = tempfile.mkstemp(prefix="dltc-report-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding=sys.getdefaultencoding(), errors="backslashreplace") as stream:
        stream.write("\n".join(lines))
    return path
