"""`dltc fmt`: the layout, what it keeps, how files are written, and its exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dltc.compiler.format import format_text

ROOT = Path(__file__).resolve().parents[2]
MESSY = """dlt 1


model   M{
      axis d=3,e = 2
  ##   an input
  input   x [ d ] # beside
  input y


  # about the weights
  param W[e,d]~Normal( 0,var=1/d ) init 0
  param bias[e] in real ~ Normal(0, std= 0.5)
  param b[e] ~ Normal(-1 ,precision = ( 2 ))  # beside too

  h[e]=W*x+b ; m = sum( h )
  y~Normal( m,var = 2e-1 )
  learn{W,b:SGD(lr=0.1); * : Adam()}
  train{ batch all;steps 5 ;report rmse( y,m ) every 2 }

}"""
NEAT = """dlt 1

model M {
  axis d = 3, e = 2
  ##   an input
  input x[d]                                    # beside
  input y

  # about the weights
  param W[e, d] ~ Normal(0, var = 1/d)   init 0
  param bias[e] in real ~ Normal(0, std = 0.5)
  param b[e]    ~ Normal(-1, precision = (2))   # beside too

  h[e] = W*x + b; m = sum(h)
  y ~ Normal(m, var = 2e-1)
  learn { W, b : SGD(lr = 0.1); * : Adam() }
  train { batch all; steps 5; report rmse(y, m) every 2 }
}
"""


@pytest.fixture
def messy(folder) -> Path:
    path = folder / "m.dlt"
    path.write_text(MESSY)
    return path


def formatted(*lines: str) -> list[str]:
    """Statements of a model, formatted, without their indentation."""
    done = format_text("\n".join(["dlt 1", "model M {", *lines, "}"])).text
    assert done is not None
    return [row.removeprefix("  ") for row in done.splitlines()[2:-1]]


def test_the_layout(dltc, messy):
    done = dltc("fmt", "m.dlt")
    assert (done.code, done.out, done.err) == (0, "", "formatted m.dlt\n")
    assert messy.read_text() == NEAT
    again = dltc("fmt", "m.dlt")
    assert (again.code, again.out, again.err) == (0, "", "")


@pytest.mark.parametrize("path", sorted((ROOT / "specs").rglob("*.dlt")), ids=lambda p: p.name)
def test_shipped_specs_are_formatted(path):
    text = path.read_text(encoding="utf-8")
    assert format_text(text, path.name).text == text


def test_the_first_example_of_the_language_is_formatted():
    text = (ROOT / "tests" / "conformance" / "digits_as_printed.dlt").read_text(encoding="utf-8")
    assert format_text(text).text == text


def test_the_specs_in_the_readme_are_formatted():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    spec = text.partition("```dlt\n")[2].partition("```")[0]
    assert format_text(spec).text == spec


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a=b*c+d", "a = b*c + d"),
        ("a = b*c+d*e", "a = b*c + d*e"),
        ("a = f(b+1)", "a = f(b+1)"),
        ("a = b *c", "a = b * c"),
        ("a = b+c * d", "a = b + c * d"),
        ("a = - b ^ - 2", "a = -b^-2"),
        ("a = x [t - 1]", "a = x[t - 1]"),
        ("a = x[t-1]", "a = x[t-1]"),
        ("a = ( 0 < b<=1 )==c", "a = (0 < b <= 1) == c"),
        ("a = x|>Dense( n=hid )as enc|>relu", "a = x |> Dense(n = hid) as enc |> relu"),
        ("axis dr = - 1 .. 1", "axis dr = -1..1"),
        ("axis p=( a,b )", "axis p = (a, b)"),
        ("input y :cls", "input y: cls"),
        ("m [d]<-m[d]+1", "m[d] <- m[d] + 1"),
        ("state m [ ]=0", "state m[] = 0"),
        ("let T[a,b]=[ [1,0],[0 , 1] ]", "let T[a, b] = [[1, 0], [0, 1]]"),
        ("param W ~ D(0) init - 1 sparse where (a<b) frozen", "param W ~ D(0)   init -1 sparse where (a < b) frozen"),
        ("a = 1 ; ; b = 2 ;", "a = 1; b = 2"),
        ("A = 1.50E-3 # as Written", "A = 1.50E-3                                   # as Written"),
    ],
)
def test_blanks(written, expected):
    if "[ ]" in written:
        text = format_text(f"dlt 1\nrule R on real {{ {written} }}\n").text
        assert text == "dlt 1\nrule R on real { state m[] = 0 }\n"
        return
    assert formatted(written) == [expected]


def test_columns():
    assert formatted("lam <- 1", "w <- 2", "", "w <- 3") == ["lam <- 1", "w   <- 2", "", "w <- 3"]
    assert formatted("h[t] = h[t-1] + x start 0", "y = h[last]", "zz[k] = zz[k-1] start x") == [
        "h[t]  = h[t-1] + x   start 0",
        "y     = h[last]",
        "zz[k] = zz[k-1]      start x",
    ]
    wide = "a_very_long_name_of_a_value[row, col] = 1"
    assert formatted("h = 1", wide) == ["h = 1", wide]


def test_breaks_inside_brackets_stay():
    assert formatted("a = f(", "b, # first", "  c", " ) + [1,", "2]") == [
        "a = f(",
        "  b,                                          # first",
        "  c",
        ") + [1,",
        "     2]",
    ]


def test_blocks():
    assert formatted(
        "learn {", "W : SGD(lr = 1) }", "train {}", "train { # why", "}", "learn { W : A() } train { }"
    ) == [
        "learn {",
        "  W : SGD(lr = 1)",
        "}",
        "train {}",
        "train {                                       # why",
        "}",
        "learn { W : A() }",
        "train {}",
    ]
    settings = "; ".join(f"seed {k}" for k in range(20))
    assert formatted(f"train {{ {settings} }}")[0] == "train {"


def test_a_comment_after_a_lone_semicolon_does_not_become_documentation():
    assert formatted("a = 1", "; ## no words", "b = 2") == ["a = 1", "# no words", "b = 2"]


def test_check_lists_and_changes_nothing(dltc, messy, spec):
    assert dltc("fmt", "digits.dlt").code == 0
    done = dltc("fmt", "--check", "m.dlt", "digits.dlt")
    assert (done.code, done.out, done.err) == (1, "m.dlt\n", "")
    assert messy.read_text() == MESSY
    assert dltc("fmt", "--check", "digits.dlt").code == 0


def test_diff_is_a_unified_diff(dltc, messy):
    done = dltc("fmt", "--diff", "m.dlt")
    assert done.code == 1
    assert done.out.startswith("--- m.dlt (as it is)\n+++ m.dlt (formatted)\n@@ ")
    assert "-  param W[e,d]~Normal( 0,var=1/d ) init 0\n" in done.out
    assert "+  param W[e, d] ~ Normal(0, var = 1/d)   init 0\n" in done.out
    assert messy.read_text() == MESSY
    assert dltc("fmt", "-q", "m.dlt").code == 0
    assert dltc("fmt", "--diff", "m.dlt") == type(done)(0, "", "")


def test_standard_input(process, messy):
    done = process("fmt", "-", input=MESSY)
    assert (done.code, done.err) == (0, "")
    assert process("fmt", "-", input=done.out).out == done.out
    assert process("fmt", "--check", "-", input=MESSY).out == "<stdin>\n"
    bad = process("fmt", "-", input="dlt 1\nmodel M { frob }\n")
    assert (bad.code, bad.out) == (1, "")


def test_json(dltc, messy):
    done = dltc("fmt", "--check", "--json", "m.dlt")
    assert done.code == 1
    assert done.json == {
        "schema": 1,
        "files": [{"file": "m.dlt", "changed": True, "formatted": True}],
        "diagnostics": [],
    }


def test_a_file_with_syntax_errors_is_left_alone_and_the_others_are_not(dltc, messy, folder):
    bad = folder / "bad.dlt"
    bad.write_text("dlt 1\nmodel M {\n   a=1\n  b = = 2\n}\n")
    before = bad.read_bytes()
    done = dltc("fmt", "bad.dlt", "missing.dlt", "m.dlt")
    assert done.code == 2
    assert "bad.dlt:4:" in done.err
    assert "bad.dlt is left as it is" in done.err
    assert "missing.dlt cannot be read" in done.err
    assert bad.read_bytes() == before
    assert messy.read_text() != MESSY
    assert dltc("fmt", "bad.dlt").code == 1
    assert dltc("fmt", "--json", "bad.dlt").json["diagnostics"][0]["line"] == 4


def test_line_ends_and_marks(dltc, messy):
    messy.write_bytes(b"\xef\xbb\xbf" + MESSY.replace("\n", "\r\n").encode())
    assert dltc("fmt", "m.dlt").code == 0
    assert messy.read_bytes() == format_text(MESSY).text.encode()


def test_permissions_and_links_stay(dltc, messy, folder):
    messy.chmod(0o640)
    link = folder / "link.dlt"
    link.symlink_to(messy)
    assert dltc("fmt", "link.dlt").code == 0
    assert link.is_symlink()
    assert messy.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_a_file_that_may_not_be_written(dltc, messy, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    done = dltc("fmt", "m.dlt")
    assert done.code == 2
    assert "m.dlt cannot be written: permission denied" in done.err
    assert messy.read_text() == MESSY


def test_torch_is_not_imported(process, messy):
    code = "import sys; from dltc.cli.main import main; main(['fmt', 'm.dlt']); sys.exit('torch' in sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
