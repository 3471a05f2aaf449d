"""The process boundary: usage, help, internal errors, closed pipes, colours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dltc.cli import console
from dltc.cli import main as boundary
from dltc.cli.console import escape
from dltc.cli.main import COMMANDS


def test_version_and_help(dltc):
    import dltc as package

    assert dltc("--version").out == f"dltc {package.__version__}\n"
    done = dltc("--help")
    assert done.code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.out, re.MULTILINE)
    assert dltc("-h").out == done.out


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself_with_an_example(dltc, name):
    done = dltc(name, "--help")
    assert done.code == 0
    assert f"Usage: dltc {name}" in done.out
    assert f"dltc {name}" in done.out.partition("Example:")[2]
    assert "--json" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage: dltc"),
        (["frob"], "`frob` is no command; `dltc --help` lists all commands"),
        (["chekc", "x.dlt"], "did you mean `check`?"),
        (["show", "x.dlt", "--stage", "stpe"], "`stpe` is unknown; did you mean `step`?"),
        (["build", "x.dlt", "-o", "o", "--target", "coda"], "`coda` is unknown; did you mean `cuda`?"),
        (["check"], "Missing argument"),
        (["check", "--frob", "x"], "No such option"),
        (["train", "x.dlt", "--seed", "x"], "not a valid integer"),
        (["train", "x.dlt", "--dtype", "float16"], "`float16` is unknown; did you mean `float32`?"),
        (["train", "missing.dlt"], "missing.dlt cannot be read: no such file or directory"),
        (["build", "digits.dlt"], "Missing option '-o'"),
        (["eval", "nowhere"], "there is no checkpoint in nowhere"),
        (["explain", "E9999"], "E9999 is not a diagnostic code"),
    ],
)
def test_usage_errors_exit_with_2(dltc, spec, arguments, message):
    done = dltc(*arguments)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_explain(dltc):
    assert dltc("explain", "e0203").out.startswith("E0203  an axis that the tensor does not have")
    assert "W0601" in dltc("explain").out
    assert set(dltc("explain", "E0203", "--json").json) == {"schema", "codes"}


def test_an_internal_error_leaves_a_report_and_no_traceback(dltc, spec, monkeypatch, tmp_path):
    def broken(*_):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("dltc.cli.check.check_spec", broken)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = dltc("check", "digits.dlt")
    assert done.code == 70
    assert "internal error: RuntimeError: a fault of ours" in done.err
    assert "Traceback" not in done.err
    report = Path(re.search(r"this file: (.*)$", done.err, re.MULTILINE)[1])
    text = report.read_text()
    assert report.parent == tmp_path
    assert "command: dltc check digits.dlt" in text
    assert "in broken" in text


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (MemoryError, 4), (BrokenPipeError, 0)])
def test_other_ends(dltc, monkeypatch, error, code):
    def broken(_):
        raise error

    monkeypatch.setattr(boundary, "_invoke", broken)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert dltc("doctor").code == code


def test_a_package_that_is_not_installed_exits_with_3(dltc, monkeypatch):
    def needs(name):
        def broken(_):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        monkeypatch.setattr(boundary, "_invoke", broken)
        return dltc("doctor")

    done = needs("torch")
    assert (done.code, done.err) == (
        3,
        "error: the package torch is not installed (`dltc doctor` lists what is missing)\n",
    )
    assert needs("dltc.nowhere").code == 70


def test_a_closed_pipe_is_no_traceback(spec):
    command = [sys.executable, "-m", "dltc", "show", "digits.dlt"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_terminal_without_the_character_gets_an_escape(process, folder):
    (folder / "m.dlt").write_text("dlt 1\nmodel M { frob } # \u2192\n")
    done = process("check", "m.dlt", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.code == 1
    assert "\\u2192" in done.out


class Terminal:
    def isatty(self):
        return True


def test_colours_follow_the_terminal_and_no_color(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert console.colored(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not console.colored(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not console.colored(Terminal())


def test_escape_keeps_our_colours_only():
    assert escape("\x1b[31mred\x1b[0m \x1b]0;x\x07\x9b\r\tok\n") == "\x1b[31mred\x1b[0m \\x1b]0;x\\x07\\x9b\\x0d\tok\n"


def test_doctor(dltc, monkeypatch, tmp_path):
    done = dltc("doctor", "--json")
    assert done.code == 0
    assert done.json["ok"] is True
    found = {row["name"]: row for row in done.json["findings"]}
    assert found["torch"]["state"] == "ok"
    assert found["cache"]["detail"] == os.environ["DLTC_CACHE"]
    monkeypatch.setattr("dltc.cli.doctor._NEEDED", {"torch": (99, 0), "no-such-package": (1,)})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLTC_CACHE", str(tmp_path / "file" / "x"))
    done = dltc("doctor")
    assert done.code == 3
    assert re.search(r"missing +torch .*is too old: 99.0 or newer is needed", done.out)
    assert re.search(r"missing +no-such-package +install it, version 1 or newer", done.out)
    assert re.search(r"missing +cache .*set DLTC_CACHE", done.out)


def test_doctor_asks_for_what_pyproject_asks_for(root):
    import tomllib

    from dltc.cli.doctor import _NEEDED, _OPTIONAL

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    bounds = dict(re.match(r"([a-z0-9-]+)>=([\d.]+)", item).groups() for item in project["dependencies"])
    assert {name: ".".join(map(str, least)) for name, least in _NEEDED.items()} == bounds
    for package, extra in _OPTIONAL.items():
        assert any(item.startswith(package) for item in project["optional-dependencies"][extra])
