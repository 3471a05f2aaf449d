"""Statements to nodes: what each construct becomes, and where in the text it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from dltc.compiler.diagnostics import Diagnostic, Findings, Span
from dltc.compiler.frontend import nodes as n
from dltc.compiler.frontend.parse import parse_text, parse_whole

EVERYTHING = (Path(__file__).parent.parent / "conformance" / "everything.dlt").read_text(encoding="utf-8")
HERE = Span("", 0, 0)
HEADERS = {
    "model": "model M",
    "circuit": "circuit C()",
    "rule": "rule R() on real",
    "learn": "model M { learn",
    "infer": "model M { infer",
    "data": 'model M { data from npz("f.npz")',
    "train": "model M { train",
}


def parse(text: str) -> tuple[n.File, list[Diagnostic]]:
    findings = Findings()
    return parse_text(text, "x.dlt", findings), findings.sorted()


def wrapped(text: str, block: str) -> str:
    if block == "file":
        return f"dlt 1\n{text}\n"
    header = HEADERS[block]
    return f"dlt 1\n{header} {{\n{text}\n" + "}" * (header.count("{") + 1) + "\n"


def lines(node: n.Stmt) -> tuple[n.Stmt, ...]:
    return getattr(node, "body", None) or getattr(node, "lines", ())


def statement(text: str, block: str = "model") -> Any:
    """The node of a correct statement; both ways of parsing must agree on it."""
    source = wrapped(text, block)
    file, errors = parse(source)
    assert errors == [], [e.message for e in errors]
    assert parse_whole(source, "x.dlt", Findings()) == file
    inner = file.body
    for _ in range(HEADERS.get(block, "").count("{") + (block != "file")):
        inner = lines(inner[0])
    assert len(inner) == 1
    return inner[0]


def walk(node: Any) -> Iterator[Any]:
    """Every node of a tree, not recursive."""
    todo = [node]
    while todo:
        found = todo.pop()
        if isinstance(found, tuple):
            todo += found
        elif is_dataclass(found) and not isinstance(found, Span):
            yield found
            todo += [getattr(found, f.name) for f in fields(found)]


# ---------------------------------------------------------------- statements


def names(text: str) -> tuple[n.Name, ...]:
    return tuple(n.Name(HERE, w.rstrip("'"), w.count("'")) for w in text.split())


def name(text: str) -> n.Name:
    return names(text)[0]


def target(text: str, axes: str | None = None) -> n.Target:
    return n.Target(text, names(axes) if axes is not None else None, HERE, HERE)


def num(value: float) -> n.Number:
    return n.Number(HERE, value)


def call(text: str, *args: n.Expr, axes: str | None = None, **named: n.Expr) -> n.Call:
    all_args = [n.Arg(None, a, HERE) for a in args] + [n.Arg(k, v, HERE) for k, v in named.items()]
    return n.Call(HERE, text, names(axes) if axes is not None else None, tuple(all_args), HERE)


def dist(text: str, *args: n.Expr, power: n.Expr | None = None, **named: n.Expr) -> n.Distribution:
    return n.Distribution(call(text, *args, **named), power, HERE)


def binary(left: n.Expr, op: str, right: n.Expr) -> n.Binary:
    return n.Binary(HERE, op, left, right)


def axis(text: str, value: n.Expr | None = None) -> n.AxisItem:
    return n.AxisItem(text, value, HERE)


def let(text: str, value: n.Expr, axes: str | None = None) -> n.LetItem:
    return n.LetItem(target(text, axes), value, HERE)


def setting(text: str, *words: str, values: tuple[n.Expr, ...] = ()) -> n.Setting:
    return n.Setting(HERE, text, words, values, HERE)


NORMAL = dist("Normal", num(0), var=num(1))
MODEL = {
    "axis hid = 128, t": n.AxisDecl(HERE, (axis("hid", num(128)), axis("t"))),
    "axis pix = (row, col)": n.AxisDecl(HERE, (axis("pix", n.ProductOf(HERE, names("row col"))),)),
    "axis p = (row)": n.AxisDecl(HERE, (axis("p", name("row")),)),
    "axis dr = -1..1": n.AxisDecl(HERE, (axis("dr", n.Range(HERE, n.Unary(HERE, "-", num(1)), num(1))),)),
    "axis a = 0..n-1": n.AxisDecl(HERE, (axis("a", n.Range(HERE, num(0), binary(name("n"), "-", num(1)))),)),
    "input x[pix]": n.InputDecl(HERE, target("x", "pix"), None),
    "input y: cls": n.InputDecl(HERE, target("y"), name("cls")),
    "input data": n.InputDecl(HERE, target("data"), None),
    "param b ~ Normal(0, var = 1)": n.ParamDecl(HERE, target("b"), None, None, NORMAL, None, None, False),
    "param b": n.ParamDecl(HERE, target("b"), None, None, None, None, None, False),
    "param L[d]: w ~ Categorical(p = 1/w) frozen": n.ParamDecl(
        HERE,
        target("L", "d"),
        name("w"),
        None,
        dist("Categorical", p=binary(num(1), "/", name("w"))),
        None,
        None,
        True,
    ),
    "param g[h] in signed[h] ~ Flat() init 1 sparse fan_in(2)": n.ParamDecl(
        HERE,
        target("g", "h"),
        None,
        n.Domain("signed", names("h"), HERE),
        dist("Flat"),
        num(1),
        n.Sparse(call("fan_in", num(2)), None, HERE),
        False,
    ),
    "param A[d', d] in unit ~ Flat() frozen sparse where d < 8 init label(d) == label(d')": n.ParamDecl(
        HERE,
        target("A", "d' d"),
        None,
        n.Domain("unit", (), HERE),
        dist("Flat"),
        n.Compare(HERE, ("==",), (call("label", name("d")), call("label", name("d'")))),
        n.Sparse(None, n.Compare(HERE, ("<",), (name("d"), num(8))), HERE),
        True,
    ),
    "latent z[k] ~ Normal(0, var = 1)": n.LatentDecl(HERE, target("z", "k"), None, None, NORMAL),
    "latent c: k in positive": n.LatentDecl(HERE, target("c"), name("k"), n.Domain("positive", (), HERE), None),
    "let a = 1, T[b] = [2]": n.LetDecl(HERE, (let("a", num(1)), let("T", n.ListOf(HERE, (num(2),)), "b"))),
    "state m[d] = 0, k = 1": n.StateDecl(HERE, (let("m", num(0), "d"), let("k", num(1)))),
    "m[d] <- 1": n.Update(HERE, target("m", "d"), num(1)),
    "h[d] = 1 start 0": n.Equation(HERE, target("h", "d"), num(1), num(0)),
    "data = 1": n.Equation(HERE, target("data"), num(1), None),
    "batch = 1": n.Equation(HERE, target("batch"), num(1), None),
    "probe Z[p'] = 1": n.Equation(HERE, target("Z", "p'"), num(1), None, "probe"),
    "probe h, enc.m": n.ProbeDecl(HERE, names("h enc.m")),
    "output y[n] = 1 start 2": n.Equation(HERE, target("y", "n"), num(1), num(2), "output"),
    "output s, h": n.OutputDecl(HERE, names("s h")),
    "assert a > 0": n.AssertStmt(HERE, n.Compare(HERE, (">",), (name("a"), num(0)))),
    "y ~ Normal(0, var = 1)": n.Density(HERE, name("y"), NORMAL),
    "e ~ Gibbs()^w[t]": n.Density(HERE, name("e"), dist("Gibbs", power=n.Index(HERE, "w", names("t"), HERE))),
    "e ~ Gibbs()^-1": n.Density(HERE, name("e"), dist("Gibbs", power=n.Unary(HERE, "-", num(1)))),
    "e ~ Gibbs()^(a * b)": n.Density(HERE, name("e"), dist("Gibbs", power=binary(name("a"), "*", name("b")))),
    "tok[t+1] ~ Flat()": n.Density(HERE, n.Index(HERE, "tok", (binary(name("t"), "+", num(1)),), HERE), dist("Flat")),
    'data from npz("f") {}': n.DataBlock(HERE, call("npz", n.Text(HERE, "f")), ()),
    "train over task {}": n.TrainBlock(HERE, name("task"), ()),
    "train {}": n.TrainBlock(HERE, None, ()),
    "learn {}": n.LearnBlock(HERE, ()),
    "infer {}": n.InferBlock(HERE, ()),
    "moved h.W from enc.W": n.MovedDecl(HERE, "moved", name("h.W"), name("enc.W")),
}


@pytest.mark.parametrize("text", MODEL)
def test_statements_of_a_model(text: str) -> None:
    assert statement(text) == MODEL[text]


OTHERS: dict[tuple[str, str], n.Stmt] = {
    ("file", "model M {}"): n.ModelDecl(HERE, "M", (), HERE),
    ("file", "circuit C(n: axis, act: op = id, k = 1, v: circuit, p) {}"): n.CircuitDecl(
        HERE,
        "C",
        (
            n.StaticParam("n", "axis", None, HERE),
            n.StaticParam("act", "op", name("id"), HERE),
            n.StaticParam("k", None, num(1), HERE),
            n.StaticParam("v", "circuit", None, HERE),
            n.StaticParam("p", None, None, HERE),
        ),
        (),
        HERE,
    ),
    ("file", "circuit C {}"): n.CircuitDecl(HERE, "C", (), (), HERE),
    ("file", "rule R(lr) on simplex[k] {}"): n.RuleDecl(
        HERE, "R", (n.StaticParam("lr", None, None, HERE),), n.Domain("simplex", names("k"), HERE), (), HERE
    ),
    ("file", "rule R on topology {}"): n.RuleDecl(HERE, "R", (), n.Domain("topology", (), HERE), (), HERE),
    ("file", "use std.layers (A, B)"): n.UseDecl(HERE, "std.layers", None, names("A B")),
    ("file", 'use "mine.dlt" (A)'): n.UseDecl(HERE, None, "mine.dlt", names("A")),
    ("file", 'extern op g(x[d], v: circuit) -> y = python "m:f"'): n.ExternDecl(
        HERE, "g", ((target("x", "d"), None), (target("v"), "circuit")), target("y"), "m:f"
    ),
    ("file", "extend W from h.W"): n.MovedDecl(HERE, "extend", name("W"), name("h.W")),
    ("file", "dropped h.b"): n.MovedDecl(HERE, "dropped", name("h.b"), None),
    ("rule", "state r[] = 0"): n.StateDecl(HERE, (let("r", num(0), ""),)),
    ("rule", "prior.mean <- w"): n.Update(HERE, target("prior.mean"), name("w")),
    ("rule", "w[o, i] <- 1"): n.Update(HERE, target("w", "o i"), num(1)),
    ("rule", "variance 1"): n.VarianceLine(HERE, num(1)),
    ("rule", "forward w"): n.ForwardLine(HERE, name("w")),
    ("rule", "keep a > 0"): n.KeepLine(HERE, n.Compare(HERE, (">",), (name("a"), num(0)))),
    ("rule", "u = u[t-1] start 0"): n.Equation(
        HERE, target("u"), n.Index(HERE, "u", (binary(name("t"), "-", num(1)),), HERE), num(0)
    ),
    ("learn", "W, enc.*, *.b, *, W_* : A(lr = 1), B"): n.RuleLine(
        HERE, names("W enc.* *.b * W_*"), (call("A", lr=num(1)), call("B"))
    ),
    ("infer", "z : FISTA()"): n.RuleLine(HERE, names("z"), (call("FISTA"),)),
    ("infer", "z ~ Normal(0, var = 1)"): n.Density(HERE, name("z"), NORMAL),
    ("data", "x = c[0..9]"): n.DataColumn(HERE, "x", n.Index(HERE, "c", (n.Range(HERE, num(0), num(9)),), HERE), HERE),
    ("data", "test = target"): n.DataColumn(HERE, "test", name("target"), HERE),
    ("data", "data = data"): n.DataColumn(HERE, "data", name("data"), HERE),
    ("data", "test 0.2"): n.DataPart(HERE, "test", num(0.2)),
    ("data", "valid 1/5"): n.DataPart(HERE, "valid", binary(num(1), "/", num(5))),
    ("train", "batch 32"): setting("batch", values=(num(32),)),
    ("train", "batch all"): setting("batch", values=(name("all"),)),
    ("train", "dtype float32"): setting("dtype", values=(name("float32"),)),
    ("train", "seeds 8"): setting("seeds", values=(num(8),)),
    ("train", "stop after 5 without nll"): setting("stop", "after", "without", values=(num(5), name("nll"))),
    ("train", "keep best"): setting("keep", "best"),
    ("train", "from start"): setting("from", "start"),
    ("train", "redraw"): setting("redraw"),
    ("train", "report nll"): n.ReportLine(HERE, names("nll"), ("nll",), None),
    ("train", "report  f( a,b ) , (a+b)*2,h[0] every 10*5"): n.ReportLine(
        HERE,
        (
            call("f", name("a"), name("b")),
            binary(binary(name("a"), "+", name("b")), "*", num(2)),
            n.Index(HERE, "h", (num(0),), HERE),
        ),
        ("f( a,b )", "(a+b)*2", "h[0]"),
        binary(num(10), "*", num(5)),
    ),
}


@pytest.mark.parametrize(("block", "text"), OTHERS)
def test_statements_of_other_blocks(block: str, text: str) -> None:
    assert statement(text, block) == OTHERS[block, text]


def test_documentation_reaches_the_declarations() -> None:
    text = """dlt 1
## the model
## in two lines
model M {
  ## axes
  axis d = 3
  ## in
  input x[d]
  ## weights
  param W ~ Flat() init 0
  ## hidden
  latent z ~ Normal(0, var = 1)
  ## constant
  let a = 1
  ## memory
  state s = 0
  ## value
  h = 1
  ## seen
  probe p = 1
  ## ignored
  assert h > 0
}
## rule
rule R() on real {}
## circuit
circuit C() {}
## typed hole
extern op f() -> y = python "m:f"
"""
    file, errors = parse(text)
    assert errors == []
    assert [s.doc for s in file.body if hasattr(s, "doc")] == [
        "the model\nin two lines",
        "rule",
        "circuit",
        "typed hole",
    ]
    inner = [getattr(s, "doc", None) for s in lines(file.body[0])]
    assert inner == ["axes", "in", "weights", "hidden", "constant", "memory", "value", "seen", None]
    assert parse_whole(text, "x.dlt", Findings()) == file


# ---------------------------------------------------------------- spans


def slices(text: str, kind: type) -> list[str]:
    source = wrapped(text, "model")
    file, errors = parse(source)
    assert errors == []
    return sorted({source[x.span.start : x.span.end] for x in walk(file) if type(x) is kind})


def test_spans_of_expressions() -> None:
    text = "h[d] = -(a + b') * f[i](x = c^-2, y[t-1])  # end"
    assert slices(text, n.Binary) == sorted(["-(a + b') * f[i](x = c^-2, y[t-1])", "(a + b')", "c^-2", "t-1"])
    assert slices(text, n.Unary) == sorted(["-(a + b')", "-2"])
    assert slices(text, n.Call) == ["f[i](x = c^-2, y[t-1])"]
    assert slices(text, n.Arg) == sorted(["x = c^-2", "y[t-1]"])
    assert slices(text, n.Index) == ["y[t-1]"]
    assert slices(text, n.Name) == sorted(["a", "b'", "c", "d", "i", "t"])
    assert slices(text, n.Target) == ["h[d]"]
    assert slices(text, n.Equation) == ["h[d] = -(a + b') * f[i](x = c^-2, y[t-1])"]


def test_spans_of_declarations() -> None:
    text = "  param  W[hid, pix] in simplex[hid] ~ Normal( 0, var = 2/pix )^2 init 0   sparse where hid < 2  frozen ;"
    assert slices(text, n.ParamDecl) == [text.strip(" ;")]
    assert slices(text, n.Target) == ["W[hid, pix]"]
    assert slices(text, n.Domain) == ["simplex[hid]"]
    assert slices(text, n.Distribution) == ["Normal( 0, var = 2/pix )^2"]
    assert slices(text, n.Sparse) == ["sparse where hid < 2"]
    assert slices("axis a = 3,  b = -1 .. 1", n.AxisItem) == ["a = 3", "b = -1 .. 1"]
    assert slices("p = x |> f() as  g", n.Call) == ["f() as  g"]


def test_name_spans() -> None:
    text = wrapped("h [d] = sum[d](x [d]) + g(1)", "model")
    file, _ = parse(text)
    found = [text[x.name_span.start : x.name_span.end] for x in walk(file) if hasattr(x, "name_span")]
    assert sorted(found) == ["M", "g", "h", "sum", "x"]


def test_spans_of_blocks_reach_to_the_brace() -> None:
    text = "dlt 1\nmodel M {\n  learn { a : B() }  # c\n}  # d\nrule R() on real { w <- w }\n"
    file, _ = parse(text)
    found = [
        text[x.span.start : x.span.end] for x in walk(file) if isinstance(x, n.ModelDecl | n.LearnBlock | n.RuleDecl)
    ]
    assert found == ["rule R() on real { w <- w }", "model M {\n  learn { a : B() }  # c\n}", "learn { a : B() }"]
    assert file.span == Span("x.dlt", 0, len(text))


def test_every_span_of_everything_is_its_text() -> None:
    """Parsing the slice of any expression gives that expression again."""
    file, errors = parse(EVERYTHING)
    assert errors == []
    seen = set()
    for node in walk(file):
        if isinstance(node, n.Expr) and not isinstance(node, n.Range | n.ProductOf):
            text = EVERYTHING[node.span.start : node.span.end]
            is_selector = "*" in text and isinstance(node, n.Name)
            is_rule_without_parentheses = isinstance(node, n.Call) and "(" not in text
            if text not in seen and not is_selector and not is_rule_without_parentheses:
                seen.add(text)
                again, found = parse(wrapped(f"h = g({text})", "model"))
                assert found == [], text
                value = lines(again.body[0])[0].value.args[0].value  # type: ignore[attr-defined]
                assert value == node, text
    assert len(seen) > 300


def test_the_same_text_elsewhere_has_its_own_spans() -> None:
    text = wrapped("a = f(x, [1, y[i']])\n  a = f(x, [1, y[i']])", "model")
    first, second = lines(parse(text)[0].body[0])
    assert first == second
    shift = second.span.start - first.span.start
    pairs = list(zip(walk(first), walk(second), strict=True))
    assert shift > 0 and len(pairs) > 8
    assert all((a.span.start + shift, a.span.end + shift) == (b.span.start, b.span.end) for a, b in pairs)
    other = parse_text(text, "other.dlt", Findings())
    assert {x.span.file for x in walk(other) if hasattr(x, "span")} == {"other.dlt"}
