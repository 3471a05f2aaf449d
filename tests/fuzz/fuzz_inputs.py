"""Hostile and mistaken inputs, made from a seed: every kind is one function from a random generator to bytes.

``inputs(count, seed)`` deals the kinds out in turn; :func:`truncations` cuts every shipped spec at every byte.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fuzz_specs import random_spec

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted([*(ROOT / "specs").rglob("*.dlt"), *(ROOT / "tests" / "conformance").glob("*.dlt")])
CASES = sorted((ROOT / "tests" / "diagnostics" / "cases").glob("*.dlt"))
TEXTS = [path.read_text(encoding="utf-8") for path in [*SHIPPED, *CASES]]
TOKEN = re.compile(r"\"[^\"\n]*\"|#[^\n]*|[A-Za-z_]\w*'*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\|>|\.\.|<-|[<>=!]=|//|\s+|.")
WORD = re.compile(r"[A-Za-z_]\w*")
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
NUMBERS = [
    "0",
    "1",
    "2",
    "7",
    "1000003",
    "1e999999",
    "1e308",
    "1e-400",
    "5e-324",
    "0.5",
    "inf",
    "pi",
    "-1",
    "(0-1)",
    "9^9^9^9",
    "2^40",
    "2^63",
    "9223372036854775807",
    "1e18",
    "0^0",
    "2^-1",
    "(1/0)",
    "0/0",
    "1//0",
    "5%0",
    "(0-2)^0.5",
    "10^400",
    "1e400",
    "3..1",
    "0..9",
    "-5..5",
    "-9223372036854775808..9223372036854775807",
    "1099511627776",
    "1099511627777",
    "size(hid)",
    "hid",
    "t",
    "N",
    "training",
    "1.5",
    "1e15",
    "1e16",
    "(1e308*10)",
    "(inf-inf)",
    "log(0)",
    "exp(1000)",
    "9^999999999",
    "2^2^2^2^2^2",
    "-9^9^9",
    "0.1^99999",
    "cos(inf)",
    "sqrt(0-1)",
    "min(1,2)",
    "tanh(1)",
]
CHARACTERS = (
    "\0\x01\x07\b\v\f\x1b\x7f\x85\xa0\xad\ufeff\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufffd"
    "а е о р с х ѕ і ԁ ο ν π λ σ ² × ÷ − → ∞ ’ “ ” ， ； （ ） 𝐖 😀 ﬁ ℵ é ß İ ı ǆ \r \t"
).replace(" ", "")
NAMES = [
    "W",
    "x",
    "y",
    "h",
    "s",
    "hid",
    "pix",
    "cls",
    "batch",
    "model",
    "M",
    "init",
    "axis",
    "param",
    "e",
    "t",
    "n",
    "N",
    "w",
    "grad",
    "data",
    "target",
    "_",
    "__",
    "__class__",
    "__import__",
    "self",
    "torch",
    "np",
    "None",
    "True",
    "lambda",
    "class",
    "def",
    "import",
    "os",
    "eval",
    "exec",
    "return",
    "match",
    "int",
    "real",
    "bool",
    "SGD",
    "Adam",
    "EG",
    "Normal",
    "Flat",
    "Gibbs",
    "sum",
    "softmax",
    "where",
    "size",
    "label",
    "last",
    "first",
    "prior",
    "loss",
    "forward",
    "step",
    "state_dict",
    "training",
    "stop",
    "keep",
    "report",
    "nll",
    "inf",
    "pi",
]
INJECTIONS = (
    "'''", '"""', "\\", "\\n", "{{ 7*7 }}", "{% raw %}", "</script><script>alert(1)</script>", "<img src=x onerror=a()>",
    "*/ system(); /*", "\\u000a", "'); import os #", "\\\n", "%s%n", "${x}", "`id`", "//", "-->", "]]>", "\\x00",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """One input and the kind that made it."""

    kind: str
    content: bytes


Make = Callable[[random.Random], bytes]


def _text(r: random.Random) -> str:
    """A text of the corpus, short ones more often than long ones."""
    a, b = r.choice(TEXTS), r.choice(TEXTS[: len(SHIPPED)])
    return min(a, b, key=len) if r.random() < 0.9 else b


def _edited(r: random.Random, edit: Callable[[list[str], int], None], pattern: re.Pattern[str] = TOKEN) -> bytes:
    """A text of the corpus with one to four edits of its tokens."""
    tokens = pattern.findall(_text(r))
    for _ in range(r.randint(1, 4)):
        edit(tokens, r.randrange(len(tokens)) if tokens else 0)
        if not tokens:
            break
    return "".join(tokens).encode()


def token_deletions(r: random.Random) -> bytes:
    def edit(tokens: list[str], at: int) -> None:
        del tokens[at : at + r.choice((1, 1, 1, 2, 5))]

    return _edited(r, edit)


def token_swaps(r: random.Random) -> bytes:
    def edit(tokens: list[str], at: int) -> None:
        other = r.randrange(len(tokens)) if r.random() < 0.5 else min(len(tokens) - 1, at + r.randint(1, 4))
        tokens[at], tokens[other] = tokens[other], tokens[at]

    return _edited(r, edit)


def token_duplications(r: random.Random) -> bytes:
    def edit(tokens: list[str], at: int) -> None:
        tokens[at:at] = tokens[at : at + r.choice((1, 1, 2, 8))] * r.choice((1, 1, 2, 50))

    return _edited(r, edit)


def token_replacements(r: random.Random) -> bytes:
    def edit(tokens: list[str], at: int) -> None:
        tokens[at] = r.choice(tokens) if r.random() < 0.5 else r.choice([*NAMES, *NUMBERS, *"()[]{}=~<:;,.+-*/^%|'\"#"])

    return _edited(r, edit)


def lines_mixed(r: random.Random) -> bytes:
    """Lines of one spec deleted, repeated, swapped or put into another."""
    lines = _text(r).splitlines()
    for _ in range(r.randint(1, 5)):
        at, foreign = r.randrange(len(lines) + 1), r.choice(_text(r).splitlines())
        choice = r.random()
        if choice < 0.3 and lines:
            del lines[at : at + r.randint(1, 3)]
        elif choice < 0.5:
            lines.insert(at, foreign)
        elif choice < 0.7 and lines:
            lines.insert(at, r.choice(lines))
        elif lines:
            k = r.randrange(len(lines))
            lines[k], lines[at - 1] = lines[at - 1], lines[k]
    return "\n".join(lines).encode()


def numbers_replaced(r: random.Random) -> bytes:
    text, share = _text(r), r.choice((0.05, 0.2, 1.0))
    return (
        NUMBER.sub(lambda m: r.choice(NUMBERS) if r.random() < share else m[0], text[6:]).join(("dlt 1\n", "")).encode()
    )


def names_replaced(r: random.Random) -> bytes:
    """Names put in each other's place."""
    text = _text(r)
    words = WORD.findall(text)
    share = r.choice((0.01, 0.03, 0.2))
    pool = words if r.random() < 0.7 else NAMES
    return (text[:6] + WORD.sub(lambda m: r.choice(pool) if r.random() < share else m[0], text[6:])).encode()


def hostile_characters(r: random.Random) -> bytes:
    text = list(_text(r))
    for _ in range(r.randint(1, 6)):
        text.insert(r.randrange(len(text) + 1), r.choice(CHARACTERS) * r.choice((1, 1, 1, 3)))
    joined = "".join(text)
    ends = r.choice(("\n", "\n", "\n", "\r\n", "\r", "\n\r", "\u2028"))
    encoding = r.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16", "utf-32", "latin-1"))
    return joined.replace("\n", ends).encode(encoding, "replace")


def injections(r: random.Random) -> bytes:
    """Comments, documentation, names and texts that try to end what surrounds them elsewhere."""
    lines = r.choice(TEXTS[: len(SHIPPED)]).splitlines()
    for _ in range(r.randint(1, 4)):
        at, what = r.randrange(1, len(lines) + 1), r.choice(INJECTIONS)
        lines.insert(at, r.choice(("# ", "## ", "## \n## ", "", '  data from csv("', "  let a = ")) + what)
    return "\n".join(lines).encode()


def random_bytes(r: random.Random) -> bytes:
    head = r.choice((b"", b"dlt 1\n", b"dlt 1\nmodel M {\n"))
    return head + r.randbytes(r.choice((0, 1, 3, 20, 300)))


def random_characters(r: random.Random) -> bytes:
    letters = r.choice(("".join(map(chr, range(32, 127))) + "\n" * 9, "()[]{}", "dlt 1\n{}modelaxis=~[],", CHARACTERS))
    return ("dlt 1\n" * r.randint(0, 1) + "".join(r.choices(letters, k=r.choice((5, 60, 600))))).encode()


def token_soup(r: random.Random) -> bytes:
    """Tokens of the language in any order."""
    words = TOKEN.findall(_text(r))
    tokens = r.choices(words, k=r.choice((5, 40, 300)))
    return ("dlt 1\nmodel M {\n" + r.choice((" ", "", "\n")).join(tokens) + "\n}" * r.randint(0, 1)).encode()


def automotive_logs(r: random.Random) -> bytes:
    return b"DLT\x01" + r.randbytes(r.choice((0, 1, 12, 4000)))


def deep_nesting(r: random.Random) -> bytes:
    depth = r.choice((3, 50, 150, 199, 200, 201, 1000, 30_000))
    opened, closed = r.choice(
        (("(", ")"), ("[", "]"), ("{", "}"), ("f(", ")"), ("relu(", ")"), ("-", ""), ("2^", ""), ("a[", "]"), ("x+(", ")"),
         ("model M {", "}"), ("learn {\n", "}"), ("sum[i](", ")"), ("1 - ", ""), ("x |> ", ""), ("a < ", ""), ("min(1,", ")"),
         ("(-", ")"), ("where(x, 1, ", ")"), ("([", "])"), ("1/", ""), ("2^-", ""), ("a'", ""), ("a.", ""))
    )  # fmt: skip
    text = opened * depth + r.choice(("x", "1", "", "nope")) + closed * (depth if r.random() < 0.7 else depth - 1)
    place = r.choice(
        ("h = {}", "axis a = {}", "let a = {}", "param W ~ Normal({}, var = 1)", "x ~ Normal({}, var = 1)", "{}",
         "learn {{ W : SGD(lr = {}) }}", "train {{ report {} }}", "param V ~ Flat() init {}", "let T[i] = {}",
         'data from npz("a.npz") {{ x = {} }}', "train {{ batch {} }}", "probe p = {}", "x ~ Flat()^{}")
    )  # fmt: skip
    body = place.format(text)
    return f"dlt 1\nmodel M {{\n axis i = 3\n input x\n param W ~ Flat() init 1\n {body}\n}}\n".encode()


def long_things(r: random.Random) -> bytes:
    """Long names, numbers, comments, lines and lists."""
    size = r.choice((300, 5_000, 60_000))
    what = r.choice(
        ("axis " + "a" * size + " = 3", "let a = " + "9" * size, "let a = 1e" + "9" * size, "let a = 0." + "3" * size,
         "# " + "c" * size, "## " + "d" * size, "h = " + " + ".join(["x"] * (size // 4)), "h = x" + "'" * size,
         "axis " + ", ".join(f"a{k} = 1" for k in range(size // 20)), "input x[" + ", ".join(["i"] * (size // 20)) + "]",
         "let T[i] = [" + ", ".join(["1"] * (size // 4)) + "]", "h = " + " * ".join(["x"] * (size // 4)),
         "\n".join(f"v{k} = {f'v{k - 1}' if k else 'x'} + 1" for k in range(size // 60)),
         "\n".join(f"let c{k} = {f'c{k - 1}' if k else '1'} * 2" for k in range(size // 60)),
         "\n".join(f"axis b{k} = {f'b{k + 1}'}" for k in range(size // 60)), "h = relu(" * 3 + "x," * size + ")" * 3,
         "\n".join("h = x" for _ in range(size // 60)), "\n".join("foo bar" for _ in range(size // 60)),
         "h = " + "-" * (size // 10) + "x", "let a = " + "^".join("2" for _ in range(size // 10)), "$" * size,
         "axis p = (" + ", ".join("i" for _ in range(size // 20)) + ")", '"' + "s" * size + '"', "h = x" + "[i]" * size)
    )  # fmt: skip
    return f"dlt 1\nmodel M {{\n axis i = 3\n input x\n {what}\n}}\n".encode()


def random_specs(r: random.Random) -> bytes:
    return random_spec(r).encode()


def huge_files(r: random.Random) -> bytes:
    """Around and far above the largest file."""
    size = r.choice((1_900_000, 2_000_001, 10_000_000))
    unit = r.choice(
        (b"\0", b"a", b"(", b"h = x\n", b"# c\n", b"\xff", b"{", b"}\n", b"DLT\x01", b"\r", "é".encode(), b'"')
    )
    return b"dlt 1\n" * r.randint(0, 1) + unit * (size // len(unit))


KINDS: dict[str, tuple[Make, int]] = {  # kind -> how it is made, and how many of them in a round
    "random spec": (random_specs, 6),
    "token deletions": (token_deletions, 3),
    "token swaps": (token_swaps, 3),
    "token duplications": (token_duplications, 2),
    "token replacements": (token_replacements, 4),
    "lines mixed": (lines_mixed, 3),
    "numbers replaced": (numbers_replaced, 3),
    "names replaced": (names_replaced, 4),
    "hostile characters": (hostile_characters, 2),
    "injections": (injections, 1),
    "random bytes": (random_bytes, 2),
    "random characters": (random_characters, 2),
    "token soup": (token_soup, 2),
    "automotive logs": (automotive_logs, 1),
    "deep nesting": (deep_nesting, 2),
}
RARE: dict[str, tuple[Make, int]] = {"long things": (long_things, 25), "huge files": (huge_files, 1000)}
"""Slow to make and to read: one in so many."""


def inputs(count: int, seed: int, *, large: bool = True) -> Iterator[Fuzzed]:
    """``count`` inputs, the same for the same seed; without ``large`` only such as are read in milliseconds."""
    r = random.Random(seed)
    wheel = [kind for kind, (_, share) in KINDS.items() for _ in range(share)]
    for k in range(count):
        rare = next((kind for kind, (_, every) in reversed(RARE.items()) if large and k % every == every - 1), None)
        kind = rare or wheel[k % len(wheel)]
        make = (RARE if rare else KINDS)[kind][0]
        yield Fuzzed(kind, make(r))


def truncations(every: int = 1) -> Iterator[Fuzzed]:
    """Every shipped spec cut at every byte (or every ``every``-th)."""
    for path in SHIPPED:
        content = path.read_bytes()
        for cut in range(0, len(content), every):
            yield Fuzzed(f"{path.name} cut at {cut}", content[:cut])
