"""The grammar of the language and the table of malformed snippets: data, and the few lines that read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_RESERVED = re.compile(r"^[A-Z_]+: /([a-z]+)\\b/$", re.MULTILINE)
_WHOLE_FILE = "// ---------------------------------------------------------------- a whole file"
HERE = "\0"  # what `<!>` in a pattern stands for; a spec cannot contain it


@dataclass(frozen=True, slots=True)
class Example:
    """A malformed statement of a block, with what the caret must underline and the mended text."""

    text: str
    start: int
    end: int
    good: str
    block: str
    help: str | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """One row of the table: when it applies and what it says (see the head of ``syntax_errors.toml``)."""

    id: str
    pattern: re.Pattern[str]
    message: str
    help: str
    starts: frozenset[str]
    inside: str | None
    keyword: bool
    wants: str | None
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class MistakeTable:
    """The rows in order, and hints for statements that begin with a word or a sign of another language."""

    rows: tuple[Mistake, ...]
    words: dict[str, str]
    openings: dict[str, tuple[str, str]]


@cache
def grammar_text() -> str:
    """The text of the grammar."""
    return (_FOLDER / "dlt.lark").read_text(encoding="utf-8")


@cache
def statement_grammar() -> str:
    """The grammar without its last section, the whole file: what single statements need, and quicker to analyse."""
    return grammar_text().partition(_WHOLE_FILE)[0]


@cache
def reserved_words() -> frozenset[str]:
    """The words that can never be names: the terminals of the grammar that are a fixed word, matched as a whole."""
    return frozenset(_RESERVED.findall(grammar_text()))


@cache
def mistake_table() -> MistakeTable:
    """The table of malformed snippets (read when the first mistake is met)."""
    import tomllib

    data: dict[str, Any] = tomllib.loads((_FOLDER / "syntax_errors.toml").read_text(encoding="utf-8"))
    openings = {sign: (message, help) for sign, (message, help) in data["openings"].items()}
    return MistakeTable(tuple(_mistake(row) for row in data["mistake"]), data["words"], openings)


def _mistake(row: dict[str, Any]) -> Mistake:
    return Mistake(
        id=row["id"],
        pattern=re.compile(row["pattern"].replace("<!>", HERE)),
        message=row["message"],
        help=row["help"],
        starts=frozenset(row.get("starts", ())),
        inside=row.get("inside"),
        keyword=row.get("keyword", False),
        wants=row.get("wants"),
        examples=tuple(_example(example) for example in row["examples"]),
    )


def _example(data: dict[str, str]) -> Example:
    before, marked, after = re.split("[«»]", data["text"])
    return Example(
        text=before + marked + after,
        start=len(before),
        end=len(before) + len(marked),
        good=data["good"],
        block=data.get("block", "model"),
        help=data.get("help"),
    )
