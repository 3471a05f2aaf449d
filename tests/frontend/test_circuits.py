"""Calls of circuits mean what they stand for: each spec with circuits against the same written out by hand."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dltc.compiler.diff import diff_artefacts
from dltc.compiler.pipeline import Artefact, Options, check, compile_spec

DENSE = """circuit Dense(n: axis, act: op = identity) {
  input x[i]
  param W[n, i] ~ Normal(0, var = 1/i)
  param b[n] ~ Flat() init 0
  output y[n] = act(W[n, i] * x[i] + b[n])
}
"""
BLOCK = """circuit Block(rate: real = 0.5) {
  input x[d]
  param W[d, d'] ~ Normal(0, var = 1/d)
  output y[d] = x + rate * tanh(W[d, d'] * x[d'])
  output size2 = sum(y^2)
}
"""
END = "\n  learn { * : SGD(lr = 0.1) }"
PAIRS = {
    "a layer": (
        DENSE,
        "axis pix = 5, hid = 4\ninput x[pix]\nh = Dense(x, n = hid, act = tanh)",
        "axis pix = 5, hid = 4\ninput x[pix]\nparam W[hid, pix] ~ Normal(0, var = 1/5)\nparam b[hid] ~ Flat() init 0\n"
        "h[hid] = tanh(W * x + b)",
    ),
    "one axis twice": (
        DENSE,
        "axis d = 4\ninput x[d]\nh = Dense(x, n = d)",
        "axis d = 4\ninput x[d]\nparam W[d, d'] ~ Normal(0, var = 1/d)\nparam b[d] ~ Flat() init 0\n"
        "h[d] = W[d, d'] * x[d'] + b[d]",
    ),
    "mapped over two axes, one of them the result's": (
        DENSE,
        "axis r = 2, d = 4, k = 3\ninput x[r, k, d]\nh[r, k, k'] = Dense(x, n = k)",
        "axis r = 2, d = 4, k = 3\ninput x[r, k, d]\nparam W[k, d] ~ Normal(0, var = 1/d)\nparam b[k] ~ Flat() init 0\n"
        "h[r, k, k'] = W[k', d] * x[r, k, d] + b[k']",
    ),
    "an axis by name": (
        "circuit Centre() {\n  input x[d]\n  output y[d] = x - mean[batch](x)\n}\n",
        "axis ch = 4, row = 3\ninput x[ch, row]\nh = Centre(x, d = ch)",
        "axis ch = 4, row = 3\ninput x[ch, row]\nc[ch] = mean[batch, row](x[ch, row])\nh[row, ch] = x[ch, row] - c[ch]",
    ),
    "a pipe, a size of its own": (
        DENSE,
        "axis pix = 5\ninput x[pix]\nh = x |> Dense(n = 3) |> relu",
        "axis pix = 5, n = 3\ninput x[pix]\nparam W[n, pix] ~ Normal(0, var = 1/pix)\nparam b[n] ~ Flat() init 0\n"
        "h[n] = relu(W * x + b)",
    ),
    "one instance, twice": (
        DENSE,
        "axis d = 4\ninput x[d]\ninput u[d]\na = Dense(x, n = d) as enc\nb = Dense(u, n = d) as enc\ns = sum(a - b)",
        "axis d = 4\ninput x[d]\ninput u[d]\nparam W[d, d'] ~ Normal(0, var = 1/d)\nparam c[d] ~ Flat() init 0\n"
        "a[d] = W[d, d'] * x[d'] + c[d]\nb[d] = W[d, d'] * u[d'] + c[d]\ns = sum(a - b)",
    ),
    "an ensemble": (
        DENSE,
        "axis pix = 5, m = 3, k = 2\ninput x[pix]\ns[m, k] = Dense[m](x, n = k)",
        "axis pix = 5, m = 3, k = 2\ninput x[pix]\nparam W[m, k, pix] ~ Normal(0, var = 1/pix)\n"
        "param b[m, k] ~ Flat() init 0\ns[m, k] = W[m, k, pix] * x[pix] + b[m, k]",
    ),
    "a family along a recurrence, and its second output": (
        BLOCK,
        "axis depth = 6, d = 4\ninput x[d]\nz[depth, d] = Block[depth](z[depth-1], rate = 0.25)   start x\n"
        "y[d] = z[last, d]\nq = sum[depth](z.size2[depth])",
        "axis depth = 6, d = 4\ninput x[d]\nparam W[depth, d, d'] ~ Normal(0, var = 1/d)\n"
        "z[depth, d] = z[depth-1, d] + 0.25 * tanh(W[depth, d, d'] * z[depth-1, d'])   start x\n"
        "y[d] = z[last, d]\nr[depth] = sum[d](z[depth, d]^2)\nq = sum[depth](r[depth])",
    ),
    "shared along a recurrence": (
        BLOCK,
        "axis depth = 6, d = 4\ninput x[d]\nz[depth, d] = Block(z[depth-1])   start x\ny[d] = z[last, d]\noutput y",
        "axis depth = 6, d = 4\ninput x[d]\nparam W[d, d'] ~ Normal(0, var = 1/d)\n"
        "z[depth, d] = z[depth-1, d] + 0.5 * tanh(W[d, d'] * z[depth-1, d'])   start x\ny[d] = z[last, d]\n"
        "size2[depth] = sum[d](z[depth, d]^2)\noutput y",
    ),
    "within each other": (
        DENSE + "circuit Net(k: axis) {\n  input x[i]\n  h = Dense(x, n = 3, act = relu)\n  output y = Dense(h, n = k)\n}\n",
        "axis t, pix = 5, cls = 2\ninput x[t, pix]\ns = Net(x, k = cls)",
        "axis t, pix = 5, cls = 2, n = 3\ninput x[t, pix]\nparam W[n, pix] ~ Normal(0, var = 1/pix)\nparam b[n] ~ Flat() init 0\n"
        "param V[cls, n] ~ Normal(0, var = 1/n)\nparam c[cls] ~ Flat() init 0\n"
        "h[t, n] = relu(W[n, pix] * x[t, pix] + b[n])\ns[t, cls] = V[cls, n] * h[t, n] + c[cls]",
    ),
    "a product of axes, solved for": (
        "circuit Heads(heads: int) {\n  axis head = heads, dh, d = (head, dh)\n  input x[d]\n"
        "  n[head] = sum[dh](x[head, dh]^2)\n  output y[d] = x[d]\n  output best = max[head](n[head])\n}\n",
        "axis d = 6\ninput x[d]\nh = Heads(x, heads = 2)\nq = h.best",
        "axis a = 2, b = 3, d = (a, b)\ninput x[d]\nh[d] = x\nn[a] = sum[b](x[a, b]^2)\nm = max[a](n[a])\nq = m",
    ),
    "reductions without brackets": (
        "circuit Energy() {\n  input x[d]\n  input scale\n  output e = sum(x^2) * exp(mean(scale))\n}\n",
        "axis t = 3, d = 4\ninput x[t, d]\ninput s[t]\ne[t] = Energy(x, s)",
        "axis t = 3, d = 4\ninput x[t, d]\ninput s[t]\ne[t] = sum[d](x[t, d]^2) * exp(s[t])",
    ),
    "a circuit as an argument": (
        BLOCK + "circuit Twice(inner: circuit) {\n  input x[d]\n  a = inner(x) as one\n  output y = inner(a) as one\n}\n",
        "axis d = 4\ninput x[d]\nh = Twice(x, inner = Block)",
        "axis d = 4\ninput x[d]\nparam W[d, d'] ~ Normal(0, var = 1/d)\na[d] = x + 0.5 * tanh(W[d, d'] * x[d'])\n"
        "h[d] = a + 0.5 * tanh(W[d, d'] * a[d'])\np = sum(a^2)\nq = sum(h^2)\noutput h",
    ),
    "labels": (
        "circuit Embed(n: axis) {\n  input tok: word\n  param E[word, n] ~ Normal(0, var = 1)\n  output y[n] = E[tok, n]\n}\n",
        "axis t, word = 9, d = 3\ninput w[t]: word\nh = Embed(w, n = d)",
        "axis t, word = 9, d = 3\ninput w[t]: word\nparam E[word, d] ~ Normal(0, var = 1)\nh[t, d] = E[w[t], d]",
    ),
    "names of the circuit and of the model do not meet": (
        "circuit Odd() {\n  axis k = 2\n  let s = 3\n  input x[i]\n  param W[k, i] ~ Normal(0, var = s)\n"
        "  h[k] = W * x\n  output y = s * sum(h)\n}\n",
        "axis i = 4, k = 5\nlet s = 7\ninput x[i]\ninput h[k]\ny = Odd(x)\nz = y + s * sum(h)",
        "axis i = 4, k = 5, k2 = 2\nlet s = 7\ninput x[i]\ninput h[k]\nparam W[k2, i] ~ Normal(0, var = 3)\n"
        "g[k2] = W * x\ny = 3 * sum(g)\nz = y + s * sum(h)",
    ),
}  # fmt: skip


def model(body: str, before: str = "") -> str:
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    return f"dlt 1\n{before}model M {{\n{lines}{END if 'param' in before + body else ''}\n}}\n"


def compiled(text: str, files: dict[str, str] | None = None) -> Artefact:
    return compile_spec(text, "m.dlt", Options(read=lambda path: (files or {})[path]))


@pytest.mark.parametrize("name", PAIRS)
def test_a_call_is_what_it_stands_for(name: str) -> None:
    circuits, called, by_hand = PAIRS[name]
    one, other = compiled(model(called, circuits)), compiled(model(by_hand))
    found = diff_artefacts(one, other, level="graph")
    assert found.same, str(found)
    assert one.source  # and it goes all the way


def test_a_different_circuit_is_different() -> None:
    circuits, called, by_hand = PAIRS["a layer"]
    other = compiled(model(by_hand.replace("tanh(", "relu(")))
    assert not diff_artefacts(compiled(model(called, circuits)), other, level="graph").same


def test_files_use_each_other() -> None:
    files = {
        "lib/blocks.dlt": 'dlt 1\nuse "../dense.dlt" (Dense)\nrule Half() on real { w <- w - 0.5 * grad }\n'
        "circuit Two(n: axis) {\n  input x[i]\n  h = Dense(x, n = n)\n  output y = Dense(h, n = n)\n}\n",
        "dense.dlt": f"dlt 1\n{DENSE}",
    }
    text = (
        'dlt 1\nuse "lib/blocks.dlt" (Two, Half)\nmodel M {\n  axis d = 3\n  input x[d]\n  h = Two(x, n = d)\n'
        "  learn { * : Half() }\n}\n"
    )
    artefact = compiled(text, files)
    assert list(artefact.model.params) == ["h.h.W", "h.h.b", "h.y.W", "h.y.b"]
    assert {use.rule for use in artefact.model.rules.values()} == {"Half"}
    assert artefact.checked.used == files


def test_a_file_outside_the_folder_needs_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dltc.cli.specs import Choices, check_spec, read_spec

    (tmp_path / "dense.dlt").write_text(f"dlt 1\n{DENSE}")
    (tmp_path / "in").mkdir()
    spec = 'dlt 1\nuse "PATH" (Dense)\nmodel M {\n  axis d = 3\n  input x[d]\n  h = Dense(x, n = d)\n}\n'
    monkeypatch.chdir(tmp_path / "in")
    for path in ("../dense.dlt", str(tmp_path / "dense.dlt")):
        Path("m.dlt").write_text(spec.replace("PATH", path))
        found = check_spec(read_spec("m.dlt"), Choices()).findings
        assert [d.code for d in found.errors] == ["E0608"]
        assert check_spec(read_spec("m.dlt"), Choices(allow_path=True)).findings.errors == []
    os.symlink("../dense.dlt", "near.dlt")
    Path("m.dlt").write_text(spec.replace("PATH", "near.dlt"))
    assert [d.code for d in check_spec(read_spec("m.dlt"), Choices()).findings.errors] == ["E0608"]


def test_a_circuit_s_own_rules_are_defaults() -> None:
    """Weaker than a parameter's name, stronger than a star."""
    own = DENSE.replace("  output", "  learn { W : SGD(lr = 0.5); b : SGD(lr = 0.25) }\n  output")
    body = "axis d = 3\ninput x[d]\nh = Dense(x, n = d)\nlearn { * : Lion(lr = 1); h.b : Momentum(lr = 1) }"
    rules = compiled(f"dlt 1\n{own}model M {{\n{body}\n}}\n").model.rules
    assert {path: use.rule for path, use in rules.items()} == {"h.W": "SGD", "h.b": "Momentum"}


@pytest.mark.parametrize("family", ["[depth]", ""])
def test_depth_costs_nothing_to_build(family: str) -> None:
    """48 layers and 2 give graphs of one size, and text that differs in numbers only."""
    body = (
        f"axis depth = DEPTH, d = 4\ninput x[d]\nz[depth, d] = Block{family}(z[depth-1])   start x\ny[d] = z[last, d]"
    )
    two, many = (compiled(model(body.replace("DEPTH", str(n)), BLOCK)) for n in (2, 48))
    assert len(two.optimized[1].topological()) == len(many.optimized[1].topological())
    assert len(two.source.splitlines()) == len(many.source.splitlines())


def test_a_chain_of_calls_is_written_out_in_linear_time() -> None:
    calls = "\n".join(f"h{k + 1} = Dense(h{k}, n = d)" for k in range(200))
    text = model(f"axis d = 4\ninput h0[d]\n{calls}", DENSE)
    before = time.process_time()
    assert not check(text, "m.dlt").findings.errors
    assert time.process_time() - before < 20


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        ("axis d = 3\ninput x[d]\nh = Dense(x, n = d, m = 3)", "E0230", "m = 3"),
        ("axis d = 3\ninput x[d]\nh = Dense(x)", "E0230", "Dense(x)"),
        ("axis d = 3\ninput x[d]\nh = Dense(x, d, d, d)", "E0230", "d"),
        ("axis d = 3\ninput x[d]\nh = Dense(x, x = x, n = d)", "E0230", "x = x"),
        ("axis d = 3\ninput x[d]\nh = Dense(x, n = d, act = rlu)", "E0230", "rlu"),
        ("axis d = 3\ninput x[d]\nh[d] = Dens(x, n = d)", "E0212", "Dens"),
        ("axis d = 3\ninput x[d]\nh = Dense(y, n = d)", "E0232", "y"),
    ],
)
def test_wrong_calls(body: str, code: str, place: str | None) -> None:
    """One error each, at the call."""
    found = check(model(body, DENSE), "m.dlt").findings
    assert [d.code for d in found.errors] == [code]
    if place is not None:
        span = found.errors[0].span
        assert span is not None and found.sources["m.dlt"].text[span.start : span.end] == place


@pytest.mark.parametrize(
    ("axes", "code"),
    [
        ("i = (i, i)", "E0206"),
        (", ".join(f"a{k} = (a{k + 1}, a{k + 1})" for k in range(60)) + ", a60 = 2, i = (a0, a1)", "E0209"),
    ],
)
def test_products_of_themselves_and_of_twins_end(axes: str, code: str) -> None:
    """They are mistakes, found without taking them apart for ever (or 2^60 times)."""
    text = model(f"axis {axes}\ninput b[i]\nh = b |> Dense(n = 3)\nW = b[i] |> relu", DENSE)
    before = time.process_time()
    found = check(text, "m.dlt").findings
    assert code in [d.code for d in found.errors]
    assert time.process_time() - before < 5
