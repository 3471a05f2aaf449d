"""`dltc check`: streams, exit codes, JSON, data headers; and that it stays light."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

REGRESSION = """dlt 1

model M {
  axis d = 3
  input x[d]
  input y
  param w[d] ~ Normal(0, var = 1)
  m = w[d] * x[d]
  y ~ Normal(m, var = 1)
  learn { w : SGD(lr = 0.1) }
  data from SOURCE {
    x = a
    y = b
  }
  train { batch all; steps 5; report rmse(y, m) }
}
"""


@pytest.fixture
def regression(folder):
    def write(source):
        (folder / "m.dlt").write_text(REGRESSION.replace("SOURCE", source))
        return "m.dlt"

    return write


def test_a_good_spec_is_silent(dltc, spec):
    assert dltc("check", "digits.dlt") == type(dltc("check", "digits.dlt"))(0, "", "")


def test_findings_are_results(dltc, spec):
    spec.write_text(spec.read_text().replace("x[pix])\n  s", "x[pxl])\n  s"))
    done = dltc("check", "digits.dlt")
    assert done.code == 1
    assert done.out.startswith("error[E020")
    assert "digits.dlt:13:" in done.out
    assert "\x1b" not in done.out
    assert done.err == "1 error\n"
    assert dltc("check", "--quiet", "digits.dlt").err == ""


def test_verbose_names_each_spec(dltc, spec):
    assert dltc("check", "-v", "digits.dlt", "digits.dlt").err == "digits.dlt: fine\n" * 2


def test_json_has_every_documented_field(dltc, spec):
    assert dltc("check", "--json", "digits.dlt").json == {"schema": 1, "diagnostics": []}
    spec.write_text(spec.read_text().replace("x[pix])\n  s", "x[pxl])\n  s"))
    done = dltc("check", "--json", "digits.dlt")
    assert done.code == 1
    (row,) = done.json["diagnostics"]
    documented = {"code", "severity", "file", "line", "column", "end_line", "end_column", "message", "help", "notes"}
    assert documented <= set(row)
    assert (row["file"], row["line"], row["severity"]) == ("digits.dlt", 13, "error")
    assert row["end_column"] - row["column"] == 3
    assert done.err == ""


def test_several_specs_and_an_unreadable_one(dltc, spec, folder):
    bad = folder / "bad.dlt"
    bad.write_text("dlt 1\nmodel M { frob }\n")
    done = dltc("check", "digits.dlt", "missing.dlt", "bad.dlt", ".")
    assert done.code == 2
    assert "missing.dlt cannot be read: no such file or directory" in done.err
    assert ". cannot be read: is a directory" in done.err
    assert "bad.dlt:2:" in done.out
    assert dltc("check", "digits.dlt", "bad.dlt").code == 1


def test_standard_input(process, spec):
    assert process("check", "-", input=spec.read_text()).code == 0
    done = process("check", "-", input="dlt 1\nmodel M { frob }\n")
    assert done.code == 1
    assert "<stdin>:2:" in done.out


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"dlt 1\n# caf\xe9\n", "E0104"),
        (b"DLT\x01\x00\xff\xfe binary", "E0103"),
        (b"", "E0101"),
        (b"# " + b"x" * 3_000_000, "E0105"),
        (b"# " + "\u00e9".encode() * 3_000_000, "E0105"),
    ],
)
def test_strange_files_are_findings(dltc, folder, content, code):
    (folder / "m.dlt").write_bytes(content)
    done = dltc("check", "--json", "m.dlt")
    assert done.code == 1
    assert code in [row["code"] for row in done.json["diagnostics"]]


def test_control_characters_do_not_reach_the_terminal(dltc, folder):
    (folder / "m.dlt").write_text("dlt 1\nmodel M { # \x1b]0;title\x07\x1b[31m\n frob }\n")
    done = dltc("check", "m.dlt")
    assert done.code == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.out)


def test_overrides(dltc, spec):
    assert dltc("check", "digits.dlt", "--set", "hid=7", "--set", "train.epochs=1").code == 0
    done = dltc("check", "--json", "digits.dlt", "--set", "hdi=7")
    assert (done.code, done.json["diagnostics"][0]["code"]) == (2, "E0219")
    for text in ("hid", "=3", "hid="):
        done = dltc("check", "digits.dlt", "--set", text)
        assert done.code == 2
        assert "write name=value" in done.err
    done = dltc("check", "digits.dlt", "--set", "hid=3", "--set", "hid=4")
    assert (done.code, "set twice" in done.err) == (2, True)


def test_columns_of_a_data_file_are_checked_from_its_header(dltc, folder, regression):
    path = regression('npz("d.npz")')
    np.savez(folder / "d.npz", a=np.zeros((9, 3)), b=np.zeros(9))
    assert dltc("check", path).code == 0
    np.savez(folder / "d.npz", a=np.zeros((9, 4)), bb=np.zeros(9))
    done = dltc("check", "--json", path)
    assert done.code == 1
    rows = {row["code"]: row for row in done.json["diagnostics"]}
    assert set(rows) == {"E0602", "E0604"}
    assert rows["E0602"]["message"] == "there is no column `b`; did you mean `bb`?"
    assert (rows["E0602"]["line"], rows["E0604"]["line"]) == (13, 12)
    assert rows["E0604"]["help"] == "declare `axis d = 4`"


def test_a_missing_data_file_is_a_warning(dltc, regression):
    done = dltc("check", "--json", regression('csv("d.csv")'))
    assert done.code == 0
    (row,) = done.json["diagnostics"]
    assert (row["code"], row["severity"]) == ("W0601", "warning")
    assert row["line"] is not None


def test_a_damaged_data_file_is_an_error(dltc, folder, regression):
    (folder / "d.npz").write_bytes(b"PK\x03\x04")
    done = dltc("check", "--json", regression('npz("d.npz")'))
    assert (done.code, done.json["diagnostics"][0]["code"]) == (1, "E0607")


def test_data_outside_the_specs_folder_need_permission(dltc, folder, regression):
    inner = folder / "inner"
    inner.mkdir()
    np.savez(folder / "d.npz", a=np.zeros((9, 3)), b=np.zeros(9))
    text = (folder / regression('npz("../d.npz")')).read_text()
    (inner / "m.dlt").write_text(text)
    done = dltc("check", "--json", "inner/m.dlt")
    assert (done.code, done.json["diagnostics"][0]["code"]) == (1, "E0608")
    assert dltc("check", "--allow-path", "inner/m.dlt").code == 0


@pytest.mark.parametrize(
    "arguments", [["check", "digits.dlt"], ["--help"], ["check", "--help"], ["doctor"], ["explain"]]
)
def test_light_commands_import_nothing_heavy(spec, arguments):
    code = (
        "import sys; from dltc.cli.main import main; code = main(sys.argv[1:]);"
        "print([m for m in ('torch', 'networkx', 'jinja2', 'sklearn', 'pandas', 'rich') if m in sys.modules], file=sys.stderr);"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, dltc; print([m for m in ('torch', 'networkx', 'jinja2', 'sklearn', 'lark') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("line", "code", "exit_code"),
    [
        ("use std.LONG (Dense)", "E0240", 1),
        ("use std.a.b.c (Dense)", "E0240", 1),
        ('use "LONG.dlt" (Dense)', "E0240", 1),
        ('data from csv("LONG.csv") { x = a }', "W0601", 0),
        ('data from npz("LONG.npz") { x = a }', "W0601", 0),
        ('data from text("LONG.txt") { x = tok }', "W0601", 0),
    ],
)
def test_names_longer_than_a_file_system_takes(dltc, folder, line, code, exit_code):
    body = "axis t = 64\n  input x[t]\n  h = sum(x)"
    use, data = (line, "") if line.startswith("use") else ("", line)
    (folder / "m.dlt").write_text(f"dlt 1\n{use}\nmodel M {{\n  {body}\n  {data}\n}}\n".replace("LONG", "layer" * 60))
    done = dltc("check", "m.dlt")
    assert (done.code, code in done.out, "internal" in done.err) == (exit_code, True, False), done.err
