"""The scanner: nothing is lost, statements are cut where they end, and every lexical mistake has its code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dltc.compiler.diagnostics import Diagnostic, Findings
from dltc.compiler.frontend.parse import parse_text
from dltc.compiler.frontend.reporter import MOST_ERRORS, Reporter
from dltc.compiler.frontend.scan import DEEPEST, LARGEST_TEXT, Item, Scan, Statement, Trivia, pieces, scan_text


def scan(text: str) -> tuple[Scan, list[Diagnostic]]:
    findings = Findings()
    return scan_text(text, Reporter(findings, "x.dlt")), findings.items


def statements(items: list[Item]) -> Iterator[Statement]:
    for item in items:
        if isinstance(item, Statement):
            yield item
            if item.block is not None:
                yield from statements(item.block.items)


def texts(text: str) -> list[str]:
    """The statements (headers included) of a correct text after its edition line."""
    found, errors = scan("dlt 1\n" + text)
    assert errors == []
    return [found.text[s.start : s.end] for s in statements(found.items)][1:]


def only(text: str) -> Diagnostic:
    """The one error of a text, its span checked to lie inside."""
    errors = scan(text)[1]
    assert len(errors) == 1, [e.message for e in errors]
    span = errors[0].span
    assert span is not None
    assert 0 <= span.start <= span.end <= len(text)
    return errors[0]


def marked(error: Diagnostic, text: str) -> str:
    assert error.span is not None
    return text[error.span.start : error.span.end]


# ---------------------------------------------------------------- where statements end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = 2", ["a = 1", "b = 2"]),
        ("a = 1; b = 2 ;; c", ["a = 1", "b = 2", "c"]),
        ("a = 1 # comment; x\nb", ["a = 1", "b"]),
        ("a = f(1,\n   2)\nb", ["a = f(1,\n   2)", "b"]),
        ("a = x[1,\n\n  # why\n 2]  # so\nb", ["a = x[1,\n\n  # why\n 2]", "b"]),
        ("m { a; b }", ["m", "a", "b"]),
        ("m {a}b", ["m", "a", "b"]),
        ("m\t{ n { a } } c", ["m", "n", "a", "c"]),
        ('a = "x;{#" ; b', ['a = "x;{#"', "b"]),
        ("a = 1\r\nb = 2\r\n", ["a = 1", "b = 2"]),
        ("a = 1", ["a = 1"]),
        ("", []),
        ("  \n\t\n# only\n", []),
    ],
)
def test_statements_end_where_the_language_says(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_the_tree_of_blocks() -> None:
    text = "dlt 1\nmodel M {  # top\n  a = 1\n  learn { b : C() }\n}\nrule R { }"
    found, errors = scan(text)
    assert errors == []
    model, rule = [i for i in found.items if isinstance(i, Statement)][1:]
    assert model.block is not None and rule.block is not None
    assert [text[s.start : s.end] for s in model.block.items if isinstance(s, Statement)] == ["a = 1", "learn"]
    assert text[model.block.open or 0] == "{"
    assert model.block.close == text.index("}\nrule")
    assert [i.kind for i in model.block.items if isinstance(i, Trivia)][:3] == ["space", "comment", "newline"]
    assert [i.kind for i in model.block.gap] == ["space"]
    assert all(isinstance(i, Trivia) for i in rule.block.items)


def test_comments_and_blanks_are_trivia_outside_statements() -> None:
    found, _ = scan("dlt 1 # one\n\n  # two\nmodel M {} ; # three")
    kinds = [(i.kind, found.text[i.start : i.end]) for i in found.items if isinstance(i, Trivia) and i.kind != "space"]
    assert kinds == [
        ("comment", "# one"),
        ("newline", "\n"),
        ("newline", "\n"),
        ("comment", "# two"),
        ("newline", "\n"),
        ("semicolon", ";"),
        ("comment", "# three"),
    ]


# ---------------------------------------------------------------- documentation comments


@pytest.mark.parametrize(
    ("text", "doc"),
    [
        ("## one\na = 1", "one"),
        ("##one\n##  two  \na = 1", "one\n two"),
        ("## one\n\n\na = 1", "one"),
        ("## far\n\n## near\na = 1", "near"),
        ("## one\n# aside\na = 1", "one"),
        ("### a ruler, not a text\na = 1", ""),
        ("b = 2 ## after b\na = 1", ""),
        ("## one\nb = 2\na = 1", ""),
        ("## one\nm { }\na = 1", ""),
        ("m {\n## one\n}\na = 1", ""),
    ],
)
def test_documentation_belongs_to_the_next_declaration(text: str, doc: str) -> None:
    found, errors = scan("dlt 1\n" + text)
    assert errors == []
    wanted = [s for s in statements(found.items) if found.text[s.start : s.end] == "a = 1"]
    assert [s.doc for s in wanted] == [doc]


# ---------------------------------------------------------------- nothing is lost

PARTS = st.sampled_from(
    [
        *"(){}[];#\"\n\r\t '=~:<>.,*",
        "\r\n",
        "##",
        "dlt 1\n",
        "model M ",
        "param W",
        "a = 1",
        "\ufeff",
        "é",
        "\u202e",
        "\0",
    ]
)


@settings(max_examples=400, deadline=10_000)
@given(st.lists(PARTS, max_size=60).map("".join) | st.text(max_size=80))
def test_scanning_is_lossless(text: str) -> None:
    found, _ = scan(text)
    assert "".join(pieces(found)) == text


def test_scanning_everything_is_lossless_and_contiguous(everything: str) -> None:
    found, errors = scan(everything)
    assert errors == []
    assert "".join(pieces(found)) == everything
    assert all(piece.strip() == "" or piece[0] in "#;{}" or not piece[0].isspace() for piece in pieces(found))


@pytest.fixture
def everything() -> str:
    from pathlib import Path

    return (Path(__file__).parent.parent / "conformance" / "everything.dlt").read_text(encoding="utf-8")


# ---------------------------------------------------------------- the first line


@pytest.mark.parametrize(
    "text", ["dlt 1\n", "dlt 1", "\n\n  dlt 1\n", "\ufeffdlt 1\n", "dlt 1 # c\n", "dlt 1;", "dlt\t1\r\n"]
)
def test_the_edition_line(text: str) -> None:
    found, errors = scan(text)
    assert (found.edition, errors) == (1, [])


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("model M {}", "m"),
        ("", ""),
        ("# only a comment", "#"),
        ("dlt\n", "dlt"),
        ("dlt one\n", "dlt one"),
        ("dlt 1.0\n", "dlt 1.0"),
        ("DLT 1\n", "DLT 1"),
        ("dlt 1 2\n", "dlt 1 2"),
        ("# first\ndlt 1\n", "dlt 1"),
    ],
)
def test_a_missing_edition(text: str, at: str) -> None:
    error = only(text)
    assert error.code == "E0101"
    assert marked(error, text) == at
    assert error.help is not None
    assert "dlt 1" in error.help or "top" in error.help


def test_statements_after_a_missing_edition_are_still_read() -> None:
    findings = Findings()
    file = parse_text("model M { 3 }", "x.dlt", findings)
    assert [d.code for d in findings.sorted()] == ["E0101", "E0110"]
    assert file.edition == 1


@pytest.mark.parametrize("number", ["2", "0", "99999999999999999999999"])
def test_another_edition(number: str) -> None:
    text = f"dlt {number}\nmodel M {{ junk everywhere"
    found, errors = scan(text)
    assert found.edition is None
    assert "E0102" in [e.code for e in errors]
    assert marked(errors[-1], text) == f"dlt {number}"


def test_an_automotive_log() -> None:
    error = only("DLT\x01\x00\x00junk\x00" * 50)
    assert error.code == "E0103"
    assert "automotive" in error.message


# ---------------------------------------------------------------- characters


@pytest.mark.parametrize(
    ("character", "replacement"),
    [
        ("×", "`*`"),
        ("÷", "`/`"),
        ("−", "`-`"),
        ("→", "`->`"),
        ("←", "`<-`"),
        ("≤", "`<=`"),
        ("²", "`^2`"),
        ("“", '`"`'),
        ("\u00a0", "an ordinary space"),
        ("λ", "`lambda`"),
        ("σ", "`sigma`"),
        ("é", "names consist of the letters"),
    ],
)
def test_characters_that_are_not_ascii_have_a_replacement(character: str, replacement: str) -> None:
    text = f"dlt 1\nmodel M {{ a = b {character} c }}"
    error = only(text)
    assert error.code == "E0104"
    assert marked(error, text) == character
    assert error.help is not None
    assert replacement in error.help


FORBIDDEN = [
    "\0",
    "\x07",
    "\x0b",
    "\x0c",
    "\x1b",
    "\x7f",
    "\x85",
    "\u202e",
    "\u2066",
    "\u200f",
    "\u061c",
    "\u2028",
    "\ufeff",
]


@pytest.mark.parametrize("character", [*FORBIDDEN, "\ud800"], ids=ascii)
@pytest.mark.parametrize("place", ["a = 1 {}", "# {}", "## {}", 'a = "{}"'], ids=["code", "comment", "doc", "text"])
def test_characters_that_may_stand_nowhere(character: str, place: str) -> None:
    text = "dlt 1\n" + place.format(character)
    error = only(text)
    assert error.code == "E0104"
    assert marked(error, text) == character
    assert character not in error.message + (error.help or ""), "what cannot be seen must not be printed"
    assert f"U+{ord(character):04X}" in error.message


def test_other_characters_may_stand_in_comments_and_texts() -> None:
    assert scan('dlt 1 # λ → 漢字 é\n## Größe ×\na = "Größe 漢"\n')[1] == []


def test_a_bare_carriage_return_is_reported_once_and_ends_the_line() -> None:
    text = "dlt 1\r# comment\rmodel M {}\r"
    found, errors = scan(text)
    assert [e.code for e in errors] == ["E0104"]
    assert marked(errors[0], text) == "\r"
    assert [found.text[s.start : s.end] for s in statements(found.items)] == ["dlt 1", "model M"]


def test_crlf_is_a_line_end() -> None:
    found, errors = scan("dlt 1\r\nmodel M {\r\n  a = f(1,\r\n 2)\r\n}\r\n")
    assert errors == []
    assert [s.doc for s in statements(found.items)] == ["", "", ""]


def test_each_character_is_an_error_of_its_own() -> None:
    text = "dlt 1\nmodel M {\n a = b × c\n d = e ÷ f × g\n}"
    assert [marked(e, text) for e in scan(text)[1]] == ["×", "÷", "×"]


# ---------------------------------------------------------------- size and depth


def test_a_text_that_is_too_large() -> None:
    assert only("dlt 1\n" + "#" * LARGEST_TEXT).code == "E0105"
    assert only("dlt 1\n#" + "é" * (LARGEST_TEXT // 2)).code == "E0105"
    assert scan("dlt 1\n" + "#" * (LARGEST_TEXT - 10))[1] == []


@pytest.mark.parametrize(("left", "right"), ["()", "[]"])
def test_brackets_may_be_nested_so_deep_and_no_deeper(left: str, right: str) -> None:
    assert scan("dlt 1\na = " + left * DEEPEST + right * DEEPEST)[1] == []
    text = "dlt 1\na = " + left * (DEEPEST + 1) + right * (DEEPEST + 1) + "\nb = )"
    errors = scan(text)[1]
    assert [e.code for e in errors] == ["E0106", "E0108"]
    assert errors[0].span is not None
    assert errors[0].span.start == 10 + DEEPEST


def test_blocks_and_brackets_count_together() -> None:
    half = DEEPEST // 2
    text = "dlt 1\n" + "m {" * half + "a = " + "(" * (half + 1) + ")" * (half + 1) + "}" * half
    assert only(text).code == "E0106"


def test_blocks_nested_too_deeply() -> None:
    assert scan("dlt 1\n" + "m {" * DEEPEST + "}" * DEEPEST)[1] == []
    text = "dlt 1\n" + "m {" * 100_000
    found, errors = scan(text)
    assert [e.code for e in errors] == ["E0106"]
    assert "".join(pieces(found)) == text


# ---------------------------------------------------------------- brackets


@pytest.mark.parametrize(
    ("text", "at", "note"),
    [
        ("a = f(1\nb = 2", "(", "1"),
        ("a = x[1\n\n  # c\nb[i] = 2", "[", "1"),
        ("a = f(1\nparam W", "(", "1"),
        ("a = f(1\ny ~ D()", "(", "1"),
        ("a = f(1\nW : D()", "(", "1"),
        ("a = f(x[1)", "[", ")"),
        ("a = f(1; b", "(", ";"),
        ("m { a = f(1 }", "(", "}"),
        ("m(1 { a }", "(", "{"),
        ("a = f(1 +\n  g", "(", "g"),
    ],
)
def test_a_bracket_that_is_not_closed(text: str, at: str, note: str) -> None:
    text = "dlt 1\n" + text
    error = only(text)
    assert error.code == "E0107"
    assert marked(error, text) == at
    assert [text[n.span.start : n.span.end] for n in error.notes if n.span is not None] == [note]


def test_an_open_bracket_does_not_swallow_the_next_statement() -> None:
    text = "dlt 1\na = f(1\nb = 2\nc = 3"
    found, _ = scan(text)
    rest = list(statements(found.items))[1:]
    assert [(text[s.start : s.end], s.broken) for s in rest] == [("a = f(1", True), ("b = 2", False), ("c = 3", False)]


@pytest.mark.parametrize(
    "text",
    ["a = f(1,\nb = 2)", "a = f(\nb = 2)", "a = (b +\nc == 1)", "c(n:\naxis)", "a = [1,\n2\n,3]", "f(a\n, b = 1)"],
)
def test_lines_inside_brackets_that_look_like_statements_are_none(text: str) -> None:
    assert texts(text) == [text]


@pytest.mark.parametrize(("text", "at"), [("a = 1)", 11), ("a = x]", 11), ("a = (1]", 12), ("}", 6), ("m { } }", 12)])
def test_a_bracket_that_closes_nothing(text: str, at: int) -> None:
    text = "dlt 1\n" + text
    errors = scan(text)[1]
    assert errors[0].code == "E0108"
    assert errors[0].span is not None
    assert errors[0].span.start == at


def test_the_block_whose_brace_is_missing_is_found_by_its_indent() -> None:
    text = "dlt 1\nmodel M {\n  learn {\n    a : B()\n  data from c() {\n    x = y\n  }\n}\n"
    error = only(text)
    assert error.code == "E0107"
    assert error.span is not None
    assert error.span.start == text.index("{\n    a : B()")


def test_the_last_open_block_is_blamed_without_indents() -> None:
    text = "dlt 1\nmodel M { learn { a : B()\n"
    error = only(text)
    assert error.span is not None
    assert error.span.start == text.index("{ a")


def test_a_text_without_its_end() -> None:
    text = 'dlt 1\nm { a = f("abc, 1) # }\n  b = 2 }\nc = 3'
    found, errors = scan(text)
    assert [e.code for e in errors] == ["E0107"]
    assert marked(errors[0], text) == '"'
    assert [text[s.start : s.end] for s in statements(found.items)][2:] == ['a = f("abc, 1)', "b = 2", "c = 3"]


# ---------------------------------------------------------------- junk


@pytest.mark.parametrize(
    "unit", [")\n", "\0", "×\n", "(\n", "}", '"\n', "a ×;", "{", "[)", "a\n", "x = 2 3;", "\r", "learn\n", "model M\n"]
)
def test_junk_is_read_quickly_and_with_a_limit(unit: str) -> None:
    findings = Findings()
    parse_text("dlt 1\n" + unit * 20_000, "x.dlt", findings)
    assert 0 < len(findings.items) <= MOST_ERRORS + 1
