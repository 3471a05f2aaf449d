"""Pairs of texts that mean the same: no change, or only renames and words."""

from __future__ import annotations

import pytest

NET_EDITS = {
    "comment": ("  h[hid] = g", "  # words\n  h[hid] = g"),
    "layout": ("  s[cls] = V[cls, hid] * h[hid] + c[cls]", "\n  s[ cls ]=V[cls,hid]*h[hid]\n\n  +c[cls]".replace("\n\n  +", " +")),
    "semicolons": ("  input x[pix]\n  input y: cls", "  input x[pix]; input y: cls"),
    "split declaration": ("  axis pix = 6, hid = 4, cls = 10", "  axis pix = 6\n  axis cls = 10; axis hid = 4"),
    "value renamed": ("h[hid]", "hidden[hid]"),
    "let renamed": ("sigma", "spread"),
    "let inlined": ("std = sigma", "std = 0.3"),
    "let computed": ("let sigma = 0.3", "let half = 0.15, sigma = 2 * half"),
    "unused let": ("  let sigma = 0.3", "  let sigma = 0.3, other = 5"),
    "unused axis": ("cls = 10\n", "cls = 10, other = 5\n"),
    "size as a number": ("2/pix", "2/6"),
    "bare reads": ("relu(W[hid, pix] * x[pix] + b[hid])", "relu(W * x + b)"),
    "explicit sum": ("W[hid, pix] * x[pix]", "sum[pix](W[hid, pix] * x[pix])"),
    "commuted product": ("g[hid] * relu(W[hid, pix] * x[pix] + b[hid])", "relu(x[pix] * W[hid, pix] + b[hid]) * g[hid]"),
    "commuted sum": ("W[hid, pix] * x[pix] + b[hid]", "b[hid] + W[hid, pix] * x[pix]"),
    "double minus": ("+ c[cls]", "- -c[cls]"),
    "minus moved": ("V[cls, hid] * h[hid] + c[cls]", "c[cls] - (-V[cls, hid]) * h[hid]"),
    "minus of a sum": ("V[cls, hid] * h[hid] + c[cls]", "-(-c[cls] - V[cls, hid] * h[hid])"),
    "other index": ("s[cls] = V[cls, hid] * h[hid]", "s[cls] = V[cls, hid'] * h[hid']"),
    "inlined value": ("  h[hid] = g[hid] * relu(W[hid, pix] * x[pix] + b[hid])\n", ""),
    "named part": ("relu(W[hid, pix] * x[pix] + b[hid])", "relu(t[hid])\n  t[hid] = W[hid, pix] * x[pix] + b[hid]"),
    "pipe": ("relu(W[hid, pix] * x[pix] + b[hid])", "(W[hid, pix] * x[pix] + b[hid] |> relu)"),
    "declared output": ("  y ~ Cat", "  output s\n  y ~ Cat"),
    "power of one": ("Categorical(logits = s)", "Categorical(logits = s)^1"),
    "whole as real": ("b[hid]      ~ Normal(0, var = 1)   init 0", "b[hid] ~ Normal(0.0, var = 1.0) init 0.0"),
    "unit scale": ("c[cls]      ~ Normal(0, var = 1)", "c[cls] ~ Normal(0, std = 1)"),
    "default domain": ("param W[hid, pix] ~", "param W[hid, pix] in real ~"),
    "init as the prior": ("~ Normal(0, var = 2/pix)", "~ Normal(0, var = 2/pix) init Normal(0, var = 2/pix)"),
    "default written out": ("Adam(lr = 2e-3)", "Adam(lr = 0.002, b1 = 0.9, b2 = 0.999, eps = 1e-8)"),
    "positional argument": ("EG(lr = 0.1)", "EG(0.1)"),
    "selectors apart": ("    W, b : Adam(lr = 2e-3)\n", "    b : Adam(lr = 2e-3)\n    W : Adam(lr = 2e-3)\n"),
    "star selector": ("V, c : Momentum(lr = 0.01)", "*    : Momentum(lr = 0.01)"),
    "lines of learn": (
        "    V, c : Momentum(lr = 0.01)\n    g    : EG(lr = 0.1)",
        "    g : EG(lr = 0.1)\n    c, V : Momentum(lr = 0.01)",
    ),
    "column commuted": ("data[0..5] / 16 + 1", "1 + data[0..5] / 16.0"),
    "column minus": ("data[0..5] / 16 + 1", "data[0..5] / 16 - -1"),
    "lines of data": ("    x = data[0..5] / 16 + 1\n    y = target", "    y = target\n    x = data[0..5] / 16 + 1"),
    "default batch": ("batch 32; ", ""),
    "default seed": ("; seed 0", ""),
    "default dtype": ("; seed 0", "; seed 0; dtype float32"),
    "report order": ("accuracy(y, s), nll", "nll, accuracy(y,s)"),
    "nll is always measured": ("accuracy(y, s), nll", "accuracy(y, s)"),
}  # fmt: skip


def edited(text: str, old: str, new: str) -> str:
    """The text with every ``old`` replaced; there must be one."""
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize("name", NET_EDITS)
def test_same(name, net, compare):
    other = edited(net, *NET_EDITS[name])
    if name == "inlined value":
        other = other.replace("* h[hid] + c", "* (g[hid] * relu(W[hid, pix] * x[pix] + b[hid])) + c")
    found = compare(net, other)
    assert found.same, str(found)
    assert all(change.what == "name" for change in found.changes), str(found)
    assert compare(net, other, back=True).same


def test_an_inner_name_for_another_part(net, compare):
    old = "  h[hid] = g[hid] * relu(W[hid, pix] * x[pix] + b[hid])\n  s[cls] = V[cls, hid] * h[hid] + c[cls]"
    new = "  h[hid] = W[hid, pix] * x[pix] + b[hid]\n  s[cls] = V[cls, hid] * (g[hid] * relu(h[hid])) + c[cls]"
    found = compare(net, edited(net, old, new))
    assert found.same
    assert [(c.cls, c.what, c.path) for c in found.changes] == [("cosmetic", "name", "h")]


def test_values_that_are_only_there_to_be_asked_for(net, compare):
    extra = net.replace("  y ~ Cat", "  q = sum[hid](h)\n  output s\n  y ~ Cat")
    assert compare(extra, extra.replace("q =", "other =")).changes == []
    assert not compare(extra, extra.replace("sum[hid](h)", "sum[hid](h) + 1")).same
    assert not compare(extra, net).same


RENAMES = {
    "parameter": ("W", {"kernel": "parameter"}),
    "input": ("x", {"image": "input"}),
    "model": ("Net", {"Other": "model"}),
    "returned value": ("s", {"score": "output"}),
    "axis": ("hid", {}),
    "value": ("h", {}),
    "let": ("sigma", {}),
}


@pytest.mark.parametrize("name", RENAMES)
def test_rename(name, net, compare):
    import re

    word, expected = RENAMES[name]
    new = next(iter(expected), "another")
    found = compare(net, re.sub(rf"\b{word}\b", new, net))
    assert found.same
    assert {change.path: change.what for change in found.changes} == expected
    assert all((change.cls, change.before, change.after) == ("rename", word, new) for change in found.changes)
    assert all(change.a and change.b and change.note for change in found.changes)


ZOO_EDITS = {
    "bare reads": ("A[d, d'] * z[d'] + U[d, pix] * x[pix] - m[d]", "A[d, d'] * z[d'] + U[d, pix] * x - m"),
    "parts of a product": ("U[d, pix] * x[pix]", "U[d, row, col] * x[row, col]"),
    "product in the declaration of an equation": ("U[d, pix] * x[pix]", "sum[row](sum[col](U[d, row, col] * x[pix]))"),
    "minus in front": (
        "A[d, d'] * z[d'] + U[d, pix] * x[pix] - m[d]",
        "-m[d] + (x[pix] * U[d, pix] + z[d'] * A[d, d'])",
    ),
    "other primes": ("tanh(A[d, d'] * z[d']", "tanh(A[d, d''] * z[d'']"),
    "primes swapped in the declaration": ("param B[d, d']", "param B[d', d]"),
    "primes of a table": ("let T[k, k'] =", "let T[k', k] ="),
    "draws exchanged": (
        "dropout(a[d] * q[d], 0.2) + dropout(r[d], 0.3)",
        "dropout(r[d], 0.3) + dropout(q[d] * a[d], 0.2)",
    ),
    "square as a product": ("u[d]^2", "u[d] * u[d]"),
    "named argument": ("Dirichlet(2)", "Dirichlet(a = 2.0)"),
    "beta of Gibbs": ("loss ~ Gibbs()", "loss ~ Gibbs(beta = 1)"),
    "comparison turned round": ("lit == 1", "1 == lit"),
    "power as a root": ("^0.5\n", "^(1/2)\n"),
    "division moved": ("sum[e](F[e] * best) / size(e)", "sum[e](F[e] / size(e) * best)"),
    "division of one": ("exp(-n / 4)", "exp(-1 * n / 4)"),
    "product of constants": ("exp(-n / 4)", "exp(-0.25 * n)"),
    "axis renamed in a rule": ("Heavy", "Weighty"),
    "state renamed elsewhere": ("move", "delta_w"),
    "rule argument renamed": ("pace", "speed"),
    "rule arguments default": ("AdamW()", "AdamW(lr = 1e-3, wd = 0.01)"),
    "rule text commuted": ("mu * m + grad", "grad + m * mu"),
    "rule line split": ("  w <- w - pace * move", "  let down = pace * move\n  w <- w - down"),
    "state declared apart": ("  state m = 0, v = 1", "  state v = 1\n  state m = 0"),
    "probe index": ("probe Z[d, d'] = A[d, d'] * B[d', d]", "probe Z[d', d] = A[d', d] * B[d, d']"),
    "outputs in another order": ("output pr, best, gap", "output gap\n  output best, pr"),
    "inner value over swapped axes": (
        "A[d, d'] * z[d'] + U",
        "pair[d, d'] * z[d'] + U[d, pix] * x[pix] - m[d])\n  pair[d', d] = -(-A[d', d]) # (U",
    ),
    "column grouped": ("left + right + 1", "left + (1 + right)"),
    "column minus": ("up - down / 3", "-(down / 3) + up"),
    "explicit mean over everything": ("norm[k](pr)", "norm(pr)"),
}


@pytest.mark.parametrize("name", ZOO_EDITS)
def test_same_in_the_zoo(name, zoo, compare):
    other = edited(zoo, *ZOO_EDITS[name])
    found = compare(zoo, other)
    assert found.same, str(found)
    assert all(change.what == "name" for change in found.changes), str(found)
    assert compare(zoo, other, back=True).same


def test_a_spec_is_itself(base, compare):
    found = compare(base, base)
    assert found.same
    assert found.changes == []


def test_a_renamed_state_is_told(zoo, compare):
    other = (
        zoo.replace("state m = 0", "state mom = 0")
        .replace("m <- mu * m", "mom <- mu * mom")
        .replace("= m /", "= mom /")
    )
    found = compare(zoo, other)
    assert found.same
    assert [c.what for c in found.changes] == ["state"]
    assert "U@mom" in found.changes[0].path
    assert (found.changes[0].before, found.changes[0].after) == ("m", "mom")


def test_two_states_exchange_names(zoo, compare):
    """A state is known by what it does; under exchanged names a checkpoint would restore the wrong one, so it is told."""
    head, rule, rest = zoo.partition("rule Heavy")
    rule, brace, tail = rest.partition("}")
    swapped = rule.replace("m <-", "§ <-").replace("* m ", "* § ").replace("= m ", "= § ").replace("state m", "state §")
    swapped = swapped.replace("v", "m").replace("mome", "move").replace("* v", "* m").replace("§", "v")
    found = compare(zoo, head + "rule Heavy" + swapped + brace + tail)
    assert found.same
    assert {c.what for c in found.changes} == {"state"}


def test_everything_is_told_apart_from_words(net, compare):
    found = compare(net, net.replace("## Two layers.", "## Two small layers.").replace("## an image", "## a picture"))
    assert found.same
    assert [(c.cls, c.what, c.path) for c in found.changes] == [("cosmetic", "doc", "Net"), ("cosmetic", "doc", "x")]


def test_words_of_several_lines_and_none(net, compare):
    other = net.replace("## Two layers.", "## Two layers,\n## a sigmoid none.").replace("  ## an image\n", "")
    found = compare(net, other)
    assert [(c.before, c.after) for c in found.changes] == [
        ("Two layers.", "Two layers, a sigmoid none."),
        ("an image", None),
    ]
