"""Circuits, latents, data, sparse parameters and calls of Python with tokens deleted, doubled, swapped or borrowed: compiled, or refused with codes."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from fuzz_run import TooSlow, in_time

from dltc.compiler.diagnostics import SpecError
from dltc.compiler.pipeline import Options, compile_spec

DOCS = Path(__file__).resolve().parents[2] / "docs"
TOKEN = re.compile(r"\w+'*|[^\w\s]|\n")


def bases() -> list[str]:
    """The specs of the documentation."""
    names = ("circuits", "latents", "data", "language")
    pages = [(DOCS / f"{name}.md").read_text(encoding="utf-8") for name in names]
    found = [block for page in pages for block in re.findall(r"^```dlt\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    return [b if b.startswith("dlt 1") else f"dlt 1\nmodel M {{\n{b}}}\n" for b in found]


def mutated(r: random.Random, texts: list[str]) -> str:
    """A spec with one to three changes of tokens."""
    text, other = r.choice(texts), r.choice(texts)
    words = TOKEN.findall(other)
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        spans = [m.span() for m in TOKEN.finditer(text)]
        (a, b), (c, d) = sorted((r.choice(spans), r.choice(spans)))
        match r.randrange(4):
            case 0:
                text = text[:a] + text[b:]
            case 1:
                text = text[:a] + r.choice(words) + text[b:]
            case 2:
                text = f"{text[:a]}{r.choice(words)} {text[a:]}"
            case _ if b <= c:
                text = text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]
            case _:
                text = text[:b] + text[a:]
    return text


def run(seed: int, count: int) -> tuple[int, int]:
    """How many of so many mutants compile, and how many are refused."""
    r, texts = random.Random(seed), bases()
    good = refused = 0
    for _ in range(count):
        text = mutated(r, texts)
        try:
            with in_time():
                assert compile_spec(text, "m.dlt", Options(allow_extern=True)).source
            good += 1
        except SpecError as error:
            assert all(d.span is not None for d in error.diagnostics), text
            refused += 1
        except (Exception, TooSlow) as error:
            raise AssertionError(f"{type(error).__name__}: {error}\n{text}") from error
    return good, refused


def test_some_mutants() -> None:
    good, refused = run(1, 150)
    assert good > 3 and refused > 75


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_many_mutants() -> None:
    good, refused = run(2, 5000)
    assert good + refused == 5000
