"""The formatter on generated and mangled specs: formatting twice changes nothing more, and the meaning never."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from spec_layout import messy
from spec_strategy import Spec, corpus, specs

from dltc.compiler.diagnostics import Findings
from dltc.compiler.diff import diff_artefacts
from dltc.compiler.format import WIDTH, format_text
from dltc.compiler.frontend.nodes import File
from dltc.compiler.frontend.parse import parse_text
from dltc.compiler.pipeline import compile_spec

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = (ROOT / "tests" / "conformance" / "everything.dlt").read_text(encoding="utf-8")


def nodes(text: str) -> File:
    """The nodes of a text; the keys of reported metrics are their text."""
    findings = Findings()
    file = parse_text(text, "a.dlt", findings)
    assert not findings.errors, f"{findings.errors[0].message}\n{text}"
    return file


def formatted(text: str) -> str:
    """The layout, checked: it is one, and it reads as before."""
    done = format_text(text).text
    assert done is not None
    assert format_text(done).text == done
    assert done.endswith("\n") and not done.endswith("\n\n")
    assert "\r" not in done and "\t" not in done and "\n\n\n" not in done
    assert not any(row != row.rstrip() for row in done.splitlines())
    return done


def same_nodes(a: str, b: str) -> bool:
    """Whether two texts are read alike; metrics are compared by their nodes."""
    return str(nodes(a)).count("Broken") == 0 and _bare(nodes(a)) == _bare(nodes(b))


def _bare(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_bare, value))
    if not hasattr(value, "__dataclass_fields__"):
        return value
    left_out = ("span", "name_span", "texts", "key_span")
    return type(value), tuple(_bare(getattr(value, f)) for f in value.__dataclass_fields__ if f not in left_out)


def check(spec: Spec) -> None:
    done = formatted(spec.text)
    assert same_nodes(spec.text, done)
    assert diff_artefacts(compile_spec(spec.text, "a.dlt"), compile_spec(done, "b.dlt")).changes == []
    mangled = messy(spec.text, Random(spec.seed))
    assert same_nodes(spec.text, formatted(mangled))


def test_generated_specs() -> None:
    for spec in corpus(91, 6):
        check(spec)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(specs())
def test_any_spec(spec: Spec) -> None:
    check(spec)


def test_the_whole_language() -> None:
    done = formatted(EVERYTHING)
    assert same_nodes(EVERYTHING, done)


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_language_mangled(seed: int) -> None:
    mangled = messy(EVERYTHING, Random(seed))
    assert same_nodes(EVERYTHING, formatted(mangled))


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(st.integers(0, 2**32))
def test_any_mangling(seed: int) -> None:
    mangled = messy(EVERYTHING, Random(seed))
    done = formatted(mangled)
    assert same_nodes(EVERYTHING, done)
    assert mangled.count("# a comment") == done.count("# a comment")
    assert mangled.count("# inside") == done.count("# inside")


def test_long_lines_break_where_they_can() -> None:
    long = " + ".join(f"relu(a{k}[i, j] * b{k}[j])" for k in range(30))
    text = f"dlt 1\nmodel M {{\n  x[i] = f({long})\n  y = {' + '.join(f'z{k}' for k in range(60))}\n}}\n"
    rows = formatted(text).splitlines()
    assert all(len(row) <= WIDTH for row in rows if not row.startswith("  y"))
    assert len(rows[2]) > WIDTH - 30
    assert len(rows[-2]) > WIDTH  # nothing to break inside of
