"""The grammar as such, and the table of malformed snippets, which is its own test."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from lark import Lark, logger
from lark.grammar import Terminal

from dltc.compiler.diagnostics import Findings
from dltc.compiler.frontend import nodes
from dltc.compiler.frontend.engine import Newlines, file_engine, statement_engine
from dltc.compiler.frontend.parse import parse_text, parse_whole
from dltc.compiler.frontend.statements import BLOCK_OF, OTHERS, START_SYMBOLS, WORDS
from dltc.grammar import Example, Mistake, grammar_text, mistake_table, reserved_words, statement_grammar

EVERYTHING = Path(__file__).parent.parent / "conformance" / "everything.dlt"
HEADERS = {
    "model": "model M",
    "circuit": "circuit C()",
    "rule": "rule R() on real",
    "learn": "model M { learn",
    "infer": "model M { infer",
    "data": 'model M { data from npz("f.npz")',
    "train": "model M { train",
}


def placed(text: str, block: str) -> tuple[str, int]:
    """A file with ``text`` as a statement of ``block``, and where it begins."""
    if block == "file":
        return f"dlt 1\n{text}\n", len("dlt 1\n")
    before = f"dlt 1\n{HEADERS[block]} {{\n"
    return before + text + "\n" + "}" * before.count("{") + "\n", len(before)


def build(*starts: str) -> Lark:
    grammar = grammar_text() if "file" in starts else statement_grammar()
    return Lark(grammar, parser="lalr", start=list(starts), maybe_placeholders=False, postlex=Newlines())


@pytest.mark.parametrize("starts", [START_SYMBOLS, ("file",)], ids=["statements", "file"])
def test_no_conflicts(starts: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG, logger="lark"):
            logger.propagate = True
            build(*starts)
    finally:
        logger.setLevel(level)
    conflicts = [r.getMessage() for r in caplog.records if "conflict" in r.getMessage().lower()]
    assert conflicts == []


def test_the_whole_file_is_the_last_section() -> None:
    last = grammar_text().removeprefix(statement_grammar())
    assert "\nfile: " in last
    assert "\nrelation: " not in last


def test_every_rule_and_terminal_is_used_by_the_whole_file(caplog: pytest.LogCaptureFixture) -> None:
    lark = build("file")
    defined = set(re.findall(r"^[?]?(_?[a-z_]+)(?:\.\d)?:", grammar_text(), re.MULTILINE))
    used = {rule.origin.name for rule in lark.rules}
    assert defined - used == set()
    terminals = set(re.findall(r"^([A-Z_]+)(?:\.\d)?:", grammar_text(), re.MULTILINE))
    in_rules = {s.name for rule in lark.rules for s in rule.expansion if isinstance(s, Terminal)}
    assert terminals - in_rules == {"SPACE", "COMMENT", "BOM"}


def test_every_terminal_has_a_name() -> None:
    lark = build("file", *START_SYMBOLS)
    defined = set(re.findall(r"^([A-Z_]+)(?:\.\d)?:", grammar_text(), re.MULTILINE))
    assert {t.name for t in lark.terminals} == defined


def test_names_exclude_exactly_the_reserved_words() -> None:
    excluded = re.search(r"^IDENT: /\(\?!\(\?:([a-z|]+)\)", grammar_text(), re.MULTILINE)
    assert excluded is not None
    assert set(excluded.group(1).split("|")) == reserved_words()
    assert {"param", "in", "start", "train"} <= reserved_words()
    free = {"test", "valid", "batch", "data", "seed", "k", "t", "n", "forget", "drift", "forward", "every", "where"}
    assert not free & reserved_words()


def test_dispatch_knows_every_start_symbol_and_block() -> None:
    assert set(BLOCK_OF) <= set(START_SYMBOLS)
    assert set(BLOCK_OF.values()) | {"file"} == set(WORDS)
    assert set(OTHERS) <= set(WORDS)


def test_both_ways_of_parsing_agree_on_everything() -> None:
    text = EVERYTHING.read_text(encoding="utf-8")
    findings = Findings()
    one_by_one = parse_text(text, "everything.dlt", findings)
    in_one_go = parse_whole(text, "everything.dlt", findings)
    assert findings.items == []
    assert in_one_go == one_by_one
    assert repr(in_one_go) == repr(one_by_one), "spans differ"


def test_everything_contains_every_kind_of_node() -> None:
    findings = Findings()
    file = parse_text(EVERYTHING.read_text(encoding="utf-8"), "everything.dlt", findings)
    seen = set(re.findall(r"\b([A-Z]\w+)\(", repr(file)))
    kinds = {name for name, value in vars(nodes).items() if isinstance(value, type) and hasattr(value, "__slots__")}
    assert kinds - seen == {"Expr", "Stmt", "Broken", "Divided"}  # the last one is made by calls of circuits


def test_everything_uses_every_rule_of_the_grammar() -> None:
    """Each alternative of the grammar is reduced at least once while the file is parsed."""
    lark = build("file")
    parser = lark.parser.parser.parser  # type: ignore[attr-defined]
    seen = set()

    def recording(rule, build_node):  # type: ignore[no-untyped-def]
        def reduce(children):  # type: ignore[no-untyped-def]
            seen.add(rule)
            return build_node(children)

        return reduce

    callbacks = {r: recording(r, f) for r, f in parser.callbacks.items() if not isinstance(r, str)}
    parser.callbacks = callbacks
    lark.parse(EVERYTHING.read_text(encoding="utf-8"), start="file")
    unused = [r for r in lark.rules if r not in seen]
    assert [str(r) for r in unused if not _file_shape(str(r.origin.name))] == []


def _file_shape(name: str) -> bool:
    """Rules about separators and empty blocks, whose every combination is of no interest."""
    return name.startswith("_") or name == "file"


ROWS = [(row, example) for row in mistake_table().rows for example in row.examples]


@pytest.mark.parametrize(("row", "example"), ROWS, ids=[f"{row.id}-{i}" for i, (row, _) in enumerate(ROWS)])
def test_each_malformed_example_raises_its_row(row: Mistake, example: Example) -> None:
    text, at = placed(example.text, example.block)
    findings = Findings()
    parse_text(text, "x.dlt", findings)
    assert [d.code for d in findings.items] == ["E0110"], [d.message for d in findings.items]
    found = findings.items[0]
    assert re.fullmatch(filled(row.message), found.message), f"{found.message!r} is not of row {row.id}"
    assert found.help is not None
    assert re.fullmatch(filled(row.help), found.help), found.help
    if example.help is not None:
        assert found.help == example.help
    assert found.span is not None
    marked = text[at + example.start : at + example.end].rstrip()
    assert (found.span.start - at, text[found.span.start : found.span.end]) == (example.start, marked)


@pytest.mark.parametrize(("row", "example"), ROWS, ids=[f"{row.id}-{i}" for i, (row, _) in enumerate(ROWS)])
def test_each_mended_example_is_read(row: Mistake, example: Example) -> None:
    text, _ = placed(example.good, example.block)
    findings = Findings()
    parse_text(text, "x.dlt", findings)
    assert [d.message for d in findings.items] == []


def filled(template: str) -> str:
    """A pattern for a message whose {groups} are filled in."""
    parts = re.split(r"\{[a-z]+\}", template.replace("{{", "\0").replace("}}", "\1"))
    return ".+".join(re.escape(p.replace("\0", "{").replace("\1", "}")) for p in parts)


def test_every_row_has_an_example_and_plain_words() -> None:
    for row in mistake_table().rows:
        assert row.examples, row.id
        assert not re.search(r"\b[A-Z][A-Z_]{2,}\b", row.message + row.help), row.id
        for jargon in ("token", "terminal", "parse", "lexer", "grammar", "syntax", "expression expected"):
            assert jargon not in (row.message + row.help).lower(), row.id


@pytest.mark.parametrize("word", sorted(mistake_table().words))
def test_words_of_other_languages_get_a_hint(word: str) -> None:
    text, at = placed(f"{word} something", "model")
    findings = Findings()
    parse_text(text, "x.dlt", findings)
    assert [d.code for d in findings.items] == ["E0111"]
    assert findings.items[0].help == mistake_table().words[word]
    assert findings.items[0].span is not None
    assert findings.items[0].span.start == at


def test_the_tables_are_built_once() -> None:
    assert statement_engine() is statement_engine()
    assert file_engine() is file_engine()
