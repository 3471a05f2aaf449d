"""`dltc build --verify`: silent about what is right, an internal error with a report about what is not."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

from dltc.compiler import pipeline
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.node import Graph
from dltc.compiler.render import render as rendering

LINE = r"verified {}: (?:{} passes, )?\d+ outputs, largest relative difference [\d.e-]+"
READS_FAR = "dlt 1\nmodel M {\n  axis t\n  input x[t]\n  h = x[99]\n}\n"


def test_a_line_for_each_graph(dltc, spec):
    done = dltc("build", "digits.dlt", "-o", "out", "--verify")
    assert (done.code, done.out) == (0, "out/digits.py\nout/manifest.json\n")
    functions, step, module = done.err.splitlines()
    exact = "; 6 of 6 algebraic passes exact modulo 2\\^61 - 1"
    assert re.fullmatch(LINE.format("functions graph", 7) + exact, functions)
    assert re.fullmatch(LINE.format("step graph", 7) + exact, step)
    assert re.fullmatch(LINE.format("emitted module", 0), module)
    assert dltc("build", "digits.dlt", "-o", "out", "--verify", "-q").err == ""


def test_what_is_written_is_the_same(dltc, spec):
    dltc("build", "digits.dlt", "-o", "with", "--verify")
    dltc("build", "digits.dlt", "-o", "without")
    assert Path("with/digits.py").read_bytes() == Path("without/digits.py").read_bytes()
    assert Path("with/manifest.json").read_bytes() == Path("without/manifest.json").read_bytes()


def test_json(dltc, spec):
    done = dltc("build", "digits.dlt", "-o", "out", "--verify", "--json", "--without", "share")
    graphs = done.json["verified"]["graphs"]
    assert [(g["name"], g["passes"]) for g in graphs] == [
        ("functions graph", 6),
        ("step graph", 6),
        ("emitted module", 0),
    ]
    assert all(g["exact"] == g["algebraic"] and g["outputs"] and g["largest"] < 1e-13 for g in graphs)
    assert done.json["verified"]["not_compared"] == []
    assert "verified" not in dltc("build", "digits.dlt", "-o", "out", "--json").json


def test_a_wrong_pass_is_an_internal_error_with_a_report(dltc, spec, monkeypatch, tmp_path):
    """It never looks like a mistake in the spec, and nothing is written."""

    def run(graph: Graph) -> Graph:
        return graph.rewrite(
            lambda node, inputs: (
                e.abs_(graph.pool, inputs[0]) if node.op == "relu" else e.remake(graph.pool, node, inputs)
            )
        )

    passes = pipeline.load_passes()
    wrong = SimpleNamespace(name="stable", algebraic=False, moves=False, run=run)
    monkeypatch.setattr(pipeline, "load_passes", lambda **_: (passes[0], wrong, *passes[2:]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = dltc("build", "digits.dlt", "-o", "out", "--verify")
    assert (done.code, done.out) == (70, "")
    assert "internal error: PassFault: the pass `stable` (2 of 7) changes what the functions graph computes" in done.err
    assert "the first node that it changes: relu(contract): real[batch, hid] from digits.dlt:13" in done.err
    assert "it became: abs(contract): real[batch, hid]" in done.err
    assert "error[E" not in done.err
    assert not Path("out").exists()
    report = Path(re.search(r"this file: (.*)$", done.err, re.MULTILINE)[1]).read_text()
    assert "command: dltc build digits.dlt -o out --verify" in report
    assert "the pass `stable` (2 of 7)" in report


def test_a_wrong_module_is_an_internal_error(dltc, spec, monkeypatch):
    right = rendering.render
    monkeypatch.setattr(rendering, "render", lambda *a: right(*a).replace("torch.relu", "torch.abs"))
    done = dltc("build", "digits.dlt", "-o", "out", "--verify")
    assert done.code == 70
    assert (
        "internal error: EmittedFault: the emitted module computes something else than the optimized graph" in done.err
    )
    assert "`value h` comes from digits.dlt:13" in done.err
    assert not Path("out").exists()


def test_what_cannot_be_compared_is_said(dltc):
    """The module is written, but nobody may take it for verified."""
    Path("far.dlt").write_text(READS_FAR)
    done = dltc("build", "far.dlt", "-o", "out", "--verify")
    assert (done.code, done.out) == (1, "out/m.py\nout/manifest.json\n")
    assert "error: not verified: the graphs cannot be interpreted on small random data: `gather`: an index" in done.err
    shown = dltc("build", "far.dlt", "-o", "out", "--verify", "--json")
    assert shown.code == 1
    assert shown.json["verified"]["graphs"] == []
    assert "cannot be interpreted" in shown.json["verified"]["not_compared"][0]
    assert dltc("build", "far.dlt", "-o", "out").code == 0
