"""Python text as the plan's tree: the inverse of the printer, for expressions that emitted code may hold."""

from __future__ import annotations

import ast

from dltc.compiler.plan.tree import Bin, Call, Choice, Code, Field, Item, Lit, Method, Neg, Row, Table, Var, Whole

_OPERATORS = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_PACKAGES = ("torch", "rt", "F", "math", "self")


def code_of(text: str) -> Code:
    """The tree of one expression."""
    return _code(ast.parse(text, mode="eval").body)


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := _dotted(node.value)) is not None:
        return f"{inner}.{node.attr}"
    return None


def _code(node: ast.expr) -> Code:
    match node:
        case ast.Constant(value):
            return Lit(value)
        case ast.Name(name):
            return Var(name)
        case ast.Attribute():
            dotted = _dotted(node)
            if dotted is not None and dotted.split(".")[0] in _PACKAGES:
                return Var(dotted)
            return Field(_code(node.value), node.attr)
        case ast.Call(func, args, keywords):
            named = tuple((str(k.arg), _code(k.value)) for k in keywords)
            dotted = _dotted(func)
            if dotted is not None and (isinstance(func, ast.Name) or dotted.split(".")[0] in _PACKAGES):
                return Call(dotted, tuple(map(_code, args)), named)
            assert isinstance(func, ast.Attribute)
            return Method(_code(func.value), func.attr, tuple(map(_code, args)), named)
        case ast.BinOp(left, op, right):
            return Bin(_OPERATORS[type(op)], _code(left), _code(right))
        case ast.Compare(left, [op], [right]):
            return Bin(_OPERATORS[type(op)], _code(left), _code(right))
        case ast.UnaryOp(ast.USub(), ast.Constant(value)):
            return Lit(-value)
        case ast.UnaryOp(ast.USub(), operand):
            return Neg(_code(operand))
        case ast.IfExp(condition, yes, no):
            return Choice(_code(condition), _code(yes), _code(no))
        case ast.Tuple(items):
            return Row(tuple(map(_code, items)))
        case ast.Dict(keys, values):
            return Table(tuple((str(k.value), _code(v)) for k, v in zip(keys, values, strict=True)))
        case ast.Subscript(value, index):
            items = index.elts if isinstance(index, ast.Tuple) else [index]
            return Item(_code(value), tuple(map(_item, items)))
        case _:
            raise AssertionError(f"emitted code holds no {ast.dump(node)}")


def _item(node: ast.expr) -> Code | None:
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    return Whole() if isinstance(node, ast.Slice) else _code(node)
