"""Expressions: precedence, calls, indices and numbers."""

from __future__ import annotations

from typing import Any

import pytest

from dltc.compiler.diagnostics import Findings, Span
from dltc.compiler.frontend import nodes as n
from dltc.compiler.frontend.parse import parse_text, parse_whole

HERE = Span("", 0, 0)


def expression(text: str) -> n.Expr:
    """The right side of an equation; both ways of parsing must agree on it."""
    source = f"dlt 1\nmodel M {{\nh = {text}\n}}\n"
    findings = Findings()
    file = parse_text(source, "x.dlt", findings)
    assert findings.items == [], [e.message for e in findings.items]
    assert parse_whole(source, "x.dlt", Findings()) == file
    model: Any = file.body[0]
    return model.body[0].value


def sexpr(e: Any) -> str:
    """An expression fully bracketed."""
    match e:
        case n.Number():
            return repr(e.value)
        case n.Name():
            return e.name + "'" * e.primes
        case n.Text():
            return f'"{e.value}"'
        case n.Unary():
            return f"({e.op} {sexpr(e.operand)})"
        case n.Binary():
            return f"({sexpr(e.left)} {e.op} {sexpr(e.right)})"
        case n.Compare():
            rest = " ".join(f"{op} {sexpr(x)}" for op, x in zip(e.ops, e.operands[1:], strict=True))
            return f"({sexpr(e.operands[0])} {rest})"
        case n.Index():
            return f"{e.name}[{', '.join(map(sexpr, e.args))}]"
        case n.Call():
            axes = "" if e.axes is None else f"[{', '.join(map(sexpr, e.axes))}]"
            args = ", ".join((f"{a.name}=" if a.name else "") + sexpr(a.value) for a in e.args)
            return f"{e.name}{axes}({args})" + (f" as {e.alias}" if e.alias else "")
        case n.Pipe():
            return f"({sexpr(e.value)} |> {sexpr(e.stage)})"
        case n.ListOf():
            return f"[{', '.join(map(sexpr, e.items))}]"
        case n.Range():
            return f"{sexpr(e.low)}..{sexpr(e.high)}"
        case n.ProductOf():
            return f"({', '.join(map(sexpr, e.parts))})"
    raise AssertionError(e)


PRECEDENCE = {
    "a + b * c": "(a + (b * c))",
    "a * b + c": "((a * b) + c)",
    "a - b - c": "((a - b) - c)",
    "a / b * c": "((a / b) * c)",
    "a // b % c": "((a // b) % c)",
    "a / b / c": "((a / b) / c)",
    "-a * b": "((- a) * b)",
    "a * -b": "(a * (- b))",
    "-a^2": "(- (a ^ 2))",
    "a^-1": "(a ^ (- 1))",
    "a^b^c": "(a ^ (b ^ c))",
    "a^-b^c": "(a ^ (- (b ^ c)))",
    "2^-3^2 * x": "((2 ^ (- (3 ^ 2))) * x)",
    "--a": "(- (- a))",
    "a - -b": "(a - (- b))",
    "(a + b) * c": "((a + b) * c)",
    "(-a)^2": "((- a) ^ 2)",
    "post[o]^2 * w[o, i]": "((post[o] ^ 2) * w[o, i])",
    "1 - b1^t": "(1 - (b1 ^ t))",
    "a < b": "(a < b)",
    "0 < a + 1 <= b * 2": "(0 < (a + 1) <= (b * 2))",
    "a == b != c >= d > e": "(a == b != c >= d > e)",
    "(a < b) * c": "((a < b) * c)",
    "(a < b) < c": "((a < b) < c)",
    "a < -1": "(a < (- 1))",
    "f(a<-1)": "f((a < (- 1)))",
    "a + b |> f |> g": "(((a + b) |> f) |> g)",
    "a < b |> f": "((a < b) |> f)",
    "x |> Dense(n = 3) as enc |> relu": "((x |> Dense(n=3) as enc) |> relu)",
    "x |> Block[depth] |> F[d]()": "((x |> Block[depth]) |> F[d]())",
    "f(a |> g, b)": "f((a |> g), b)",
    "t % 2 == 0": "((t % 2) == 0)",
}


@pytest.mark.parametrize("text", PRECEDENCE)
def test_precedence(text: str) -> None:
    assert sexpr(expression(text)) == PRECEDENCE[text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("W[hid, pix']", "W[hid, pix']"),
        ("A[d'', d']", "A[d'', d']"),
        ("x[(row + dr) % size(row), 2*col + dc]", "x[((row + dr) % size(row)), ((2 * col) + dc)]"),
        ("E[tok[t], d]", "E[tok[t], d]"),
        ("z[depth-1]", "z[(depth - 1)]"),
        ("sum[pix](x[pix])", "sum[pix](x[pix])"),
        ("max[k, l](u[2*r + k])", "max[k, l](u[((2 * r) + k)])"),
        ("matpow[i, i'](A, p)", "matpow[i, i'](A, p)"),
        ("f()", "f()"),
        ("f(a, b = c, d = 2)", "f(a, b=c, d=2)"),
        ("enc.std + enc.h.W[0]", "(enc.std + enc.h.W[0])"),
        ("Block[depth](z[depth-1]) as b", "Block[depth](z[(depth - 1)]) as b"),
        ("[[1, 0], [0, -1]]", "[[1, 0], [0, (- 1)]]"),
        ("f (a)", "f(a)"),
        ("f(\n  a, # one\n  b\n)", "f(a, b)"),
        ("std.f(a)", "std.f(a)"),
        ('sklearn("a b # c")', 'sklearn("a b # c")'),
        ("f(test, valid, batch, data, seed, keep, forward, stop, every, where)", None),
        ("best + on + over + from + op + python + dlt + report + epochs + redraw + after + without + variance", None),
        ("f(test = 1, data = 2, seed = 3, when = 4, forward = 5, keep = 6, from = 7)", None),
        ("initial + started + in_ + axis2 + states", None),
    ],
)
def test_expressions(text: str, expected: str | None) -> None:
    found = expression(text)
    if expected is not None:
        assert sexpr(found) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("007", 7),
        ("0.5", 0.5),
        ("2e-3", 2e-3),
        ("1E+2", 100.0),
        ("1e-8", 1e-8),
        ("0e-999", 0.0),
        ("9223372036854775807", 2**63 - 1),
        ("1e308", 1e308),
    ],
)
def test_numbers(text: str, value: float) -> None:
    found = expression(text)
    assert isinstance(found, n.Number)
    assert (found.value, type(found.value)) == (value, type(value))


def test_leading_zeros_do_not_make_a_number_large() -> None:
    assert expression("0" * 9_999 + "9") == n.Number(HERE, 9)
