"""Printed Python means what the tree says."""

from __future__ import annotations

import ast
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dltc.compiler.diagnostics import InternalError
from dltc.compiler.plan.tree import Bin, Call, Choice, Code, Item, Lit, Method, Neg, Row, Table, Var, Whole
from dltc.compiler.render.printer import broken, expression, literal, quoted

X, Y = Var("x"), Var("y")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (Bin("-", X, Bin("-", Y, Lit(1))), "x - (y - 1)"),
        (Bin("-", Bin("-", X, Y), Lit(1)), "x - y - 1"),
        (Bin("/", X, Bin("*", Y, Lit(2))), "x / (y * 2)"),
        (Bin("**", Neg(X), Lit(2)), "(-x) ** 2"),
        (Neg(Bin("**", X, Lit(2))), "-x ** 2"),
        (Bin("**", X, Neg(Y)), "x ** (-y)"),
        (Bin("**", Bin("**", X, Y), Lit(2)), "(x ** y) ** 2"),
        (Bin("<", Bin("+", X, Y), Lit(0)), "x + y < 0"),
        (Method(Bin("+", X, Y), "sum"), "(x + y).sum()"),
        (Method(Lit(-1.5), "hex"), "(-1.5).hex()"),
        (Item(X, (Whole(), None, Lit(2))), "x[:, None, 2]"),
        (Row((X,)), "(x,)"),
        (Table((("a", X),)), '{"a": x}'),
        (Choice(Bin("<", X, Y), X, Y), "x if x < y else y"),
        (Call("torch.f", (X,), (("dim", Lit(1)),)), "torch.f(x, dim=1)"),
        (Lit(math.inf), "math.inf"),
        (Lit(-math.inf), "-math.inf"),
    ],
)
def test_expression(code: Code, text: str) -> None:
    assert expression(code) == text


def trees() -> st.SearchStrategy[Code]:
    leaves = st.one_of(st.just(X), st.just(Y), st.integers(-3, 3).map(Lit))
    ops = st.sampled_from(["+", "-", "*", "//", "%", "<", "=="])
    return st.recursive(
        leaves, lambda inner: st.one_of(st.builds(Bin, ops, inner, inner), st.builds(Neg, inner)), max_leaves=12
    )


def value(code: Code, x: int, y: int) -> int:
    match code:
        case Var():
            return x if code.name == "x" else y
        case Lit():
            assert isinstance(code.value, int)
            return code.value
        case Neg():
            return -value(code.operand, x, y)
        case Bin():
            a, b = value(code.left, x, y), value(code.right, x, y)
            table = {"+": a + b, "-": a - b, "*": a * b, "<": a < b, "==": a == b}
            return int(table[code.op]) if code.op in table else (a // b if code.op == "//" else a % b)
        case _:
            raise AssertionError(code)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(trees(), st.integers(-5, 5), st.integers(-5, 5))
def test_printed_expressions_evaluate_as_the_tree(code: Code, x: int, y: int) -> None:
    """Precedence and associativity, by Python itself (bools are whole numbers)."""
    try:
        expected = value(code, x, y)
    except ZeroDivisionError:
        return
    assert int(eval(expression(code), {"x": x, "y": y})) == expected
    wrapped = "\n".join(broken("r = ", code, ""))
    assert ast.dump(ast.parse(wrapped)) == ast.dump(ast.parse(f"r = {expression(code)}"))


@given(st.text())
def test_quoted_text_is_one_ascii_literal(text: str) -> None:
    assert quoted(text).isascii()
    assert ast.literal_eval(quoted(text)) == text
    assert "\n" not in quoted(text)


def test_only_identifiers_are_printed_as_names() -> None:
    for name in ("x; import os", "a b", "é", "", "x\ny"):
        with pytest.raises(InternalError):
            expression(Var(name))


def test_literals() -> None:
    assert literal((1,)) == "(1,)"
    assert literal(()) == "()"
    assert literal(("a", 2.0, True, "q\"'")) == '("a", 2.0, True, "q\\"\'")'
