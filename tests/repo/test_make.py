"""Set-up, constraints and continuous integration."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def setup():
    spec = importlib.util.spec_from_file_location("dltc_setup_script", ROOT / ".ci" / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("version", "needs", "expected"),
    [
        ("2.13.0", ["filelock", "nvidia-cublas==13.1; platform_system == 'Linux'"], True),
        ("2.13.0", ["cuda-toolkit[cublas]==13; platform_system == 'Linux'", "sympy"], True),
        ("2.13.0+cu130", ["nvidia_cudnn_cu13==9"], True),
        ("2.13.0+cpu", ["filelock", "nvidia-cublas==13.1"], False),
        ("2.13.0", ["filelock", "sympy", "nvidia-ml-py; extra == 'monitor'"], False),
        ("2.13.0", None, False),
    ],
)
def test_cuda_builds_are_recognised_from_metadata(setup, version, needs, expected):
    assert setup.brings_cuda({"version": version, "requires_dist": needs}) is expected


def test_a_cuda_build_is_refused_with_the_way_out(setup, monkeypatch):
    report = '{"install": [{"metadata": {"version": "2.13.0", "requires_dist": ["nvidia-cublas"]}}]}'
    monkeypatch.setattr(setup.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, report, ""))
    with pytest.raises(setup.Refused, match=r"would fetch the CUDA build of torch==2\.13\.0 .*`make ANY_TORCH=1"):
        setup.refuse_cuda("torch==2.13.0")
    monkeypatch.setattr(setup.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 1, "", "no match"))
    with pytest.raises(setup.Refused, match=r"pip finds no torch==2\.13\.0 for this machine: no match"):
        setup.refuse_cuda("torch==2.13.0")


def test_everything_that_is_required_is_pinned(setup):
    pins = {re.split("==", line)[0].lower().replace("_", "-") for line in setup.constraints()}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in setup.constraints())
    names = {re.match(r"[a-zA-Z0-9._-]+", item)[0].lower() for item in setup.requirements()} | {"torch", "setuptools"}
    assert names <= pins
    assert "torch==2.13.0" in setup.constraints()
    assert not any(item.startswith("torch") for item in setup.requirements())


def test_pins_satisfy_the_bounds_of_pyproject(setup):
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    items = [*project["dependencies"], *(i for extra in project["optional-dependencies"].values() for i in extra)]
    pins = {line.split("==")[0].lower(): line.split("==")[1] for line in setup.constraints()}
    for item in items:
        requirement = Requirement(item)
        assert requirement.specifier.contains(pins[requirement.name.lower()]), item


def test_the_set_up_is_repeated_when_its_inputs_change(setup, tmp_path, monkeypatch):
    for name in ("pyproject.toml", "constraints.txt", ".ci/setup.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    first = setup.digest()
    assert setup.digest() == first
    (tmp_path / "constraints.txt").write_text("torch==9\n")
    assert setup.digest() != first


def test_make_has_the_promised_targets():
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^make ([a-z-]+) ", done.stdout, re.MULTILINE))
    assert {"train", "test", "test-all", "lint", "status", "clean", "setup"} <= listed


def test_ci_is_a_script_that_reads_no_input():
    path = ROOT / ".ci" / "run"
    text = path.read_text()
    assert os.access(path, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "exec </dev/null" in text
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_status_counts_what_is_unfinished():
    done = subprocess.run(["make", "-s", "-C", str(ROOT), "status"], capture_output=True, text=True, check=True)
    counts = dict(re.findall(r"^([a-z][a-z -]*): (\d+)$", done.stdout, re.MULTILINE))
    assert set(counts) == {"not compiled yet", "skip", "xfail", "type-ignore", "noqa", "todo"}
    assert int(counts["noqa"]) >= 1


def test_both_pytest_settings_agree():
    import configparser

    ini = configparser.ConfigParser()
    ini.read(ROOT / "tests" / "pytest.ini")
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    other = ini["pytest"]
    assert set(ours["addopts"].split()) - {"--confcutdir=tests"} == set(other["addopts"].split())
    assert ours["markers"] == other["markers"].strip().splitlines()
    assert ours["filterwarnings"] == other["filterwarnings"].strip().splitlines()
    assert (ours["timeout"], ours["xfail_strict"]) == (int(other["timeout"]), other.getboolean("xfail_strict"))


def test_no_registry_host_and_no_machine_path_is_named():
    hosts = re.compile(
        "pypi" + r"\.org|pythonhosted|download\." + r"pytorch|conda\." + r"anaconda|/ho" + "me/|/ro" + "ot/"
    )
    names = ["pyproject.toml", "constraints.txt", "Makefile", ".ci/run", ".ci/setup.py", ".github/workflows/ci.yml"]
    for name in names:
        assert not hosts.search((ROOT / name).read_text()), name
