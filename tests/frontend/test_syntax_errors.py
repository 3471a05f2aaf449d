"""What a mistaken spec is told: the code, the place, the fix; and all of its mistakes in one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from dltc.compiler.codes import CODES
from dltc.compiler.diagnostics import Diagnostic, Findings, Span
from dltc.compiler.frontend import nodes as n
from dltc.compiler.frontend.parse import parse_text

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


def error(text: str, block: str = "model") -> Diagnostic:
    found = errors_of(text, block)
    assert len(found) == 1, [e.message for e in found]
    return found[0]


def marked(diagnostic: Diagnostic, text: str, block: str = "model") -> str:
    assert diagnostic.span is not None
    return wrapped(text, block)[diagnostic.span.start : diagnostic.span.end]


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


# ---------------------------------------------------------------- errors


def test_all_independent_errors_of_a_file_come_in_one_run() -> None:
    text = """dlt 1
model M {
  axis hid = = 3
  parm W ~ Flat()
  input x[hid
  h = a +
  s = b × c
  ok = 1
  learn {
    W = Adam()
  }
  train { epoch 3; batch = 4 }
}
rule R() { w <- w }
"""
    file, found = parse(text)
    codes = [(d.code, text.count("\n", 0, d.span.start) + 1 if d.span else 0) for d in found]
    assert codes == [
        ("E0110", 3),
        ("E0111", 4),
        ("E0107", 5),
        ("E0110", 6),
        ("E0104", 7),
        ("E0110", 10),
        ("E0701", 12),
        ("E0110", 12),
        ("E0110", 14),
    ]
    model = file.body[0]
    kinds = [type(s).__name__ for s in lines(model)]
    assert kinds == ["Broken"] * 5 + ["Equation", "LearnBlock", "TrainBlock"]
    assert [s.names for s in lines(model) if isinstance(s, n.Broken)] == [("hid",), ("W",), ("x",), ("h",), ("s",)]
    assert isinstance(file.body[1], n.Broken) and file.body[1].names == ("R",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("param W[a b] ~ Flat()", ("W",)),
        ("axis a = , b, c = (", ("a", "b", "c")),
        ("let T[a = 3, u = 2 2", ("T", "u")),
        ("h[t] = z[t", ("h",)),
        ("h ~ 3", ()),
        ("foo bar", ()),
    ],
)
def test_a_broken_statement_names_what_it_would_declare(text: str, expected: tuple[str, ...]) -> None:
    file, found = parse(wrapped(text, "model"))
    broken = [x for x in walk(file) if isinstance(x, n.Broken)]
    assert found
    assert set(expected) <= set(broken[0].names)
    assert len(broken[0].names) <= len(expected) + 1


@pytest.mark.parametrize(
    ("block", "text", "word", "help"),
    [
        ("model", "parm W ~ Flat()", "parm", "did you mean `param`?"),
        ("model", "leran { }", "leran", "did you mean `learn`?"),
        ("file", "modle M { }", "modle", "did you mean `model`?"),
        ("model", "foo", "foo", "an equation is written `foo = ...`"),
        ("model", "if x > 0 { }", "if", "there is no `if`: write `where(condition, a, b)`"),
        ("data", "tset 0.2", "tset", "did you mean `test`?"),
        ("rule", "forwrd w", "forwrd", "did you mean `forward`?"),
    ],
)
def test_unknown_statements(block: str, text: str, word: str, help: str) -> None:
    found = error(text, block)
    assert (found.code, marked(found, text, block), found.help) == ("E0111", word, help)


def test_unknown_settings() -> None:
    found = error("epoch 3", "train")
    assert (found.code, marked(found, "epoch 3", "train"), found.help) == ("E0701", "epoch", "did you mean `epochs`?")
    assert error("lr = 0.1", "train").code == "E0701"


@pytest.mark.parametrize(
    ("block", "text", "word", "place"),
    [
        ("file", "param W ~ Flat()", "param", "`model`"),
        ("file", "h = 3", "h", "`model`"),
        ("file", "train { }", "train", "`model`"),
        ("model", "batch 32", "batch", "`train`"),
        ("model", "use std.layers (A)", "use", "the file"),
        ("model", "model N { }", "model", "the file"),
        ("model", "variance 1", "variance", "`rule`"),
        ("circuit", 'data from npz("f") { }', "data", "`model`"),
        ("rule", "param W ~ Flat()", "param", "`model`"),
        ("rule", "y ~ Flat()", "y ~ Flat()", "`model`"),
        ("data", "epochs 3", "epochs", "`train`"),
        ("model", "dlt 1", "dlt", "the first line"),
    ],
)
def test_statements_in_a_wrong_place(block: str, text: str, word: str, place: str) -> None:
    found = error(text, block)
    assert (found.code, marked(found, text, block)) == ("E0112", word)
    assert found.help is not None
    assert place in found.help


def test_statements_inside_a_misplaced_or_misspelt_block_are_read_too() -> None:
    assert [e.code for e in errors_of("modle M { axis a b; h = 2x }", "file")] == ["E0111", "E0110", "E0110"]
    assert [e.code for e in errors_of("train { epoch 3 }", "file")] == ["E0112", "E0701"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("param init ~ Flat()", "init"),
        ("axis a = 1, in = 3", "in"),
        ("state = 3", "state"),
        ("h = 2 * start", "start"),
        ("let param = 3", "param"),
        ("h[axis] = 1", "axis"),
        ("h = f(learn)", "learn"),
        ("input x: model", "model"),
        ("param ~ Flat()", "param"),
    ],
)
def test_reserved_words(text: str, word: str) -> None:
    found = error(text)
    assert (found.code, marked(found, text)) == ("E0113", word)


@pytest.mark.parametrize(("block", "text"), [("rule", "forward = 3"), ("rule", "keep <- 3"), ("model", "init = 3")])
def test_words_that_begin_a_statement_here_are_no_names(block: str, text: str) -> None:
    assert error(text, block).code == "E0113"


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("param W ~ Flat() in positive", "the domain stands before the prior", "in positive"),
        ("param W init 0 ~ Flat()", "the prior stands before `init`", "~ Flat()"),
        ("param W ~ Flat() init 0 init 1", "`init` is written twice", "init 1"),
        ("latent z ~ Flat() init 0", "a latent has no `init`", "init 0"),
        ("param a.b ~ Flat()", "a name that is declared here has no dot", "a.b"),
        ("axis p = (a.b, c)", "`a.b` is not the name of an axis", "a.b"),
    ],
)
def test_what_the_grammar_allows_and_the_language_does_not(text: str, message: str, at: str) -> None:
    found = error(text)
    assert (found.code, found.message, marked(found, text)) == ("E0110", message, at)
    assert found.help is not None or "axis" in message


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("param W ~ Flat() initial 0", "`initial` is not a word that can stand here", "initial"),
        ("param W ~ Flat() init 0 frozn", "`frozn` is not a word that can stand here", "frozn"),
        ("h = z[t-1] strt 0", "`strt` is not a word that can stand here", "strt"),
        ("let a", "something is missing after `a`", "a"),
        ("param", "a name is missing after `param`", "param"),
        ("axis a b", "`b` cannot stand here", "b"),
        ("output 3", "`3` stands where a name is expected", "3"),
        ("h = f(a, *)", "`*` stands where a value is expected", "*"),
        ("h = a init 0", "`init` cannot stand here", "init"),
        ("axis a = 1 input x", "a new statement begins here, in the same line", "input"),
        ("h = a + init 0", "nothing stands between `+` and `init`", "init"),
        ("+ 3", "a newline ends a statement: this line does not go on with the one above", "+"),
        ("3 = h", "a statement begins with a word", "3"),
    ],
)
def test_messages_without_a_row_in_the_table(text: str, message: str, at: str) -> None:
    found = error(text)
    assert (found.code, found.message, marked(found, text)) == ("E0110", message, at)


def test_no_message_shows_the_machinery() -> None:
    """No names of terminals, states or rules, whatever is cut out of a correct file."""
    texts = [EVERYTHING[:i] + EVERYTHING[i + 7 :] for i in range(10, len(EVERYTHING), 151)]
    for text in texts:
        for found in parse(text)[1]:
            shown = f"{found.message} {found.help} {found.label}"
            assert not any(
                word in shown for word in ("IDENT", "NUMBER", "LPAR", "RSQB", "$END", "__", "Token", "_decl")
            )
            assert found.code in CODES
            assert found.span is not None and found.span.start <= found.span.end <= len(text)


def test_a_line_that_goes_on_is_one_error() -> None:
    assert [e.message for e in errors_of("h = 3 +\n  4 * x\nk = 1")] == ["nothing follows `+`"]
    assert [e.help for e in errors_of("h = 3\n  + 4 * x\nk = 1")] == ["put the whole expression in parentheses"]


@pytest.mark.parametrize(
    "text", ["1e999999", "1e309", "9223372036854775808", "1" * 10_000, "0" * 9_999 + "9" * 30, "1e-400"]
)
def test_numbers_that_cannot_be_represented(text: str) -> None:
    found = error(f"a = {text}")
    assert found.code == "E0114"
    assert marked(found, f"a = {text}") == text
    assert found.help is not None


# ---------------------------------------------------------------- braces


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("dlt 1\nmodel M\n  axis a = 1\n}\n", "the `{` of this `model` is missing", "model M"),
        ("dlt 1\nmodel M\n  axis a = 1\nmodel N { axis b = 1 }\n", "the `{` of this `model` is missing", "model M"),
        ("dlt 1\nmodel M", "the `{` of this `model` is missing", "model M"),
        ("dlt 1\nmodel M {\n learn\n  a : B()\n }\n}", "the `{` of this `learn` is missing", "learn"),
        ("dlt 1\nmodel M\n\n# c\n{\n  axis a = 1\n}\n", "this `{` must stand in the line of its `model`", "{"),
        ("dlt 1\nmodel M { axis a { } }", "`axis` takes no block", "{"),
        ("dlt 1\nmodel M { h = 1 { } }", "this statement takes no block", "{"),
        ("dlt 1\nmodel M { h = { } }", "nothing follows `=`", "="),
        ("dlt 1\n{ axis a = 1 }", "a block has a header before its `{`", "{"),
    ],
)
def test_missing_and_superfluous_braces(text: str, message: str, at: str) -> None:
    found = parse(text)[1]
    assert [(f.code, f.message) for f in found] == [("E0110", message)]
    assert found[0].span is not None
    assert text[found[0].span.start : found[0].span.end] == at


def test_the_content_of_a_block_without_its_brace_is_kept() -> None:
    file, _ = parse("dlt 1\nmodel M\n  axis a = 1\n  h = 2\n}\n")
    assert [type(s).__name__ for s in lines(file.body[0])] == ["AxisDecl", "Equation"]


@pytest.mark.parametrize(
    "text",
    [
        "dlt 1\nmodel M {\n  learn {\n    a : B()\n  data from c() {\n    x = y\n  }\n  train { batch 3 }\n}\n",
        "dlt 1\nmodel M {\n  axis a = 1\n  learn { a : B() } }\n  h = 1\n  train { batch 3 }\n}\n",
        "dlt 1\nmodel M {\n  axis a = 1\n\nmodel N {\n  axis b = 1\n}\n",
    ],
)
def test_one_wrong_brace_is_one_error(text: str) -> None:
    codes = [d.code for d in parse(text)[1]]
    assert set(codes) <= {"E0107", "E0108"}
    assert len(codes) <= 2
