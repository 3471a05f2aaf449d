"""The report: stable JSON that holds everything, a text made of it, and places on both sides."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from dltc.compiler.diff import CLASSES, NEUTRAL, Change, Diff
from dltc.compiler.diff.report import arranged, render

MANY = [
    ("relu(W", "tanh(W"),
    ("pix = 6", "pix = 5"),
    ("sigma = 0.3", "sigma = 0.4"),
    ("lr = 2e-3", "lr = 1e-3"),
    ("test 0.2", "test 0.3"),
    ("batch 32", "batch 16"),
    ("c[cls]", "bias[cls]"),
    ("V, c :", "V, bias :"),
    ("## an image", "## a picture"),
    ("  learn {", "  h ~ Normal(0, var = 1)^0.01\n  learn {"),
    ("[0..5]", "[0..4]"),
]

GOLDEN = """\
a.dlt -> b.dlt: different (3 semantic, 1 params, 2 prior, 1 learning, 3 schedule, 1 rename, 1 cosmetic)
  semantic  equation h   [a.dlt:19 -> b.dlt:19]
            - h[hid] = g[hid] * relu(W[hid, pix] * x[pix] + b[hid])
            + h[hid] = g[hid] * tanh(W[hid, pix] * x[pix] + b[hid])
  semantic  density h: added h ~ Normal(0, var = 1)^0.01   [b.dlt:24]
  semantic  output h: not returned -> returned   [a.dlt:19 -> b.dlt:19]
  params    axis pix: pix = 6 -> pix = 5   [a.dlt:5 -> b.dlt:5]
            82 -> 78 numbers in parameters
  prior     prior W: Normal(mean = 0, var = 2 / 6) -> Normal(mean = 0, var = 2 / 5)   [a.dlt:13 -> b.dlt:13]
            `pix` is 5, was 6; its initial value is drawn from it
  prior     prior g: LogNormal(m = 0, std = 0.3) -> LogNormal(m = 0, std = 0.4)   [a.dlt:15 -> b.dlt:15]
            `sigma` is 0.4, was 0.3
  learning  rule W, b: Adam(lr = 2e-3) -> Adam(lr = 1e-3)   [a.dlt:25 -> b.dlt:26]
  schedule  column x: data[0..5] / 16 + 1 -> data[0..4] / 16 + 1   [a.dlt:31 -> b.dlt:32]
  schedule  data test: 0.2 -> 0.3   [a.dlt:34 -> b.dlt:35]
  schedule  setting batch: 32 -> 16   [a.dlt:37 -> b.dlt:38]
  rename    parameter: c -> bias   [a.dlt:17 -> b.dlt:17]
            a checkpoint holds it under the old name: write it under the new one before loading
  cosmetic  doc x: an image -> a picture   [a.dlt:9 -> b.dlt:9]
"""


def changed(text):
    for old, new in MANY:
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_text(net, compare):
    assert f"{compare(net, changed(net))}\n" == GOLDEN


def test_the_text_is_made_of_the_json_alone(net, compare):
    found = compare(net, changed(net))
    assert render(json.loads(json.dumps(found.to_json()))) == str(found)


def test_the_json_is_complete(net, compare):
    found = compare(net, changed(net))
    data = found.to_json()
    assert [*data] == ["schema", "same", "a", "b", "level", "changes"]
    assert (data["schema"], data["same"], data["a"], data["b"], data["level"]) == (1, False, "a.dlt", "b.dlt", "graph")
    keys = ["class", "what", "path", "a", "b", "before", "after", "note"]
    assert all([*change] == keys for change in data["changes"])
    assert {change["class"] for change in data["changes"]} <= set(CLASSES)
    assert len(data["changes"]) == len(found.changes)
    for change in data["changes"]:
        assert (change["a"] is None) == (change["before"] is None)
        assert (change["b"] is None) == (change["after"] is None)


def test_nothing_to_say(net, compare):
    found = compare(net, net)
    assert str(found) == "a.dlt -> b.dlt: same meaning"
    assert found.to_json()["changes"] == []


def test_classes_decide_what_is_the_same(net, compare):
    for cls in CLASSES:
        change = Change(cls, "thing", "p", None, None, "1", "2")
        assert Diff("a", "b", [change]).same == (cls in NEUTRAL)
    found = compare(net, changed(net))
    assert [c.path for c in found.of_class("learning")] == ["W, b"]
    assert found.of_class("nothing") == []


def test_changes_that_read_alike_are_one():
    one = Change("learning", "rule", "W", "a:1", "b:1", "A()", "B()")
    two = Change("learning", "rule", "b", "a:1", "b:1", "A()", "B()")
    three = Change("semantic", "rule", "b", "a:1", "b:1", "A()", "B()")
    assert [(c.cls, c.path) for c in arranged([one, three, two, one])] == [("semantic", "b"), ("learning", "W, b")]


def test_a_difference_that_no_statement_shows_is_not_silent(net, compare, monkeypatch):
    """Every statement reads alike, but the whole does not: whatever the reason, the specs are not the same."""
    from dltc.compiler.diff.match import Match

    monkeypatch.setattr(Match, "agree", property(lambda self: False))
    (change,) = compare(net, net).changes
    assert (change.cls, change.what) == ("semantic", "graph")


def test_multi_line_statements_are_shown_on_one_line(net, compare):
    text = net.replace("relu(W[hid, pix] * x[pix] + b[hid])", "relu(  # words\n    W[hid, pix] * x[pix]\n    + b[hid])")
    assert compare(net, text).changes == []
    (change,) = compare(text, text.replace("relu", "tanh")).changes
    assert change.before == "h[hid] = g[hid] * relu( W[hid, pix] * x[pix] + b[hid])"


def test_a_default_has_the_place_of_its_block(net, compare):
    (change,) = compare(net.replace("batch 32; ", ""), net.replace("batch 32", "batch 7")).changes
    assert (change.before, change.after, change.a, change.b) == ("32", "7", "a.dlt:37", "b.dlt:37")


SCRIPT = """
import sys
from dltc.compiler.diff import diff_artefacts
from dltc.compiler.pipeline import compile_spec
for pair in sys.stdin.read().split("#####"):
    a, b = pair.split("=====")
    print(diff_artefacts(compile_spec(a, "a.dlt"), compile_spec(b, "b.dlt")))
    print(diff_artefacts(compile_spec(b, "b.dlt"), compile_spec(a, "a.dlt")))
assert not {"torch", "networkx"} & sys.modules.keys()
"""


def test_the_same_bytes_in_every_process_and_nothing_heavy_imported(net, zoo):
    pairs = []
    for text, other in ((net, changed(net)), (zoo, zoo.replace("tanh(A", "sin(A").replace("lr = 0.2", "lr = 0.3"))):
        renamed = re.sub(r"\b(W|b|V|A|B|U|x|z|hid|d)\b", r"\1_2", other)
        pairs += [f"{text}====={other}", f"{text}====={renamed}"]
    outputs = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, input="#####".join(pairs), env=env, capture_output=True, text=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
