"""Pairs of texts that mean something else: each difference is named, with its class and both places."""

from __future__ import annotations

import re

import pytest

# name -> (old text, new text, classes of the changes, "what path" of the first)
NET_EDITS = {
    "activation": ("relu(W", "tanh(W", "semantic", "equation h"),
    "bias dropped": ("V[cls, hid] * h[hid] + c[cls]", "V[cls, hid] * h[hid]", "semantic", "equation s"),
    "sign": ("+ c[cls]", "- c[cls]", "semantic", "equation s"),
    "gain moved": ("g[hid] * relu(W[hid, pix] * x[pix] + b[hid])", "relu(g[hid] * W[hid, pix] * x[pix] + b[hid])", "semantic", "equation h"),
    "power": ("+ c[cls]", "+ c[cls]^3", "semantic", "equation s"),
    "density power": ("Categorical(logits = s)", "Categorical(logits = s)^0.5", "semantic", "density y"),
    "p for logits": ("logits = s", "p = s", "semantic", "density y"),
    "density added": ("  learn {", "  h ~ Normal(0, var = 1)\n  learn {", "semantic semantic", "density h"),
    "density twice": ("  learn {", "  y ~ Categorical(logits = s)\n  learn {", "semantic", "density y"),
    "value no longer returned": ("  y ~ C", "  output h\n  y ~ C", "semantic semantic", "output s"),
    "number of pixels": ("pix = 6", "pix = 5", "params prior", "axis pix"),
    "hidden size": ("hid = 4", "hid = 8", "params prior", "axis hid"),
    "domain": ("g[hid] in positive ~ LogNormal(0, std = sigma)   init 1", "g[hid] in positive ~ Normal(0, std = sigma) init 1", "prior", "prior g"),
    "prior constant": ("b[hid]      ~ Normal(0, var = 1)", "b[hid]      ~ Normal(0, var = 2)", "prior", "prior b"),
    "prior form": ("b[hid]      ~ Normal(0, var = 1)", "b[hid]      ~ Laplace(0, scale = 1)", "prior", "prior b"),
    "prior mean": ("b[hid]      ~ Normal(0, var = 1)", "b[hid]      ~ Normal(1, var = 1)", "prior", "prior b"),
    "let": ("sigma = 0.3", "sigma = 0.4", "prior", "prior g"),
    "init": ("init 1", "init 2", "prior", "init g"),
    "init from the prior": ("var = 1)   init 0\n  param g", "var = 1)\n  param g", "prior", "init b"),
    "init drawn": ("2/pix)", "2/pix) init Normal(0, var = 1)", "prior", "init W"),
    "lr": ("lr = 2e-3", "lr = 1e-3", "learning", "rule W, b"),
    "rule": ("Momentum(lr = 0.01)", "SGD(lr = 0.01)", "learning", "rule V, c"),
    "default of a rule": ("Adam(lr = 2e-3)", "Adam(lr = 2e-3, eps = 1e-6)", "learning", "rule W, b"),
    "schedule in a rule": ("EG(lr = 0.1)", "EG(lr = 0.1 / t)", "learning", "rule g"),
    "one parameter under another rule": ("    W, b : Adam(lr = 2e-3)\n    V, c", "    W : Adam(lr = 2e-3)\n    b, V, c", "learning", "rule b"),
    "frozen": ("W, b : Adam", "W : Adam", "learning", "rule b"),
    "column": ("/ 16", "/ 15", "schedule", "column x"),
    "column order": ("data[0..5] / 16 + 1", "(data[0..5] + 1) / 16", "schedule", "column x"),
    "slice": ("data[0..5]", "data[1..6]", "schedule", "column x"),
    "test part": ("test 0.2", "test 0.3", "schedule", "data test"),
    "valid part": ("    valid 0.1\n", "", "schedule", "data valid"),
    "batch": ("batch 32", "batch 16", "schedule", "setting batch"),
    "full batch": ("batch 32", "batch all", "schedule", "setting batch"),
    "epochs": ("epochs 20", "epochs 21", "schedule", "setting epochs"),
    "steps for epochs": ("epochs 20", "steps 20", "schedule", "setting steps"),
    "seed": ("seed 0", "seed 1", "schedule", "setting seed"),
    "dtype": ("seed 0", "seed 0; dtype float64", "schedule", "setting dtype"),
    "report": ("accuracy(y, s), nll", "nll", "schedule", "report accuracy(y, s)"),
    "every": ("every 50", "every 51", "schedule", "setting every"),
}  # fmt: skip

ZOO_EDITS = {
    "transposed matrix": ("A[d, d'] * z[d']", "A[d', d] * z[d']", "semantic", "equation a"),
    "transposed by an exchange of primes": ("r[d] = B[d', d] * a[d']", "r[d] = B[d, d'] * a[d']", "semantic", "equation r"),
    "parameters exchanged": ("A[d, d'] * z[d']", "B[d, d'] * z[d']", "semantic", "equation a"),
    "inputs exchanged": ("a[d] * q[d]", "a[d] * z[d]", "semantic", "equation u"),
    "draw shared": ("dropout(r[d], 0.3)", "dropout(r[d], 0.2)", "semantic", "equation u"),
    "dropout left out": ("dropout(r[d], 0.3)", "r[d]", "semantic", "equation u"),
    "gather at another label": ("u[0]", "u[1]", "semantic", "density n"),
    "softmax over another axis": ("softmax[k]", "log_softmax[k]", "semantic", "equation pr"),
    "label dropped": ("E[k', d]) + k)", "E[k', d]))", "semantic", "equation pr"),
    "table entry": ("[0, 1, 0]", "[0, 2, 0]", "semantic", "table T"),
    "table transposed": ("T[k, k'] * sum", "T[k', k] * sum", "semantic", "equation pr"),
    "ties": ("max(where(lit == 1, sum[d](u[d]^2), mean[d](abs(u))), 0.1)", "max(0.1, where(lit == 1, sum[d](u[d]^2), mean[d](abs(u))))", "semantic", "equation best"),
    "branches": ("sum[d](u[d]^2), mean[d](abs(u))", "mean[d](abs(u)), sum[d](u[d]^2)", "semantic", "equation best"),
    "mean for sum": ("sum[e](F[e] * best)", "mean[e](F[e] * best)", "semantic", "equation loss"),
    "label axis": ("input kind: k", "input kind: d", "", ""),
    "dtype of an input": ("input n: int", "input n", "", ""),
    "input order": ("input x[pix]", "input x[row, col]", "semantic", "input x"),
    "precision": ("precision = tau", "precision = 2 * tau", "prior", "prior m"),
    "simplex": ("Dirichlet(2)", "Dirichlet(3)", "prior", "prior P"),
    "init expression": ("init label(d) == label(d')", "init label(d) < label(d')", "prior", "init B"),
    "init scale": ("init Normal(0, std = 0.02)", "init Normal(0, std = 0.03)", "prior", "init U"),
    "thawed": ("init 2  frozen", "init 2", "learning", "rule F"),
    "shape": ("param U[d, row, col]", "param U[d, pix]", "params", "shape U"),
    "rule text": ("v <- 0.9 * v + 0.1 * grad^2", "v <- 0.8 * v + 0.2 * grad^2", "learning", "rule m, U, E"),
    "state's start": ("v = 1", "v = 0", "learning", "rule m, U, E"),
    "default in a rule": ("mu = 0.5", "mu = 0.6", "learning", "rule m, U, E"),
    "rule reads another state": ("let move = m / (sqrt(v)", "let move = m / (sqrt(m)", "learning", "rule m, U, E"),
    "model state's start": ("mv[d] = 0", "mv[d] = 1", "semantic", "state mv"),
    "probe of a value": ("probe a, E", "probe r, E", "schedule", "report r"),
    "probe of an expression": ("sum(u)", "mean(u)", "schedule", "report mean(u)"),
    "probe gone": (", E[k, d], sum(u)", ", E[k, d]", "schedule", "report sum(u)"),
    "assertion": ("best < 10 * tau", "best < 9 * tau", "schedule", "assert best < 9 * tau"),
    "assertion turned": ("best < 10 * tau", "best > 10 * tau", "schedule", "assert best > 10 * tau"),
    "assertion of a metric": ("r2(q, u) > -5", "r2(q, u) > -6", "schedule", "assert r2(q, u) > -6"),
    "assertion gone": ("  assert r2(q, u) > -5\n", "", "schedule", "assert r2(q, u) > -5"),
    "update": ("0.9 * mv", "0.8 * mv", "semantic", "state mv"),
    "learned parameter": ("0.5 * E\n", "0.4 * E\n", "semantic", "state copy"),
    "state through a name": ("0.5 * E\n", "0.5 * Ev\n  Ev[k, d] = E\n", "semantic cosmetic", "state copy"),
    "state gone": ("copy[k, d] = E\n", "kopy[k, d] = E\n", "", ""),
    "clock": ("0.5^t", "0.6^t", "learning", "rule B"),
    "probe": ("A[d, d'] * B[d', d]", "A[d, d'] * B[d, d']", "semantic", "equation Z"),
    "term": ("var = 0.5 + tau", "var = 0.6 + tau", "semantic", "density z"),
    "term dropped": ("  loss ~ Gibbs()\n", "", "semantic", "density loss"),
    "beta": ("Gibbs()", "Gibbs(beta = 2)", "semantic", "density loss"),
    "measure": ("rmse(z, r)", "rmse(z, a)", "schedule", "report rmse(z, a)"),
    "measure finished otherwise": ("mae(z, a)", "rmse(z, a)", "schedule", "report rmse(z, a)"),
    "comparison in a column": ("flag > 0", "flag >= 0", "schedule", "column lit"),
    "name of a column": ("label % 3", "labels % 3", "schedule", "column kind"),
    "file": ("zoo.npz", "zoo2.npz", "schedule", "data source"),
    "returned value added": ("output pr, best, gap", "output pr, best, gap, u", "semantic", "output u"),
}  # fmt: skip


def check(found, classes, first):
    text = str(found)
    assert not found.same, text
    assert all(c.before != c.after for c in found.changes), text
    if classes:
        assert [c.cls for c in found.changes] == classes.split(), text
        assert f"{found.changes[0].what} {found.changes[0].path}" == first, text


def both_places(found):
    """A change of something that both sides have names a line of both."""
    for change in found.changes:
        assert (change.a is None) == (change.before is None), change
        assert (change.b is None) == (change.after is None), change
        assert all(place is None or place.split(":")[1].isdecimal() for place in (change.a, change.b))


@pytest.mark.parametrize("name", NET_EDITS)
def test_different(name, net, compare):
    old, new, classes, first = NET_EDITS[name]
    assert old in net
    other = net.replace(old, new)
    if name == "frozen":
        other = other.replace("init 0\n  param g", "init 0 frozen\n  param g")
    found = compare(net, other)
    check(found, classes, first)
    both_places(found)
    back = compare(net, other, back=True)
    assert [c.cls for c in back.changes] == [c.cls for c in found.changes]


@pytest.mark.parametrize("name", ZOO_EDITS)
def test_different_in_the_zoo(name, zoo, compare):
    old, new, classes, first = ZOO_EDITS[name]
    assert old in zoo
    other = zoo.replace(old, new)
    if name == "label axis":
        other = other.replace("E[kind, d]", "B[kind, d]").replace(
            "kind ~ Categorical(p = pr)", "kind ~ Categorical(logits = u)"
        )
    if name == "state gone":
        other = re.sub(r"\bcopy\b", "kopy", other)
    if name == "dtype of an input":
        other = other.replace("n ~ Poisson(rate = exp(u[0]))", "n ~ Normal(exp(u[0]), var = 1)")
    found = compare(zoo, other)
    check(found, classes, first)
    both_places(found)
    assert not compare(zoo, other, back=True).same


def test_a_changed_text_is_shown_as_written(net, compare):
    (change,) = compare(net, net.replace("relu(W", "tanh(W")).changes
    assert change.before == "h[hid] = g[hid] * relu(W[hid, pix] * x[pix] + b[hid])"
    assert change.after == "h[hid] = g[hid] * tanh(W[hid, pix] * x[pix] + b[hid])"
    assert (change.a, change.b) == ("a.dlt:19", "b.dlt:19")


def test_a_prior_that_reads_the_same_is_shown_with_its_numbers(net, compare):
    (change,) = compare(net, net.replace("sigma = 0.3", "sigma = 0.4")).changes
    assert (change.before, change.after) == ("LogNormal(m = 0, std = 0.3)", "LogNormal(m = 0, std = 0.4)")
    assert change.note == "`sigma` is 0.4, was 0.3"


def test_what_follows_from_a_change_is_not_reported(net, compare):
    """Logits, likelihood and accuracy all differ; one statement is the cause."""
    assert len(compare(net, net.replace("relu(W", "tanh(W")).changes) == 1


def test_the_number_of_parameters_is_a_consequence(net, compare):
    change = compare(net, net.replace("hid = 4", "hid = 8")).changes[0]
    assert (change.before, change.after) == ("hid = 4", "hid = 8")
    assert change.note == "82 -> 154 numbers in parameters"


def test_an_added_layer(net, compare):
    other = net.replace(
        "  s[cls] = V[cls, hid] * h[hid]", "  f[hid] = tanh(K[hid, hid'] * h[hid'])\n  s[cls] = V[cls, hid] * f[hid]"
    )
    other = other.replace("  param V", "  param K[hid, hid'] ~ Normal(0, var = 1)\n  param V").replace(
        "W, b :", "W, b, K :"
    )
    found = compare(net, other)
    assert [(c.cls, c.what, c.path) for c in found.changes] == [
        ("semantic", "equation", "s"),
        ("semantic", "equation", "f"),
        ("params", "parameter", "K"),
    ]
    assert found.changes[1].a is None
    assert found.changes[2].after == "K[hid, hid'] ~ Normal(0, var = 1)"
    back = compare(net, other, back=True)
    assert [c.what for c in back.changes] == [c.what for c in found.changes]
    assert back.changes[2].before == "K[hid, hid'] ~ Normal(0, var = 1)"


def test_a_rename_beside_a_change_is_still_a_rename(net, compare):
    import re

    other = (
        re.sub(r"\bW\b", "kernel", net.replace("hid", "hidden"))
        .replace("relu(", "tanh(")
        .replace("hidden = 4", "hidden = 5")
    )
    found = compare(net, other)
    assert [(c.cls, c.what, c.path) for c in found.changes] == [
        ("semantic", "equation", "h"),
        ("params", "axis", "hidden"),
        ("prior", "prior", "V"),
        ("rename", "parameter", "kernel"),
    ]


def test_everything_renamed_beside_a_change(net, compare):
    import re

    other = net.replace("2e-3", "1e-3")
    for name in ("pix", "hid", "cls", "sigma", "x", "y", "W", "b", "g", "V", "c", "h", "s"):
        other = re.sub(rf"\b{name}\b", f"{name}_new", other)
    found = compare(net, other)
    assert [c.path for c in found.changes if c.cls != "rename"] == ["W_new, b_new"]
    assert {(c.before, c.after) for c in found.of_class("rename")} == {
        (n, f"{n}_new") for n in ("x", "y", "W", "b", "g", "V", "c", "s")
    }


def test_an_unknown_level_is_refused(net):
    from dltc.compiler.diff import diff_artefacts
    from dltc.compiler.pipeline import compile_spec

    spec = compile_spec(net, "a.dlt")
    with pytest.raises(ValueError, match=r"no level is called 'deep': choose one of graph"):
        diff_artefacts(spec, spec, level="deep")
