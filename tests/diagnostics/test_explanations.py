"""Every code is explained: its example raises it, its fix raises nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dltc.cli.data_check import header_findings
from dltc.compiler.codes import CODES
from dltc.compiler.diagnostics import Diagnostic, SpecError
from dltc.compiler.explanations import Explanation, explanations
from dltc.compiler.pipeline import Options, compile_spec
from dltc.runtime.errors import DataError
from dltc.runtime.session import Job, load_data

ABRIDGED: dict[str, Callable[[str], str]] = {  # what an explanation writes as `...`
    "E0105": lambda text: text.replace("...", "." * 2_000_000),
    "E0106": lambda text: text.replace("...", "(" * 200, 1).replace("...", ")" * 200),
}


def findings(e: Explanation, snippet: str, folder: Path, overrides: dict[str, str]) -> list[Diagnostic]:
    """What `check` says of a snippet, data files included."""
    text = ABRIDGED.get(e.code, str)(e.spec_of(snippet))

    def read(path: str) -> str:
        return (folder / path).read_text()

    try:
        options = Options(set=overrides, read=read, allow_extern=e.code != "E0250")
        artefact = compile_spec(text, "m.dlt", options)
    except SpecError as error:
        return list(error.diagnostics)
    found = [*artefact.checked.findings.items, *header_findings(artefact.model, folder, allow_path=False)]
    if found or artefact.model.data is None or not any((folder / name).exists() for name in e.files):
        return found
    try:  # what only the values tell
        load_data(Job(artefact.source, artefact.manifest, artefact.text, folder, {}))
    except DataError as error:
        return [Diagnostic(p.code, p.message, None) for p in error.problems]
    return found


def test_every_code_is_explained_and_nothing_else() -> None:
    assert list(explanations()) == list(CODES)


@pytest.mark.parametrize("e", explanations().values(), ids=lambda e: e.code)
def test_example_and_fix(e: Explanation, tmp_path: Path) -> None:
    for name, content in e.files.items():
        (tmp_path / name).write_text(content)
    overrides = dict([e.set.split("=")]) if e.set else {}
    assert [d.code for d in findings(e, e.wrong, tmp_path, overrides)] == [e.code]
    assert findings(e, e.right, tmp_path, {}) == []
    assert len(e.means) > 30 and e.means.endswith((".", ".)"))
