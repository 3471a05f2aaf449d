"""Other spellings of a spec with the same meaning as far as the layout goes: blanks, line ends, comments thrown about."""

from __future__ import annotations

from random import Random

from dltc.compiler.diagnostics import Findings
from dltc.compiler.frontend.parse import parse_lossless
from dltc.compiler.frontend.scan import Item, Statement

_BLANKS = ("", " ", "  ", "\t")
_BETWEEN = ("\n", "\n", "\n\n", "\n\n\n\n", " # a comment\n", "\n  # alone\n", "\n\n#x\n\n", "\r\n", " ; ", ";\n")


def messy(text: str, random: Random) -> str:
    """The text with its tokens kept and everything between them changed."""
    parsed = parse_lossless(text, "messy.dlt", Findings())
    out: list[str] = []

    def statement(s: Statement) -> str:
        if s.start not in parsed.kinds:
            return text[s.start : s.end]
        tokens, pieces, depth = parsed.tokens(s), [], 0
        for k, token in enumerate(tokens):
            if k:
                pieces.append(_gap(str(tokens[k - 1]), str(token), depth, random))
            depth += (token in ("(", "[")) - (token in (")", "]"))
            pieces.append(str(token))
        return "".join(pieces)

    def walk(items: list[Item]) -> None:
        inside = [item for item in items if isinstance(item, Statement)]
        for s in inside:
            words = [f"{random.choice(_BLANKS)}## {line}\n" for line in s.doc.splitlines()]
            out.extend(["\n", *words] if words else [])
            out.append(random.choice(_BLANKS) + statement(s))
            if s.block is not None:
                out.append(random.choice((" {", "{", " {\n", "{ # opened\n")))
                walk(s.block.items)
                out.append(random.choice(("}", "\n}", "\n\n   }")))
            out.append("\n" if s.start not in parsed.kinds else random.choice(_BETWEEN))

    walk(parsed.scan.items)
    return "".join(out)


def _gap(before: str, here: str, depth: int, random: Random) -> str:
    if depth and random.random() < 0.04:
        return random.choice(("\n", " # inside\n ", "\n\n # alone\n"))
    if before[-1].isalnum() or before[-1] in "_'\"*.=<>-|~" or here[0] in "=<>-*./~|'(":
        return random.choice((" ", "   ", "\t"))
    return random.choice(_BLANKS) if not (here[0].isalnum() or here[0] in '_"') else random.choice((" ", "  "))
