"""Random rewriting that keeps the meaning, and every change of one token, which does not."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dltc.compiler.diagnostics import SpecError
from dltc.compiler.diff import diff_artefacts
from dltc.compiler.pipeline import compile_spec

QUIET = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = {
    "net": ["Net", "pix", "hid", "cls", "sigma", "x", "y", "W", "b", "g", "V", "c", "h", "s"],
    "zoo": [
        "Heavy",
        "pace",
        "mu",
        "move",
        "Zoo",
        "row",
        "col",
        "pix",
        "d",
        "k",
        "e",
        "x",
        "z",
        "q",
        "n",
        "lit",
        "kind",
        "A",
        "B",
        "P",
        "tau",
        "U",
        "F",
        "E",
        "T",
        "a",
        "r",
        "u",
        "pr",
        "far",
        "best",
        "loss",
        "Z",
        "gap",
    ],
}
KEEP_IN_DATA = {"test", "valid"}


def statements(body):
    """The statements of a block, doc comments with what they describe; blocks stay whole."""
    found, depth, doc = [], 0, []
    for line in body.splitlines():
        if not line.strip():
            continue
        if depth == 0 and line.strip().startswith("##"):
            doc.append(line)
        elif depth == 0:
            found.append("\n".join([*doc, line]))
            doc = []
        else:
            found[-1] += "\n" + line
        depth += line.count("{") - line.count("}")
    return found


def model_of(text):
    """Text before the model's body, the body, text after."""
    start = text.index("{", text.index("model ")) + 1
    end = text.rindex("}")
    return text[:start], text[start:end], text[end:]


def reordered(text, data):
    """Statements of the model and lines of its blocks in another order."""
    head, body, tail = model_of(text)
    parts = data.draw(st.permutations(statements(body)), label="statements")
    out = []
    for part in parts:
        if part.strip().startswith(("learn", "data")) and "\n" in part:
            first, *lines, last = part.splitlines()
            part = "\n".join([first, *data.draw(st.permutations(lines), label="lines"), last])
        out.append(part)
    return head + "\n" + "\n".join(out) + "\n" + tail


def renamed(text, names):
    """All given names replaced everywhere; words of the language are not among them."""
    pattern = re.compile(r'"[^"]*"|\b(' + "|".join(map(re.escape, names)) + r")\b(?!\w)")
    return pattern.sub(lambda m: names[m[1]] if m[1] else m[0], text)


@pytest.mark.parametrize("which", ["net", "zoo"])
@given(data=st.data())
@QUIET
def test_order_of_statements_means_nothing(which, data, net, zoo):
    text = {"net": net, "zoo": zoo}[which]
    found = diff_artefacts(compile_spec(text, "a.dlt"), compile_spec(reordered(text, data), "b.dlt"))
    assert found.changes == [], str(found)


@pytest.mark.parametrize("which", ["net", "zoo"])
@given(data=st.data())
@QUIET
def test_names_and_order_mean_nothing(which, data, net, zoo):
    text = {"net": net, "zoo": zoo}[which]
    count = len(NAMES[which])
    numbers = data.draw(st.permutations(range(count)), label="new names")
    some = data.draw(st.sets(st.sampled_from(NAMES[which])), label="kept")
    names = {name: name if name in some else f"n{k}" for name, k in zip(NAMES[which], numbers, strict=True)}
    other = renamed(reordered(text, data), names)
    found = diff_artefacts(compile_spec(text, "a.dlt"), compile_spec(other, "b.dlt"))
    assert found.same, str(found)
    for change in found.changes:
        assert change.cls == "rename", str(found)
        assert names[change.before] == change.after, str(found)
    back = diff_artefacts(compile_spec(other, "b.dlt"), compile_spec(text, "a.dlt"))
    assert {(c.after, c.before) for c in back.changes} == {(c.before, c.after) for c in found.changes}


@given(data=st.data())
@QUIET
def test_a_change_is_found_under_new_names_and_order(data, net):
    """The same change, whatever else was rewritten."""
    numbers = data.draw(st.permutations(range(len(NAMES["net"]))), label="new names")
    names = {name: f"n{k}" for name, k in zip(NAMES["net"], numbers, strict=True)}
    old, new, what = data.draw(
        st.sampled_from(
            [
                ("relu(", "tanh(", "equation h"),
                ("2e-3", "3e-3", "rule W b"),
                ("init 1", "init 2", "init g"),
                ("var = 1/hid", "var = 2/hid", "prior V"),
                ("logits = s)", "logits = s)^2", "density y"),
                ("test 0.2", "test 0.1", "data test"),
            ]
        )
    )
    other = renamed(reordered(net.replace(old, new), data), names)
    found = diff_artefacts(compile_spec(net, "a.dlt"), compile_spec(other, "b.dlt"))
    (change,) = [c for c in found.changes if c.cls != "rename"]
    kind, *paths = what.split()
    assert change.what == kind
    assert set(change.path.split(", ")) == {names.get(p, p) for p in paths}, str(found)


# ---------------------------------------------------------------- one token

TOKEN = re.compile(r"\d+\.\d+(?:e-?\d+)?|\d+(?:e-?\d+)?|[A-Za-z_]\w*'*|//|<-|==|>=|[-+*/^%~<>]")
OTHERS = {
    "+": "-*", "-": "+", "*": "+/", "/": "*", "^": "+", "//": "%", "%": "*", "==": "<", ">": "<", "relu": ["tanh"],
    "tanh": ["relu"], "sum": ["mean"], "mean": ["sum"], "max": ["min"], "softmax": ["log_softmax"], "abs": ["exp"],
    "sqrt": ["log"], "exp": ["log"], "Normal": ["Laplace"], "Adam": ["SGD"], "AdamW": ["Lion"], "cumsum": ["softmax"],
    "standardize": ["abs"], "log1p": ["log"], "norm": ["logsumexp"], "precision": ["var"], "var": ["std", "precision"],
    "std": ["var"], "rmse": ["mae"], "mae": ["rmse"], "r2": ["mae"], "kmax": ["cumsum"], "argmax": ["sum"],
    "row": ["col"], "col": ["row"], "pix": ["row"], "d'": ["d"], "k'": ["k"], "k": ["d"], "frozen": [""],
    "probe": [""], "test": ["valid"], "float64": ["float32"], "all": ["7"], "z": ["q"], "A": ["B"], "B": ["A"],
    "W": ["V"], "h": ["s"], "b": ["c"], "lit": ["n"], "m": ["v"], "v": ["m"], "grad": ["w"],
}  # fmt: skip

EQUAL = (
    ("var", "std", "= 1)"),  # a variance of 1 is a standard deviation of 1 is a precision of 1
    ("var", "precision", "= 1)"),
    ("pix", "row", "x[pix]"),  # the trailing col is meant anyway
    ("pix", "row", "U[d, pix]"),
)


def mutants(text):
    """Every text with one token replaced: numbers by others, names and operations by their neighbours."""
    for found in TOKEN.finditer(text):
        word = found[0]
        if found.start() < 6 or "#" in text[text.rindex("\n", 0, found.start()) : found.start()]:
            continue
        if word[0].isdigit():
            number = float(word)
            whole = [str(int(word) + 1), str(int(word) + 2)] if word.isdigit() else []
            choices = whole or [f"{number * 1.5:g}", f"{number + 1:g}"]
        else:
            choices = list(OTHERS.get(word, []))
        for choice in choices:
            around = text[found.start() - 5 : found.end() + 1]
            after = text[found.end() :].lstrip()
            if not any((word, choice) == (a, b) and (after.startswith(c) or c in around) for a, b, c in EQUAL):
                yield f"{word} -> {choice}", text[: found.start()] + choice + text[found.end() :]


ALL = [("net", 1, 75), ("zoo", 1, 240)]


@pytest.mark.parametrize(
    ("which", "every", "least"),
    [("net", 2, 30), ("zoo", 8, 25), *(pytest.param(*case, marks=pytest.mark.slow) for case in ALL)],
)
def test_every_change_of_one_token_is_a_difference(which, every, least, net, zoo):
    text = {"net": net, "zoo": zoo}[which]
    spec = compile_spec(text, "a.dlt")
    compiled = 0
    for what, other in [*mutants(text)][::every]:
        try:
            mutant = compile_spec(other, "b.dlt")
        except SpecError:
            continue
        compiled += 1
        found = diff_artefacts(spec, mutant)
        line = next(b for a, b in zip(text.splitlines(), other.splitlines(), strict=True) if a != b)
        assert not found.same, f"{what} in {line}"
        assert len(found.changes) <= 4, f"{what} in {line}: {found}"
        assert all(c.before != c.after for c in found.changes), str(found)
    assert compiled >= least
