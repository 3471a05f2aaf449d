"""Inputs that once broke something: each is refused with a code now, or read in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fuzz_run import answer

HEAD = "dlt 1\nmodel M {\n  axis i = 3\n  input x\n  "
MANY = ", ".join(f"a{k}" for k in range(3000))


@pytest.mark.parametrize(
    ("body", "command", "code"),
    [
        ("axis t; g[i] = h[i]\n  h[i] = h[i-1] + g[i]   start g[0]", ("check",), 1),  # a circle through a start
        ("axis t = 4, k\n  z[k] = label(k)", ("build", "-o", "out"), 1),  # a size that nothing gives
        ("h = x" + " * x" * 5_000, ("explain",), 0),  # a long chain was read in quadratic time
        ("h[i] = x", ("check", "--set", f"i={'9' * 5000}"), 2),  # more digits than Python converts
        ("h[i] = x", ("check", "--set", "i=\u0663"), 2),
        ("let a = 2\n  h[i] = a * x", ("check", "--set", f"a={'9' * 5000}"), 2),
        ("h[i] = x\n  train { epochs 1 }", ("check", "--set", f"train.epochs={'9' * 5000}"), 2),
        ("axis big = 2^30, more = 2^30, p = (big, more)\n  h = x", ("check",), 1),
        ("axis big = -2^60..2^60\n  h = x", ("check",), 1),
        ("let a = 10^10^10\n  h = a * x", ("check",), 1),
        ("let a = 2^2^2^2^2^2\n  h = a * x", ("check",), 1),
        ("axis huge = 1e18\n  h = x", ("check",), 1),
        ("\n  ".join(f"v{k} = {f'v{k - 1} * v{k - 1}' if k else 'x'}" for k in range(300)), ("build", "-o", "out"), 0),
        (f"axis {MANY.replace(',', ' = 1,')} = 1\n  h[{MANY}] = x", ("check",), 0),
        ("h = " + " < ".join(["a"] * 30_000), ("check",), 1),  # one unknown name very often
        ("a" * 1_900_000, ("check",), 1),  # a line that is one word
        (
            "axis c = 3\n  latent z: c ~ Categorical(p = 8)\n  p[c] = posterior(z)\n  output p",
            ("check",),
            1,
        ),  # no such latent
        (f"axis k = 20000\n  let T[k] = [{', '.join(['1'] * 20_000)}]\n  h[k] = T[k] * x", ("check",), 0),
    ],
)
def test_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, command: tuple[str, ...], code: int) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.dlt").write_text(f"{HEAD}{body}\n}}\n")
    found, _, problem = answer((command[0], "f.dlt", *command[1:]), (0, 1, 2))
    assert (found, problem) == (code, None)


def test_an_archive_whose_header_is_no_literal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy reads headers with Python's tokenizer, whose errors are no ValueErrors."""
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", a=np.arange(3.0))
    content = Path("d.npz").read_bytes()
    Path("d.npz").write_bytes(content.replace(b"(3,)", b"(3, "))
    Path("f.dlt").write_text(HEAD + 'h = 2 * x\n  data from npz("d.npz") { x = a }\n}\n')
    assert answer(("check", "f.dlt"), (1,))[2] is None
