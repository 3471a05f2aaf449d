"""Text of a spec in what is made of it: Python holds it as escaped literals and plain comments, the rest as data.

What a hostile author controls in a module: names of models, axes, tensors and rules, comments and documentation, the
text of statements, paths of data, the file's name.  The module is compiled and its tree compared with the module of the
harmless twin: the same but for the values of string literals.
"""

from __future__ import annotations

import ast
import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dltc.cli.main import main
from dltc.compiler import draw
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.draw.html import SCRIPT
from dltc.compiler.draw.sketch import Item, Link, Sketch
from dltc.compiler.pipeline import DRAWN, GRAPHS, Options, compile_spec

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


NET = """dlt 1
use "part.dlt" (Part)   # DOC
model M {
  axis i = 3
  ## DOC
  input x[i]   # DOC
  latent z[i] ~ Normal(0, var = 1)   # DOC
  h = Part(x) as inner   # DOC
  g[i] = h[i] + z[i]   # DOC
  g ~ Normal(0, var = 1)   # DOC
  infer { z : Adam(lr = 0.1, steps = 2) }   # DOC
  learn { * : SGD(lr = 0.1) }   # DOC
  train { epochs 1; report rmse(h,   x) }   # DOC
}
"""
PART = """dlt 1
circuit Part() {   # DOC
  input x[i]
  ## DOC
  param W[i, i'] ~ Normal(0, var = 1)   # DOC
  output y[i] = W[i, i'] * x[i']   # DOC
}
"""


class Shape(HTMLParser):
    """What a browser makes of a page: elements with the names of their attributes, and every script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shape: list[tuple[str, ...]] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts.append(data)


def drawn(doc: str, name: str = "m.dlt") -> list[tuple[str, str]]:
    """Every drawing of a spec with circuits, a latent and a used file: pictures and pages."""
    read = {"part.dlt": PART.replace("DOC", doc)}
    artefact = compile_spec(NET.replace("DOC", doc), name, Options(read=lambda path: read[path]))
    sketches = [artefact.sketch(stage) for stage in DRAWN] + [artefact.sketch(s, nodes=True) for s in GRAPHS]
    return [(draw.svg(sketch), draw.html(sketch)) for sketch in sketches]


def shapes(drawings: list[tuple[str, str]]) -> list[object]:
    made: list[object] = []
    for picture, page in drawings:
        made.append([(e.tag, *e.keys()) for e in ElementTree.fromstring(picture).iter()])
        parsed = Shape(page)
        assert parsed.scripts == [SCRIPT]
        made.append(parsed.shape)
    return made


@pytest.mark.parametrize(
    "attack", [*ATTACKS, "]]>", "--><!--", "&lt;script&gt;", "' onload=x '", '" onfocus="x" "', "<svg/onload=x>"]
)
def test_text_stays_text_in_drawings(attack: str) -> None:
    """Elements and attributes are those of the harmless twin; the text itself is there, to be read."""
    drawings = drawn(attack)
    assert shapes(drawings) == shapes(drawn("harmless"))
    titles = [e.text or "" for e in ElementTree.fromstring(drawings[0][0]).iter() if e.tag.endswith("title")]
    assert any(f"# {attack}" in text for text in titles)


@pytest.mark.parametrize(
    "name", ["</title><script>x</script>.dlt", "a\nb.dlt", "\u202e.dlt", "a\x00\x1b[31m.dlt", '"><x>.dlt']
)
def test_the_files_name_stays_text_in_drawings(name: str) -> None:
    assert shapes(drawn("harmless", name)) == shapes(drawn("harmless"))


def test_no_string_of_a_sketch_is_markup() -> None:
    """Whatever later stages put into a sketch: names, kinds of flows, boxes, titles."""
    bad = "</script></style></svg><script>alert(1)</script>\x00\x0b\ud800\ufffe\u202e\"'"

    def sketch(word: str) -> Sketch:
        items = [Item(f"{word}{k}", word, "value", word, (word, word), box=(word, f"{word}.")) for k in range(2)]
        return Sketch.of(word, word, items, [Link(f"{word}0", f"{word}1", word)])

    assert shapes([(draw.svg(sketch(bad)), draw.html(sketch(bad)))]) == shapes(
        [(draw.svg(sketch("w")), draw.html(sketch("w")))]
    )
