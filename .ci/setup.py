"""Set up `.venv` for `make`: torch first (refused when it would be a CUDA build for a machine without a GPU), then the
other packages at the versions of constraints.txt, then this checkout in editable mode.  Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".dltc-setup"
PYTHON = VENV / "bin" / "python"
OLDEST_PIP = (23, 2)  # reads package metadata without downloading the package


def main() -> int:
    wanted = digest()
    if STAMP.exists() and STAMP.read_text().strip() == wanted:
        STAMP.touch()
        return 0
    try:
        if not PYTHON.exists():
            say("creating .venv")
            run([sys.executable, "-m", "venv", str(VENV)])
        if pip_version() < OLDEST_PIP:
            pip("install", "--upgrade", "pip")
        install()
    except subprocess.CalledProcessError as error:
        return fail(f"set-up failed: {' '.join(map(str, error.cmd))}")
    except Refused as error:
        return fail(str(error))
    STAMP.write_text(wanted + "\n")
    return 0


def install() -> None:
    torch = next(line for line in constraints() if re.match(r"torch\s*==", line))
    if not satisfied(torch):
        if platform.system() == "Linux" and not has_gpu() and not os.environ.get("ANY_TORCH"):
            refuse_cuda(torch)
        say(f"installing {torch}")
        pip("install", torch, "-c", "constraints.txt")
    say("installing the other packages")
    pip("install", "-c", "constraints.txt", "setuptools", *requirements())
    pip("install", "--no-deps", "--no-build-isolation", "-e", ".")
    link()


def requirements() -> list[str]:
    """Dependencies and all extras of pyproject.toml, but torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]
    return [item for item in named if not re.match(r"torch\b", item)]


def constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def digest() -> str:
    """Hash of everything that the set-up depends on, the checkout's place included."""
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt", ".ci/setup.py")]
    return hashlib.sha256(b"\0".join([*parts, str(ROOT).encode(), sys.version.encode()])).hexdigest()


class Refused(Exception):
    """The set-up stops here; the message says why and what to do."""


def has_gpu() -> bool:
    """Whether an NVIDIA driver is there."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def satisfied(torch: str) -> bool:
    """Whether the pinned torch is installed already, in whatever build."""
    code = "from importlib.metadata import version; print(version('torch'))"
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip().partition("+")[0] == torch.partition("==")[2].strip()


def refuse_cuda(torch: str) -> None:
    """Ask pip what it would install, from metadata alone, and refuse a build that brings CUDA libraries.

    Raises:
        Refused: it would.
    """
    command = [PYTHON, "-m", "pip", "install", "--no-input", "--quiet", "--dry-run", "--no-deps", "--ignore-installed"]
    done = subprocess.run([*command, "--report", "-", torch], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise Refused(f"pip finds no {torch} for this machine: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    (found,) = json.loads(done.stdout)["install"]
    if brings_cuda(found["metadata"]):
        raise Refused(
            f"pip would fetch the CUDA build of {torch} (several gigabytes), but this machine has no NVIDIA GPU: point pip at "
            "a CPU build (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL), or run `make ANY_TORCH=1 ..` to take it all the same"
        )


def brings_cuda(metadata: dict[str, object]) -> bool:
    """Whether a torch of this metadata needs CUDA packages (extras do not count); `+cpu` versions never do."""
    if str(metadata["version"]).endswith("+cpu"):
        return False
    needed = metadata.get("requires_dist") or []
    return any(re.match(r"(nvidia|cuda)[-_]", str(item)) and "extra ==" not in str(item) for item in needed)


def pip_version() -> tuple[int, ...]:
    done = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:2])


def pip(*arguments: str) -> None:
    run([str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq", *arguments])


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT, stdin=subprocess.DEVNULL)


def link() -> None:
    """`.link/dltc` is this checkout: type checkers cannot follow an editable install."""
    folder = ROOT / ".link"
    folder.mkdir(exist_ok=True)
    place = folder / "dltc"
    if not place.is_symlink():
        place.symlink_to("..", target_is_directory=True)


def say(text: str) -> None:
    print(f"dltc set-up: {text}", flush=True)


def fail(text: str) -> int:
    print(f"dltc set-up: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
