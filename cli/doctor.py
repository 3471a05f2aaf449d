"""`dltc doctor`: what this machine has, what is missing, and how to get it.  Never imports torch."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ..compiler.version import __version__
from ..runtime.errors import CacheError
from ..runtime.private import cache_folder, private_folder
from .console import Console
from .crash import package_version
from .options import output_options

_NEEDED = {
    "torch": (2, 9),
    "numpy": (2,),
    "lark": (1, 3),
    "networkx": (3, 4),
    "jinja2": (3, 1, 6),
    "click": (8, 2),
    "safetensors": (0, 5),
}  # as in pyproject.toml; a test compares
_OPTIONAL = {"rich": "ui", "scikit-learn": "data", "pyarrow": "data", "matplotlib": "plot"}  # package -> extra of dltc


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``state`` is ok, optional (missing, but nothing needs it) or missing."""

    name: str
    state: str
    detail: str


@click.command("doctor", short_help="Say whether this machine has what dltc needs.")
@output_options
def command(console: Console) -> int:
    """Report versions, torch and CUDA, the C compiler, the cache folder and optional packages.

    \b
    Example:
      dltc doctor --json

    Exit code: 0 dltc works here, 3 something that it needs is missing.
    """
    findings = [*_python(), *_packages(), *_extras(), _cuda(), _compiler(), _cache(), _folder()]
    bad = [finding for finding in findings if finding.state == "missing"]
    if console.json:
        console.object(ok=not bad, dltc=__version__, findings=[asdict(finding) for finding in findings])
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            console.result(f"{finding.state:<8}  {finding.name:<{width}}  {finding.detail}")
    return 3 if bad else 0


def _python() -> list[Finding]:
    state = "ok" if sys.version_info >= (3, 11) else "missing"
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return [
        Finding("dltc", "ok", __version__),
        Finding("python", state, platform.python_version() + ("" if state == "ok" else "; 3.11 or newer is needed")),
        Finding("system", "ok", system),
    ]


def _packages() -> list[Finding]:
    result: list[Finding] = []
    for name, least in _NEEDED.items():
        version = package_version(name)
        wanted = ".".join(map(str, least))
        if version is None:
            result.append(Finding(name, "missing", f"install it, version {wanted} or newer"))
        elif _numbers(version) < least:
            result.append(Finding(name, "missing", f"{version} is too old: {wanted} or newer is needed"))
        else:
            result.append(Finding(name, "ok", version))
    return result


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _extras() -> list[Finding]:
    rows = [(name, package_version(name), extra) for name, extra in _OPTIONAL.items()]
    return [
        Finding(name, "ok", version)
        if version
        else Finding(name, "optional", f'not installed; pip install "dltc[{extra}]"')
        for name, version, extra in rows
    ]


def _cuda() -> Finding:
    """The driver and torch's build, from files and metadata; torch itself is not asked."""
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    version = package_version("torch") or ""
    local = version.partition("+")[2]
    build = "a CPU build of torch" if local == "cpu" else f"torch build {local or 'unknown'}"
    if driver and local != "cpu":
        return Finding("cuda", "ok", f"NVIDIA driver found, {build}")
    reason = f"NVIDIA driver found, but {build}" if driver else "no NVIDIA driver; models run on the CPU"
    return Finding("cuda", "optional", reason)


def _compiler() -> Finding:
    """The C compiler that the cpu target uses."""
    for name in filter(None, (os.environ.get("CC"), "cc", "gcc", "clang")):
        path = shutil.which(name)
        if path is None:
            continue
        try:
            done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return Finding("C compiler", "ok", done.stdout.splitlines()[0] if done.stdout else path)
    return Finding("C compiler", "optional", "none found (cc, gcc, clang, $CC); the torch target works without")


def _cache() -> Finding:
    try:
        return Finding("cache", "ok", str(private_folder(cache_folder())))
    except CacheError as error:
        return Finding("cache", "missing", str(error))


def _folder() -> Finding:
    here = Path.cwd()
    if os.access(here, os.W_OK):
        return Finding("folder", "ok", f"{here} can be written")
    return Finding("folder", "missing", f"{here} cannot be written: runs go to ./runs")
