"""Long, deep and random texts: read or refused, in time, and never with an exception."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dltc.compiler.codes import CODES
from dltc.compiler.diagnostics import Diagnostic, Findings, Span, render
from dltc.compiler.frontend import nodes as n
from dltc.compiler.frontend.engine import statement_engine
from dltc.compiler.frontend.parse import parse_text, parse_whole

EVERYTHING = (Path(__file__).parent.parent / "conformance" / "everything.dlt").read_text(encoding="utf-8")
HEADERS = {
    "model": "model M",
    "circuit": "circuit C()",
    "rule": "rule R() on real",
    "learn": "model M { learn",
    "infer": "model M { infer",
    "data": 'model M { data from npz("f.npz")',
    "train": "model M { train",
}


def parse(text: str) -> tuple[n.File, list[Diagnostic]]:
    findings = Findings()
    return parse_text(text, "x.dlt", findings), findings.sorted()


def wrapped(text: str, block: str) -> str:
    if block == "file":
        return f"dlt 1\n{text}\n"
    header = HEADERS[block]
    return f"dlt 1\n{header} {{\n{text}\n" + "}" * (header.count("{") + 1) + "\n"


def lines(node: n.Stmt) -> tuple[n.Stmt, ...]:
    return getattr(node, "body", None) or getattr(node, "lines", ())


def errors_of(text: str, block: str = "model") -> list[Diagnostic]:
    return parse(wrapped(text, block))[1]


def walk(node: Any) -> Iterator[Any]:
    """Every node of a tree, not recursive."""
    todo = [node]
    while todo:
        found = todo.pop()
        if isinstance(found, tuple):
            todo += found
        elif is_dataclass(found) and not isinstance(found, Span):
            yield found
            todo += [getattr(found, f.name) for f in fields(found)]


# ---------------------------------------------------------------- size, speed, and no crash


def test_long_chains_do_not_exhaust_the_stack() -> None:
    for op in ("+", "-", "*", "/", "//", "%"):
        text = wrapped("h = " + f" {op} ".join(f"a{i}" for i in range(5000)), "model")
        file, errors = parse(text)
        assert errors == []
        value: Any = lines(file.body[0])[0].value  # type: ignore[attr-defined]
        for i in range(4999, 0, -1):
            assert value.op == op and value.right.name == f"a{i}"
            value = value.left
        again = parse_text("\n".join(["dlt 1", "", text.split("\n", 1)[1]]), "y.dlt", Findings())
        assert sum(1 for _ in walk(again)) == sum(1 for _ in walk(file))


def test_long_flat_lists_are_read() -> None:
    many = ", ".join(f"a{i}" for i in range(5000))
    for text in (
        f"h = f({many})",
        f"let t[i] = [{many}]",
        f"h = w[{many}]",
        f"axis {many}",
        "h = " + " < ".join(["a"] * 5000),
    ):
        assert errors_of(text) == []
    assert errors_of("h = x" + " |> f" * 199) == []
    assert [e.code for e in errors_of("h = x" + " |> f" * 5000)] == ["E0106"], "a pipe is a call in a call"


@pytest.mark.parametrize(
    "text", ["-" * 5000 + "x", "x^" * 5000 + "x", "2^" + "-" * 3000 + "x", "f(-" * 99 + "x" + ")" * 99]
)
def test_deep_expressions_are_refused_or_read(text: str) -> None:
    codes = [e.code for e in errors_of(f"h = {text}")]
    assert codes == ([] if text.startswith("f") else ["E0106"])


def test_nested_parentheses_up_to_the_limit() -> None:
    assert errors_of("h = " + "(" * 198 + "x" + ")" * 198) == []
    assert errors_of("h = " + "-(" * 198 + "x" + ")" * 198) == []
    assert [e.code for e in errors_of("h = " + "(" * 5000 + "x" + ")" * 5000)] == ["E0106"]


def test_a_large_file_is_read_in_time() -> None:
    body = "\n".join(f"  h{i}[hid] = g[hid] * relu(W[hid, pix] * x[pix] + b[hid])" for i in range(2000))
    began = time.perf_counter()
    file, errors = parse(f"dlt 1\nmodel M {{\n{body}\n}}\n")
    assert errors == []
    assert len(lines(file.body[0])) == 2000
    assert time.perf_counter() - began < 2000 * 0.005, "a statement takes well below a millisecond on an idle machine"


def test_repeated_text_is_not_parsed_again() -> None:
    text = wrapped("h = f(a) + 12345", "model")
    parse(text)
    engine = statement_engine()
    engine._lark, kept = None, engine._lark  # would fail when used
    try:
        assert parse(text)[1] == []
        assert parse(text.replace("h =", "   h ="))[1] == []
    finally:
        engine._lark = kept


WORDS = """
dlt 1 model circuit rule learn infer data from train axis input param latent let state probe output assert in init
sparse where frozen start as on use extern op over every report batch 32 0.5 1e999 W x y' a.b * enc.* ( ) [ ] { } ,
; : = == ~ <- -> < >= + - / // % ^ .. . ' " "t" # ## × ! @ ? && := ** if | |> Normal(0,var=1)
"""
TOKENS = [*WORDS.split(), "dlt 1", "\n", "\n", "\n", "  ", "\u202e", "\0"]


@settings(max_examples=300, deadline=10_000, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map(" ".join), st.sampled_from([*HEADERS, "file"]))
@example("", "model")
def test_no_text_of_tokens_crashes(text: str, block: str) -> None:
    check_survives(wrapped(text, block))


@settings(max_examples=150, deadline=10_000, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_mutation_of_a_correct_file_crashes(data: st.DataObject) -> None:
    starts = [i for i, c in enumerate(EVERYTHING) if c == "\n"]
    low = data.draw(st.sampled_from(starts))
    text = EVERYTHING[low : low + 600]
    for _ in range(data.draw(st.integers(1, 4))):
        i = data.draw(st.integers(0, len(text)))
        j = i + data.draw(st.integers(0, 5))
        text = text[:i] + data.draw(st.sampled_from(["", *TOKENS])) + text[j:]
    check_survives("dlt 1\nmodel M {" + text)


@settings(max_examples=200, deadline=10_000)
@given(st.text(max_size=120))
def test_no_text_crashes(text: str) -> None:
    check_survives(text)
    check_survives("dlt 1\nmodel M {\n" + text + "\n}")


def check_survives(text: str) -> None:
    """No exception, spans inside the text, every message can be shown; and what is accepted is accepted both ways."""
    findings = Findings()
    file = parse_text(text, "x.dlt", findings)
    for found in findings.items:
        assert found.span is not None
        assert 0 <= found.span.start <= found.span.end <= len(text)
        assert found.code in CODES
        assert render(found, findings.sources)
    for node in walk(file):
        if hasattr(node, "span"):
            assert 0 <= node.span.start <= node.span.end <= len(text)
    again = parse_whole(text, "x.dlt", Findings())
    assert again == (None if findings.items else file)
