"""The documentation is true: every `dlt` block compiles (or is refused with the code that stands above it), every command is
run, and what is shown of its output is what it prints.

Comments steer: ``<!-- file: NAME -->`` saves the next block, ``<!-- edit: A -> B | old | new -->`` makes B from A, and
``<!-- error: CODE -->`` says that the next block is refused.  A shown line must occur in the output, in this order; a number may go
on in the output (``0.96`` stands for 0.963788).  ``[exit N]`` is an exit code other than 0.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from dltc.cli.main import main
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.frontend.alphabet import axes_of_text
from dltc.compiler.pipeline import Options, compile_spec

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
_PART = re.compile(
    r"<!-- (?P<word>file|edit|error): (?P<what>.*?) -->|^```(?P<kind>\w+)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Part:
    """A steering comment, or a fenced block: its kind, its text, the line that it stands on."""

    kind: str
    text: str
    line: int


def parts(page: Path) -> list[Part]:
    text = page.read_text(encoding="utf-8")
    return [
        Part(m["word"] or m["kind"], m["what"] or m["text"] or "", text.count("\n", 0, m.start()) + 1)
        for m in _PART.finditer(text)
    ]


def whole(text: str) -> str:
    """A body of a model as a file."""
    return text if text.startswith("dlt 1") else f"dlt 1\nmodel M {{\n{text}\n}}\n"


def codes(text: str) -> list[str]:
    """What is wrong with a spec, warnings too; everything up to the emitted module is made."""
    try:
        sized = dict.fromkeys(
            axes_of_text(text, "m.dlt", None, {}), "99"
        )  # by the alphabet of a text, which is not there
        artefact = compile_spec(whole(text), "m.dlt", Options(set=sized))
        assert artefact.source
    except SpecError as error:
        return [d.code for d in error.diagnostics]
    return [
        d.code for d in artefact.checked.findings.items if d.code not in ("W0203", "W0301")
    ]  # a snippet need not use all


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_blocks_compile(page: Path) -> None:
    wanted: list[str] = []
    for part in parts(page):
        if part.kind == "error":
            wanted = [part.text]
        elif part.kind == "dlt":
            assert codes(part.text) == wanted, f"{page.name}:{part.line}"
            wanted = []


def occurs(shown: str, printed: str) -> bool:
    """Whether a printed line holds what is shown, word by word; a shown number may go on in the output."""
    words, there = shown.split(), printed.split()
    starts = range(len(there) - len(words) + 1)
    return any(all(map(_begins, there[k : k + len(words)], words)) for k in starts)


def _begins(printed: str, shown: str) -> bool:
    return printed == shown or (printed.startswith(shown) and re.fullmatch(r"-?\d+\.\d*", shown) is not None)


def run(text: str, capsys: pytest.CaptureFixture[str], place: str) -> int:
    """Run the commands of a block; how many there were."""
    count = 0
    for session in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = session.partition("\n")
        words = shlex.split(command, comments=True)
        assert words[0] == "dltc", f"{place}: {command}"
        code = main(words[1:])
        done = capsys.readouterr()
        printed = [line for line in (done.out + "\n" + done.err).splitlines() if line.strip()]
        lines = [line for line in shown.splitlines() if line.strip()]
        wanted = [int(line[6:-1]) for line in lines if line.startswith("[exit ")] or [0]
        assert code == wanted[0], f"{place}: {command}\n{done.out}{done.err}"
        at = 0
        for line in (x for x in lines if not x.startswith("[exit ")):
            while at < len(printed) and not occurs(line, printed[at]):
                at += 1
            assert at < len(printed), f"{place}: `{command}` does not print\n{line}\nbut\n{done.out}{done.err}"
        count += 1
    return count


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "README.md"], ids=lambda p: p.name)
def test_commands_do_what_is_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved = ""
    for part in parts(page):
        if part.kind == "file":
            saved = part.text
        elif part.kind in ("dlt", "python") and saved:
            Path(saved).write_text(part.text)
            saved = ""
        elif part.kind == "edit":
            names, old, new = (x.strip() for x in part.text.split(" | "))
            source, target = (x.strip() for x in names.split("->"))
            text = Path(source).read_text()
            assert old in text, f"{page.name}:{part.line}"
            Path(target).write_text(text.replace(old, new))
        elif part.kind == "console":
            run(part.text, capsys, f"{page.name}:{part.line}")


def test_there_is_something_to_test() -> None:
    kinds = [part.kind for page in PAGES for part in parts(page)]
    assert kinds.count("dlt") >= 25 and kinds.count("console") >= 10 and kinds.count("error") >= 5


def test_the_python_of_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = parts(ROOT / "docs" / "tutorial.md")
    Path("digits.dlt").write_text(next(p.text for p in found if p.kind == "dlt"))
    exec(next(p.text for p in found if p.kind == "python"), {})


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
            assert (page.parent / target).exists(), (page.name, target)
