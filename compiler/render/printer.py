"""Prints plan expressions as Python: precedence, literals, and line breaking where a line grows long.

Text from a spec reaches emitted code only here: names as checked identifiers, everything else through ``repr``.
"""

from __future__ import annotations

import math

from ..diagnostics import InternalError
from ..plan.tree import Bin, Call, Choice, Code, Field, Item, Lit, Method, Neg, Row, Table, Var, Whole

WIDTH = 120

_RANK = {"==": 1, "!=": 1, "<": 1, "<=": 1, "+": 2, "-": 2, "*": 3, "/": 3, "//": 3, "%": 3, "@": 3, "**": 5}
_CHOICE, _UNARY, _ATOM = 0, 4, 6


def expression(code: Code) -> str:
    """The expression on one line."""
    return _text(code)[0]


def _text(code: Code) -> tuple[str, int]:
    """Text and binding strength."""
    match code:
        case Var():
            return _checked(code.name), _ATOM
        case Lit():
            text = literal(code.value)
            return text, _UNARY if text.startswith("-") else _ATOM
        case Call():
            return f"{_checked(code.fn)}({_arguments(code.args, code.named)})", _ATOM
        case Method():
            return f"{_inside(code.obj, _ATOM)}.{_checked(code.name)}({_arguments(code.args, code.named)})", _ATOM
        case Field():
            return f"{_inside(code.obj, _ATOM)}.{_checked(code.name)}", _ATOM
        case Neg():
            return f"-{_inside(code.operand, _UNARY)}", _UNARY
        case Item():
            items = ", ".join(
                "None" if i is None else ":" if isinstance(i, Whole) else expression(i) for i in code.items
            )
            return f"{_inside(code.obj, _ATOM)}[{items}]", _ATOM
        case Row():
            items = ", ".join(expression(i) for i in code.items)
            return f"({items},)" if len(code.items) == 1 else f"({items})", _ATOM
        case Table():
            return "{" + ", ".join(f"{literal(k)}: {expression(v)}" for k, v in code.items) + "}", _ATOM
        case Choice():
            return f"{_inside(code.yes, 1)} if {_inside(code.condition, 1)} else {_inside(code.no, 1)}", _CHOICE
        case Bin():
            return _binary(code)
        case _:
            raise InternalError(f"cannot print {type(code).__name__}")


def _binary(code: Bin) -> tuple[str, int]:
    """Left-associative chains are printed in one loop: a sum may have thousands of terms."""
    chain: list[Bin] = [code]
    rank = _RANK[code.op]
    while isinstance(chain[-1].left, Bin) and _RANK[chain[-1].left.op] == rank and rank in (2, 3):
        chain.append(chain[-1].left)
    text = _inside(chain[-1].left, rank + (rank in (1, 5)))
    steps = [f"{step.op} {_inside(step.right, rank + (rank != 5))}" for step in reversed(chain)]
    return " ".join([text, *steps]), rank


def _inside(code: Code, needed: int) -> str:
    text, rank = _text(code)
    return text if rank >= needed else f"({text})"


def _arguments(args: tuple[Code, ...], named: tuple[tuple[str, Code], ...]) -> str:
    return ", ".join([*(expression(a) for a in args), *(f"{_checked(k)}={expression(v)}" for k, v in named)])


def _checked(path: str) -> str:
    """A dotted path of ASCII identifiers; anything else is our own fault and must not be printed."""
    if not all(part.isidentifier() and part.isascii() for part in path.split(".")):
        raise InternalError(f"`{path}` is not a name that may be printed")
    return path


def literal(value: int | float | bool | str | tuple[int | float | bool | str, ...] | None) -> str:
    """A Python literal; infinities by name."""
    if isinstance(value, tuple):
        items = ", ".join(literal(v) for v in value)
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, float) and not math.isfinite(value):
        return "math.nan" if math.isnan(value) else "math.inf" if value > 0 else "-math.inf"
    if isinstance(value, str):
        return quoted(value)
    return repr(value)


def quoted(text: str) -> str:
    """A string literal in double quotes, everything but printable ASCII escaped."""
    body = ascii(text)[1:-1]
    if ascii(text)[0] == "'":
        body = body.replace("\\'", "'").replace('"', '\\"')
    return f'"{body}"'


def broken(prefix: str, code: Code, indent: str) -> list[str]:
    """``prefix + code`` on one line, or with the outermost brackets opened when that is too long."""
    line = f"{indent}{prefix}{expression(code)}"
    if len(line) <= WIDTH:
        return [line]
    inner = indent + "    "
    match code:
        case Call() | Method():
            parts = [*((None, a) for a in code.args), *((k, a) for k, a in code.named)]
            head = _checked(code.fn) if isinstance(code, Call) else f"{_inside(code.obj, _ATOM)}.{_checked(code.name)}"
            if len(f"{indent}{prefix}{head}(") <= WIDTH and parts:
                lines = [f"{indent}{prefix}{head}("]
                for name, part in parts:
                    lines += _item(f"{name}=" if name else "", part, inner)
                return [*lines, f"{indent})"]
        case Row():
            return [f"{indent}{prefix}(", *(x for i in code.items for x in _item("", i, inner)), f"{indent})"]
        case Table():
            rows = (x for k, v in code.items for x in _item(f"{literal(k)}: ", v, inner))
            return [f"{indent}{prefix}{{", *rows, f"{indent}}}"]
        case Bin() if code.op in _RANK and _RANK[code.op] in (2, 3):
            return [f"{indent}{prefix}(", *_chain(code, inner), f"{indent})"]
        case _:
            pass
    return [f"{indent}{prefix}(", f"{inner}{expression(code)}", f"{indent})"]


def _item(prefix: str, code: Code, indent: str) -> list[str]:
    lines = broken(prefix, code, indent)
    return [*lines[:-1], lines[-1] + ","]


def _chain(code: Bin, indent: str) -> list[str]:
    """A long sum or product, a term a line."""
    rank = _RANK[code.op]
    steps: list[tuple[str, Code]] = []
    node: Code = code
    while isinstance(node, Bin) and _RANK[node.op] == rank:
        steps.append((node.op, node.right))
        node = node.left
    lines = [f"{indent}{_inside(node, rank)}"]
    return lines + [f"{indent}{op} {_inside(term, rank + 1)}" for op, term in reversed(steps)]
