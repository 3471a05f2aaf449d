"""Which statement may stand in which block, and which start symbol of the grammar reads it."""

from __future__ import annotations

import re

BLOCK_OF = {  # a header's start symbol -> the block that it opens
    "model_head": "model",
    "circuit_head": "circuit",
    "rule_head": "rule",
    "learn_head": "learn",
    "infer_head": "infer",
    "data_head": "data",
    "train_head": "train",
}
_NAMED = ("axis", "let", "state", "input", "param", "latent", "probe", "output", "assert")
_MOVES = {"moved": "moved_decl", "extend": "moved_decl", "dropped": "moved_decl"}
_CIRCUIT = {**{word: f"{word}_decl" for word in _NAMED}, "learn": "learn_head", "infer": "infer_head"}
_SETTINGS = ("batch", "epochs", "steps", "seed", "seeds", "clip", "dtype", "replay", "stop", "keep", "from", "redraw")

WORDS: dict[str, dict[str, str]] = {  # block -> first word -> start symbol
    "file": {
        **{word: f"{word}_head" for word in ("model", "circuit", "rule")},
        "use": "use_decl",
        "extern": "extern_decl",
        **_MOVES,
    },
    "model": {**_CIRCUIT, "data": "data_head", "train": "train_head", **_MOVES},
    "circuit": _CIRCUIT,
    "rule": {
        **{word: f"{word}_decl" for word in ("axis", "let", "state")},
        **dict.fromkeys(("variance", "forward", "keep"), "rule_fact"),
    },
    "learn": {},
    "infer": {},
    "data": {"valid": "part", "test": "part"},
    "train": {
        **dict.fromkeys(_SETTINGS, "setting"),
        "report": "report_line",
        "learn": "learn_head",
        "infer": "infer_head",
    },
}
OTHERS = {  # block -> the start symbol of statements that begin with a name
    "model": "relation",
    "circuit": "relation",
    "rule": "relation",
    "learn": "rule_line",
    "infer": "rule_line",
    "data": "column",
}
START_SYMBOLS = tuple(sorted({s for words in WORDS.values() for s in words.values()} | set(OTHERS.values())))
SHAPES = {  # the sign after a name -> what such a statement is, and the blocks it belongs to
    "=": ("an equation", ("model", "circuit", "rule")),
    "~": ("a density", ("model", "circuit", "infer")),
    "<-": ("an update", ("model", "circuit", "rule")),
    ":": ("a rule line", ("learn", "infer")),
}
NODE_SIGNS = {"Equation": "=", "Density": "~", "Update": "<-"}

_SIGN = re.compile(r"[\w.*]+'*\s*(?:\[[^\]]*\]\s*)*(?:,\s*[\w.*]+\s*)*(=(?!=)|~|<-|:(?!=))")


def places(word: str) -> list[str]:
    """The blocks in which a statement may begin with this word."""
    return [block for block, words in WORDS.items() if word in words]


def sign_after_name(text: str) -> str | None:
    """The sign that follows the first name (and its indices): ``=``, ``~``, ``<-`` or ``:``."""
    match = _SIGN.match(text)
    return match.group(1) if match is not None else None


def spoken(blocks: list[str] | tuple[str, ...]) -> str:
    """``a `model` or a `circuit` ``: blocks as a reader would say them."""
    named = [
        "the file, outside all blocks" if b == "file" else f"{'an' if b == 'infer' else 'a'} `{b}` block"
        for b in blocks
    ]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} or {named[-1]}"


_DECLARES_ONE = re.compile(r"(?:param|input|latent|output|probe|model|circuit|rule|extern\s+op)\s+([A-Za-z_]\w*)")
_DECLARES_MANY = re.compile(r"(?:axis|let|state|use)\b")
_ITEM = re.compile(r"(?:^\w+|[,(])\s+?([A-Za-z_]\w*)\s*(?=[=\[,)]|$)|[,(]([A-Za-z_]\w*)\s*(?=[=\[,)]|$)")
_NAMES = re.compile(r"[A-Za-z_]\w*")
_DEFINES = re.compile(
    r"([A-Za-z_]\w*+)\s*+(?:\[[^\]\n]*\]\s*|\([^)\n]*\)\s*)?(?::|[-+*/=]|<-)?=|([A-Za-z_]\w*+)[^=~\n]*<-"
)


def declared_names(text: str) -> tuple[str, ...]:
    """The names that a statement which cannot be read would have declared; rather one too many than too few."""
    names: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        one, defines = _DECLARES_ONE.match(line), _DEFINES.match(line)
        if one is not None:
            names.append(one.group(1))
        elif _DECLARES_MANY.match(line):
            items = [a or b for a, b in _ITEM.findall(line)]
            names += _NAMES.findall(line)[1:] if line.startswith("axis") else items
        elif defines is not None:
            names.append(defines.group(1) or defines.group(2))
    return tuple(dict.fromkeys(names))
