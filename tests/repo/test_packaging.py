"""The package is what pyproject says: folders, one name per file, and a wheel that works elsewhere."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("cli", "compiler", "grammar", "runtime", "specs")
SKIP = shutil.ignore_patterns(
    ".venv", ".git", ".link", "runs", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "tests"
)


@pytest.fixture(scope="module")
def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def folders() -> set[str]:
    """Packages that the folders make."""
    found = {"dltc"}
    for top in SHIPPED:
        for path in (ROOT / top).rglob("*.py"):
            found.add(".".join(["dltc", *path.parent.relative_to(ROOT).parts]))
    return found


def test_the_package_list_equals_the_folders(settings):
    packages = settings["tool"]["setuptools"]["packages"]
    assert sorted(packages) == packages
    assert set(packages) == folders()
    assert all(
        (ROOT / name.removeprefix("dltc").replace(".", "/").lstrip("/") / "__init__.py").exists() for name in packages
    )


def test_only_the_two_files_of_the_package_stand_at_the_root():
    assert {p.name for p in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_tests_are_no_package():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_root_refuses_a_second_name():
    spec = importlib.util.spec_from_file_location("main_again", ROOT / "__init__.py")
    with pytest.raises(ImportError, match="must be imported as `dltc`, not as `main_again`"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


IMPORT_EVERYTHING = """
import importlib, os, pkgutil, sys
import dltc
for top in sys.argv[1:]:
    package = importlib.import_module("dltc." + top)
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(info.name)
root = os.path.realpath(os.path.dirname(dltc.__file__)) + os.sep
seen = {}
for name, module in list(sys.modules.items()):
    path = os.path.realpath(getattr(module, "__file__", None) or "-")
    if path.startswith(root) and os.path.exists(path) and "site-packages" not in path:
        seen.setdefault(path, []).append(name)
assert len(seen) > 40, len(seen)
print([names for names in seen.values() if len(names) > 1 or not names[0].startswith("dltc")])
"""


def test_no_file_is_loaded_under_two_names():
    command = [sys.executable, "-c", IMPORT_EVERYTHING, *SHIPPED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_the_tests_see_one_copy_too():
    seen: dict[str, list[str]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).resolve().is_relative_to(ROOT) and ".venv" not in Path(file).resolve().parts:
            seen.setdefault(os.path.realpath(file), []).append(name)
    assert {path: names for path, names in seen.items() if len(names) > 1} == {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from a copy of the tree, in a folder not called dltc."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "some-checkout"
    shutil.copytree(ROOT, tree, ignore=SKIP)
    if not (tree / "README.md").exists():
        (tree / "README.md").write_text("# dltc\n")
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_exactly_what_it_should(wheel, settings):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    info = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    expected = {"dltc/__init__.py", "dltc/__main__.py"}
    data = settings["tool"]["setuptools"]["package-data"]
    for package in settings["tool"]["setuptools"]["packages"][1:]:
        folder = ROOT / Path(*package.split(".")[1:])
        files = [p for pattern in ["*.py", *data.get(package, [])] for p in folder.glob(pattern)]
        expected |= {f"dltc/{path.relative_to(ROOT).as_posix()}" for path in files}
    assert names - info == expected
    assert {name.split("/", 1)[1] for name in info} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE"
    }  # fmt: skip


def test_everything_a_package_needs_at_run_time_is_declared(settings):
    """Every grammar, template and spec beside the sources is matched by a package-data pattern."""
    data = settings["tool"]["setuptools"]["package-data"]
    declared = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in (ROOT / Path(*package.split(".")[1:])).glob(pattern)
    }
    kinds = {".js", ".lark", ".toml", ".dlt", ".jinja", ".txt"}
    present = {p for top in SHIPPED for p in (ROOT / top).rglob("*") if p.suffix in kinds}
    assert present == declared


def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    """Installed without dependencies (those come from this environment), used from another folder on a copied spec."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    spec = (ROOT / "tests" / "cli" / "conftest.py").read_text().split('"""')[3]
    (tmp_path / "copied.dlt").write_text(spec)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PATH": os.defpath}
        )

    where = run(str(python), "-c", "import dltc; print(dltc.__file__)")
    assert Path(where.stdout.strip()) == site / "dltc" / "__init__.py", where.stderr
    dltc = str(place / "bin" / "dltc")
    done = run(dltc, "check", "copied.dlt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run(dltc, "show", "copied.dlt")
    assert (done.returncode, "class Digits" in done.stdout) == (0, True), done.stderr
