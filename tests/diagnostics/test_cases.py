"""One case file per code: the text that a user sees, with its caret, is the expectation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dltc.compiler.codes import CODES
from dltc.compiler.diagnostics import render
from dltc.compiler.pipeline import Options, check

CASES = sorted((Path(__file__).parent / "cases").glob("*.dlt"))


def findings(path: Path) -> str:
    """All diagnostics of a spec as the command line prints them."""
    checked = check(path.read_text(encoding="utf-8"), path.name, Options(allow_extern=path.stem != "E0250"))
    sources = checked.findings.sources
    return "\n\n".join(render(d, sources) for d in checked.findings.sorted()) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_case(case: Path, update_golden: bool) -> None:
    expected = case.with_suffix(".expected")
    text = findings(case)
    if update_golden:
        expected.write_text(text, encoding="utf-8")
    assert expected.exists(), f"no expected text beside {case.name}: run with --update-golden and read what it wrote"
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", [c for c in CASES if c.stem != "several"], ids=lambda p: p.stem)
def test_case_shows_its_code(case: Path) -> None:
    """The file is named after the code it is there for, and every finding has a place and an explanation."""
    text = findings(case)
    assert f"{'warning' if case.stem[0] == 'W' else 'error'}[{case.stem[:5]}]" in text
    for header in re.findall(r"^(?:error|warning).*$", text, flags=re.MULTILINE):
        assert re.search(r":\d+:\d+$", header), header


def test_every_code_of_the_front_end_has_a_case() -> None:
    """Codes of text and syntax have their own tests; those of files need a folder and are tested with the commands."""
    covered = {c.stem[:5] for c in CASES}
    elsewhere = {c for c in CODES if c.startswith("E01")} | {
        "E0219",
        "E0241",
        "E0606",
        "E0607",
        "E0608",
        "E0612",
        "W0601",
    }
    assert sorted(set(CODES) - covered - elsewhere) == []


def test_a_misspelt_declaration_is_one_error() -> None:
    """What it would have declared is known, so that its readers are not blamed."""
    text = "dlt 1\nmodel M {\n  input x\n  parm a ~ Normal(0, var = 1)\n  constant b = 3\n  h = a * x + b\n}\n"
    assert [d.code for d in check(text, "m.dlt").findings.sorted()] == ["E0111", "E0111"]


def test_a_failed_line_of_a_rule_is_one_error() -> None:
    rule = "rule Mine(lr) on real {\n  state m = nope\n  let u = nupe\n  w <- w - lr * grad * u + m\n}\n"
    text = f"dlt 1\n{rule}model M {{\n  input x\n  param a ~ Flat() init 0\n  h = a * x\n  learn {{ a : Mine(lr = 1) }}\n}}\n"
    assert [d.message for d in check(text, "m.dlt").findings.errors] == ["unknown name `nope`", "unknown name `nupe`"]


def test_a_line_may_allow_its_warning() -> None:
    text = "dlt 1\nmodel M {\n  axis i = 3COMMENT\n  input x\n  h = x\n}\n"
    comments = {
        "": 1,
        "  # dltc: allow W0201": 0,
        "  # dltc: allow W0202, W0201 not yet": 0,
        "  # dltc: allow W0202": 1,
    }
    for comment, count in comments.items():
        assert len(check(text.replace("COMMENT", comment), "m.dlt").findings.items) == count


def test_shipped_specs_raise_no_warnings() -> None:
    root = Path(__file__).resolve().parents[2]
    for path in sorted((root / "specs").glob("*.dlt")):
        assert check(path.read_text(encoding="utf-8"), path.name).findings.items == []


def test_broken_names_raise_no_second_error() -> None:
    """Reading a name whose declaration is wrong is not the reader's mistake."""
    text = findings(Path(__file__).parent / "cases" / "several.dlt")
    assert text.count("error[") == 5
    assert ":9:" not in text
