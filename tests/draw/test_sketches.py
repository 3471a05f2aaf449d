"""What is drawn of each stage, and the files it becomes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dltc.compiler import draw
from dltc.compiler.draw.html import SCRIPT
from dltc.compiler.draw.sketch import KINDS
from dltc.compiler.draw.svg import DARK, LIGHT, SHAPES
from dltc.compiler.graph.node import Node, everywhere
from dltc.compiler.pipeline import DRAWN, GRAPHS, Artefact, compile_spec

NET = """dlt 1
use std.layers (Dense, LayerNorm)
model Net {
  axis pix = 6, hid = 4, cls = 3, t = 5
  input x[t, pix]
  input y: cls
  latent z[hid] ~ Normal(0, var = 1)
  param A[hid, hid'] ~ Normal(0, var = scale)
  param scale in positive ~ LogNormal(0, std = 1) init 1 frozen
  param B[hid, pix] ~ Normal(0, var = 1/pix)
  state seen[hid] = 0
  r[t, hid] = tanh(A[hid, hid'] * r[t-1, hid'] + B[hid, pix] * x[t, pix])   start 0
  end[hid] = r[last, hid]
  h = end |> Dense(n = hid, act = relu) as enc |> LayerNorm() as norm
  s = Dense(h, n = cls)
  seen[hid] <- 0.9 * seen[hid] + 0.1 * mean[batch](h[hid])
  q[hid] = h + z
  q ~ Normal(0, var = 1)
  y ~ Categorical(logits = s)
  probe size2 = h[hid] * h[hid]
  infer { z : Adam(lr = 0.1, steps = 5) }
  learn { * : Adam(lr = 2e-3) }
  train { batch 32; epochs 2; report accuracy(y, s), nll every 50 }
}
"""
KINDS_OF_NODES = [(stage, nodes) for stage in DRAWN for nodes in (False, True) if not nodes or stage in GRAPHS]


@pytest.fixture(scope="module")
def net() -> Artefact:
    return compile_spec(NET, "net.dlt")


def test_every_kind_has_a_shape_and_colours_of_its_own() -> None:
    assert set(SHAPES) == set(KINDS)
    for palette in (LIGHT, DARK):
        assert set(KINDS) < set(palette)
        told_apart = [palette[kind] for kind in KINDS if kind not in ("const", "op")]
        assert len({*told_apart}) == len(told_apart)
    main = ("input", "param", "state", "latent", "value", "density")
    assert len({SHAPES[kind] for kind in main}) == len(main)


def test_the_model_has_an_item_for_each_declaration_and_statement(net: Artefact) -> None:
    sketch = net.sketch("model")
    kinds = {key: item.kind for key, item in sketch.items.items()}
    assert kinds["x"] == "input" and kinds["A"] == "param" and kinds["seen"] == "state" and kinds["z"] == "latent"
    assert kinds["r"] == "value" and kinds["next seen"] == "update" and kinds["measure accuracy(y, s)"] == "measure"
    assert [k for k in kinds if kinds[k] == "density"] == [f"term {k}" for k in range(len(net.model.terms))]
    assert {*net.model.params, *net.model.inputs, *net.model.values} <= set(kinds)
    links = {(e.source, e.target): e.label for e in sketch.links}
    assert links["x", "r"] == "[batch, t=5, pix=6]" and links["A", "r"] == "[hid=4, hid'=4]"
    assert ("r", "r") in links and ("scale", "A") in links and ("h", "next seen") in links
    assert sketch.items["enc.W"].box == ("enc",) and sketch.items["s"].box == ("s",) == sketch.items["s.W"].box
    assert sketch.items["s"].output and not sketch.items["r"].output
    assert any(note.startswith("net.dlt:12   r[t, hid] = tanh(") for note in sketch.items["r"].notes)
    assert any(note.startswith("std/layers.dlt:") for note in sketch.items["enc.y"].notes)


@pytest.mark.parametrize("stage", GRAPHS)
def test_each_node_of_a_graph_is_an_item(net: Artefact, stage: str) -> None:
    graph = net.graph(stage)
    sketch = net.sketch(stage, nodes=True)
    inside = everywhere(graph)
    assert len(sketch.items) == len(inside)
    linked = {(e.source, e.target) for e in sketch.links}
    keys = {node: f"%{k}" for k, node in enumerate(graph.topological())}
    for node in keys:
        if node.op != "scan":
            assert {(keys[x], keys[node]) for x in node.inputs} <= linked
    for scan in [n for n in keys if n.op == "scan"]:
        own = [e for e in sketch.links if e.target.startswith(f"{keys[scan]}/") and "/" not in e.source]
        assert {e.source for e in own} <= {keys[x] for x in scan.inputs}
        assert own and any(e.target == keys[scan] for e in sketch.links)


@pytest.mark.parametrize("stage", GRAPHS)
def test_statements_are_linked_where_their_nodes_are(net: Artefact, stage: str) -> None:
    """A statement reaches another exactly when a path of nodes does: nothing is lost in joining them, nothing made up."""
    graph = net.graph(stage)
    sketch = net.sketch(stage)
    below: dict[str, set[str]] = {key: set() for key in sketch.items}
    for e in sketch.links:
        below[e.target].add(e.source)
    todo = {key: {*first} for key, first in below.items()}
    for key, waiting in todo.items():
        while waiting:
            x = waiting.pop()
            waiting |= below[x] - below[key]
            below[key] |= below[x]
    leaves = {f"{k} {n}" for k, n in [("input", "x"), ("input", "y"), ("param", "A"), ("param", "s.W")]}
    for root, node in graph.roots.items():
        key = next((k for k in (f"update {root}", f"measure {root}", f"density {root}") if k in sketch.items), None)
        if key is not None:
            seen: set[Node] = set()
            stack = [node]
            while stack:
                n = stack.pop()
                if n not in seen:
                    seen.add(n)
                    stack += n.inputs
            real = {
                f"{n.op} {n.attr('path' if n.op == 'param' else 'name')}" for n in seen if n.op in ("param", "input")
            }
            assert real & leaves <= below[key], root


def test_the_statements_of_a_step(net: Artefact) -> None:
    items = net.sketch("step").items
    assert {"update next enc.W", "gradient grad_enc.W", "state enc.W@m", "param enc.W", "value h"} <= set(items)
    assert (
        items["update next enc.W"].box
        == items["gradient grad_enc.W"].box
        == items["state enc.W@m"].box
        == ("enc learns",)
    )
    assert items["param enc.W"].box == ("enc",)
    assert items["update next enc.W"].name == "enc.W <-"


def test_the_densities_of_a_graph_are_called_as_written(net: Artefact) -> None:
    names = {item.name for item in net.sketch("graph").items.values() if item.kind == "density"}
    assert names == {"q ~ Normal", "y ~ Categorical", "z ~ Normal"}


def test_a_plan_has_a_box_for_each_routine_and_follows_its_variables(net: Artefact) -> None:
    sketch = net.sketch("plan")
    assert {item.box[0] for item in sketch.items.values()} == {r.name for r in net.plan.routines}
    step = [item for item in sketch.items.values() if item.box[0] == "_step"]
    (returned,) = [item for item in step if item.name == "return"]
    assert {e.label for e in sketch.links if e.target == returned.key} == {"nll", "objective"}
    assert any(item.kind == "loop" for item in step) and any(item.name == "enc_W <-" for item in step)


def test_what_is_not_drawn_is_refused(net: Artefact) -> None:
    for stage, nodes in (("code", False), ("syntax", False), ("model", True), ("plan", True), ("nonsense", False)):
        with pytest.raises(ValueError, match="not drawn"):
            net.sketch(stage, nodes=nodes)


class Page(HTMLParser):
    """Tags with their attributes, texts of scripts, how far elements are nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts.append(data)


@pytest.mark.parametrize(("stage", "nodes"), KINDS_OF_NODES)
def test_files_are_whole_and_load_nothing(net: Artefact, stage: str, nodes: bool) -> None:
    sketch = net.sketch(stage, nodes=nodes)
    picture, page = draw.svg(sketch), draw.html(sketch)
    root = ElementTree.fromstring(picture)
    items = [e for e in root.iter() if "item" in e.get("class", "").split()]
    edges = [e for e in root.iter() if "edge" in e.get("class", "").split()]
    assert (len(items), len(edges)) == (len(sketch.items), len(sketch.links))
    assert all(e[0].tag.endswith("title") and e[0].text for e in items)
    for text in (picture, page):
        outside = re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", text)
        assert not re.search(r"https?:|url\(|@import|\bsrc=|\bhref=|xlink", outside)
    parsed = Page(page)
    assert parsed.scripts == [SCRIPT]
    (policy,) = [a["content"] or "" for tag, a in parsed.tags if tag == "meta" and "http-equiv" in a]
    assert b64encode(sha256(SCRIPT.encode()).digest()).decode() in policy and "default-src 'none'" in policy
    assert "prefers-color-scheme: dark" in page
    views = [a for tag, a in parsed.tags if tag == "svg"]
    assert [("hidden" in a) for a in views] == ([False, True] if sketch.boxes else [False])


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "net.dlt").write_text(NET)
    made: list[list[bytes]] = []
    for seed in ("0", "7"):
        for stage, level in (("model", []), ("step", []), ("graph", ["--level", "node"]), ("plan", [])):
            files = ["--stage", stage, *level, "--svg", f"{seed}{stage}.svg", "--html", f"{seed}{stage}.html"]
            command = [sys.executable, "-m", "dltc", "show", "net.dlt", *files]
            subprocess.run(
                command, cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
            )
        made.append(
            [p.read_bytes() for p in sorted(tmp_path.glob(f"{seed}*.*ml")) + sorted(tmp_path.glob(f"{seed}*.svg"))]
        )
    assert len(made[0]) == 8 and made[0] == made[1]


def test_drawing_needs_neither_torch_nor_networkx(tmp_path: Path) -> None:
    (tmp_path / "net.dlt").write_text(NET)
    code = """import sys
from dltc.cli.main import main
for stage in ("model", "graph", "step", "optimized", "plan"):
    assert main(["show", "net.dlt", "--stage", stage, "--svg", "a.svg", "--html", "a.html"]) == 0
print([name for name in ("torch", "networkx") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_drawing_says_which_train_block_it_is_of() -> None:
    again = NET.rstrip().removesuffix("}") + "  train { steps 3; learn { A : SGD(lr = 0.1) } }\n}\n"
    for stage in DRAWN:
        assert compile_spec(again, "net.dlt").sketch(stage).title == f"{stage} of Net, last of 2 train blocks"
