"""Text of a spec in what is made of it: Python holds it as escaped literals and plain comments, the rest as data.

What a hostile author controls in a module: names of models, axes, tensors and rules, comments and documentation, the
text of statements, paths of data, the file's name.  The module is compiled and its tree compared with the module of the
harmless twin: the same but for the values of string literals.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from dltc.cli.main import main
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.pipeline import compile_spec

SPEC = """dlt 1
## DOC
model M {
  axis i = 3
  input x[i]   # DOC
  ## DOC
  param W[i] ~ Normal(0, var = 1)   ## DOC
  h = W[i] * x[i]   # DOC
  h ~ Normal(0, var = 1)   # DOC
  learn { W : SGD(lr = 0.1) }   # DOC
  data from csv("PATH") { x = COLUMN }   # DOC
  train { epochs 1; report rmse(h,   h)   }   # DOC
}
"""
ATTACKS = (
    '"""; import os; os.system("touch pwned") #',
    "'''; raise SystemExit",
    "\\",
    '\\\\"',
    "\\n raise SystemExit",
    "{{ 7 * 7 }} {% for x in y %} {# c",
    "</script><script>alert(1)</script>",
    "*/ abort(); /*",
    "%s %d {0} ${HOME} `id`",
    "\\x00 \\u202e \\N{BULLET}",
    "é 🙂 ∑",
    "# coding: utf-7",
    "-*- coding: rot13 -*-",
)


def structure(source: str) -> str:
    """The tree of a module with every text replaced, without its line map (long texts break lines elsewhere)."""
    tree = ast.parse(source)
    assert "map" in ast.unparse(tree.body[-1]).lower() or "lines" in ast.unparse(tree.body[-1]).lower()
    del tree.body[-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = "text"
    return ast.dump(tree)


def module(doc: str, path: str, name: str = "m.dlt") -> str:
    return compile_spec(SPEC.replace("DOC", doc).replace("PATH", path).replace("COLUMN", "a"), name).source


@pytest.mark.parametrize("attack", ATTACKS)
def test_comments_and_texts_stay_text(attack: str) -> None:
    path = attack.replace('"', "").replace("\n", "")
    assert structure(module(attack, path)) == structure(module("harmless", "d.csv"))
    for stage in ("plan", "code", "graph"):
        assert compile_spec(SPEC.replace("DOC", attack).replace("PATH", path).replace("COLUMN", "a"), "m.dlt").stage(
            stage
        )


@pytest.mark.parametrize(
    "name", ['a"; import os #.dlt', "a\nimport os\n.dlt", "a\r\nimport os.dlt", "\u202e.dlt", "'''.dlt"]
)
def test_the_files_name_stays_text(name: str) -> None:
    """A path may hold any character; in the module it is in comments and literals alone."""
    assert structure(module("harmless", "d.csv", name)) == structure(module("harmless", "d.csv"))


WORDS = [
    "__class__",
    "__init__",
    "__dict__",
    "__reduce__",
    "__import__",
    "self",
    "torch",
    "rt",
    "math",
    "F",
    "v",
    "t",
    "n",
    "draw",
    "inputs",
    "int",
    "float",
    "abs",
    "class_",
    "None_",
    "forward",
    "step",
    "state_dict",
    "parameters",
    "named_parameters",
    "eval",
    "cuda",
    "half",
    "log_prob",
    "log_prior",
    "log_joint",
    "buffers",
    "device",
    "dtype",
    "seed",
    "examples",
    "load",
    "exec",
    "compile",
    "print",
    "open",
    "os",
    "sys",
    "type",
    "object",
    "super",
    "W_",
    "x_",
    "_W",
    "__",
    "_",
    "_x",
    "__x",
    "Module",
    "STATE",
    "OUTPUTS",
]


@pytest.mark.parametrize("word", WORDS)
def test_no_name_hides_what_the_module_uses(word: str) -> None:
    """Names that Python, torch or the module itself use are never assigned to."""
    text = "dlt 1\nmodel M {\n  axis i = 2\n  input IN[i]\n  param PA[i] ~ Normal(0, var = 1)\n  h = PA[i] * IN[i]\n  h ~ Normal(0, var = 1)\n  learn { * : SGD(lr = 0.1) }\n}\n"
    for spec in (text.replace("IN", word), text.replace("PA", word)):
        tree = ast.parse(compile_spec(spec, "m.dlt").source)
        assigned = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        assert not assigned & {"self", "torch", "F", "rt", "math", "int", "float", "abs", "min", "max", "Tensor"}
        compile(tree, "m.py", "exec")


@pytest.mark.parametrize("word", ["class", "def", "import", "lambda", "None", "True", "yield", "async"])
def test_keywords_of_python_are_names_here(word: str) -> None:
    text = f"dlt 1\nmodel {word} {{\n  axis {word}x = 2\n  input x[{word}x]\n  {word} = sum(x)\n}}\n"
    try:
        source = compile_spec(text, "m.dlt").source
    except SpecError as error:
        assert all(d.span is not None for d in error.diagnostics)
    else:
        compile(source, "m.py", "exec")


@pytest.mark.parametrize(
    "path", ["../d.csv", "/etc/passwd", "a/../../d.csv", "link.csv", "~/d.csv", "nul\\u0000.csv", "//etc/passwd"]
)
def test_data_paths_do_not_leave_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    """Refused with a code, or not there; never read."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "d.csv").write_text("a\n1\n2\n")
    (inner / "link.csv").symlink_to(tmp_path / "d.csv")
    monkeypatch.chdir(inner)
    Path("m.dlt").write_text(f'dlt 1\nmodel M {{\n  input x\n  h = 2 * x\n  data from csv("{path}") {{ x = a }}\n}}\n')
    main(["check", "--json", "m.dlt"])
    rows = json.loads(capsys.readouterr().out)["diagnostics"]
    assert [row["code"] for row in rows] in (["E0608"], ["W0601"], ["E0607"]), rows
    assert path != "link.csv" or rows[0]["code"] == "E0608"
