"""Data flows one way: who may import whom, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("frontend", "graph", "derive", "optimize", "plan", "render")
LEAVES = {"diagnostics", "codes", "version"}  # files of compiler/ that every stage may import
BESIDE = {
    "cost": {"frontend", "graph", "plan"},
    "diff": {"frontend", "graph", "derive", "optimize"},
    "draw": {"frontend", "graph", "plan", "render"},
    "format": {"frontend"},
    "verify": {"frontend", "graph", "optimize"},
}  # folders outside the flow, and what they may read


def imports(path: Path) -> Iterator[str]:
    """Absolute names of everything that a file of the package imports, type-only imports included."""
    package = ["dltc", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{name}.{alias.name}" for alias in node.names)


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def violations(paths: list[Path], allowed) -> list[str]:
    return [f"{path.relative_to(ROOT)} imports {name}" for path in paths for name in imports(path) if not allowed(name)]


def test_the_reader_of_imports_sees_them(tmp_path):
    names = set(imports(ROOT / "cli" / "check.py"))
    assert {"sys", "click", "dltc.compiler.diagnostics.SpecError", "dltc.cli.console.Console"} <= names


@pytest.mark.parametrize("stage", [*ORDER, *BESIDE])
def test_each_stage_imports_only_stages_before_it(stage):
    earlier = set(ORDER[: ORDER.index(stage)]) if stage in ORDER else BESIDE[stage]

    def allowed(name: str) -> bool:
        parts = name.split(".")
        if parts[:2] == ["dltc", "grammar"]:
            return stage == "frontend"
        if parts[:2] != ["dltc", "compiler"]:
            return parts[0] != "dltc"
        return len(parts) > 2 and parts[2] in earlier | LEAVES | {stage}

    paths = sources(f"compiler/{stage}")
    assert paths
    assert violations(paths, allowed) == []


def test_every_folder_of_the_compiler_has_a_place_in_the_order():
    folders = {p.name for p in (ROOT / "compiler").iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == {*ORDER, *BESIDE}


def test_the_leaves_import_nothing_of_the_package_but_each_other():
    paths = [ROOT / "compiler" / f"{name}.py" for name in sorted(LEAVES)]
    assert violations(paths, lambda n: not n.startswith("dltc") or n.split(".")[2] in LEAVES) == []


def test_the_compiler_knows_neither_torch_nor_what_runs_models():
    heavy = {"torch", "sklearn", "click", "rich"}
    outside = ("dltc.runtime", "dltc.cli")
    paths = sources("compiler")
    assert violations(paths, lambda n: n.split(".")[0] not in heavy and not n.startswith(outside)) == []


def test_the_runtime_never_imports_the_compiler():
    assert violations(sources("runtime"), lambda n: not n.startswith("dltc") or n.startswith("dltc.runtime")) == []


def test_imports_inside_the_package_are_relative():
    absolute = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("compiler", "cli", "runtime", "grammar")
        for path in sources(folder)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "dltc")
        or (isinstance(node, ast.Import) and any(a.name.split(".")[0] == "dltc" for a in node.names))
    ]
    assert absolute == []


@pytest.mark.parametrize("library", ["sklearn", "rich"])
def test_untyped_or_optional_libraries_are_touched_in_one_file(library):
    users = [
        path.name
        for folder in ("compiler", "cli", "runtime")
        for path in sources(folder)
        if any(n.split(".")[0] == library for n in imports(path)) or f'"{library}.' in path.read_text(encoding="utf-8")
    ]
    assert len(users) == 1
