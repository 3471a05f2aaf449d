"""Elementwise ops in Python: on tensors (torch) and on host numbers (math), one row an op."""

from __future__ import annotations

from collections.abc import Callable

from .tree import Bin, Call, Choice, Code, Lit, Method, Neg

Make = Callable[..., Code]


def _call(fn: str) -> Make:
    return lambda *args: Call(fn, args)


def _infix(op: str) -> Make:
    def make(a: Code, b: Code) -> Code:
        return Bin(op, a, b)

    return make


def _reciprocal(x: Code) -> Code:
    return Bin("/", Lit(1), x)


def _power(x: Code, y: Code) -> Code:
    """Squares and roots have operations of their own."""
    if isinstance(y, Lit) and y.value == 2:
        return Method(x, "square")
    return Bin("**", x, y)


def _trigamma(x: Code) -> Code:
    return Call("torch.polygamma", (Lit(1), x))


def _detached(x: Code) -> Code:
    return Method(x, "detach")


def _choice(condition: Code, yes: Code, no: Code) -> Code:
    return Choice(condition, yes, no)


def _same(x: Code) -> Code:
    return x


TENSOR: dict[str, Make] = {
    "recip": _reciprocal,
    "pow": _power,
    "exp": _call("torch.exp"),
    "log": _call("torch.log"),
    "log1p": _call("torch.log1p"),
    "expm1": _call("torch.expm1"),
    "sqrt": _call("torch.sqrt"),
    "abs": _call("torch.abs"),
    "sign": _call("torch.sign"),
    "relu": _call("torch.relu"),
    "gelu": _call("F.gelu"),
    "sigmoid": _call("torch.sigmoid"),
    "tanh": _call("torch.tanh"),
    "softplus": _call("rt.softplus"),
    "sin": _call("torch.sin"),
    "cos": _call("torch.cos"),
    "erf": _call("torch.erf"),
    "lgamma": _call("torch.lgamma"),
    "digamma": _call("torch.digamma"),
    "trigamma": _trigamma,
    "minimum": _call("rt.minimum"),
    "maximum": _call("rt.maximum"),
    "floordiv": _infix("//"),
    "mod": _infix("%"),
    "lt": _infix("<"),
    "le": _infix("<="),
    "eq": _infix("=="),
    "ne": _infix("!="),
    "logical_not": _call("torch.logical_not"),
    "where": _call("torch.where"),
    "xlogy": _call("rt.xlogy"),
    "stop": _detached,
}

HOST: dict[str, Make] = {
    "recip": _reciprocal,
    "pow": _infix("**"),
    "exp": _call("math.exp"),
    "log": _call("math.log"),
    "log1p": _call("math.log1p"),
    "expm1": _call("math.expm1"),
    "sqrt": _call("math.sqrt"),
    "abs": _call("abs"),
    "tanh": _call("math.tanh"),
    "sin": _call("math.sin"),
    "cos": _call("math.cos"),
    "erf": _call("math.erf"),
    "lgamma": _call("math.lgamma"),
    "minimum": _call("min"),
    "maximum": _call("max"),
    "floordiv": _infix("//"),
    "mod": _infix("%"),
    "lt": _infix("<"),
    "le": _infix("<="),
    "eq": _infix("=="),
    "ne": _infix("!="),
    "where": _choice,
    "stop": _same,
    "real": _call("float"),
}
"""Ops that stay host numbers when all operands are; an op without a row turns its operands into tensors."""

KEEPS_INT = frozenset(
    {
        "abs",
        "sign",
        "relu",
        "minimum",
        "maximum",
        "floordiv",
        "mod",
        "stop",
        "where",
        "add",
        "contract",
        "lt",
        "le",
        "eq",
        "ne",
        "logical_not",
    }
)
"""Ops that are exact on whole numbers; operands of all others are cast to real first."""


def signed_sum(terms: list[Code]) -> Code:
    """``a - b + c`` from terms some of which are negated."""
    positive = [t for t in terms if not _negated(t)]
    ordered = [*positive, *(t for t in terms if _negated(t))]
    result = ordered[0]
    for term in ordered[1:]:
        result = Bin("-", result, _negated_of(term)) if _negated(term) else Bin("+", result, term)
    return result


def _negated(code: Code) -> bool:
    if isinstance(code, Neg):
        return True
    if isinstance(code, Lit):
        return isinstance(code.value, (int, float)) and code.value < 0
    return isinstance(code, Bin) and code.op in "*/" and _negated(code.left)


def _negated_of(code: Code) -> Code:
    """The code without its sign."""
    if isinstance(code, Neg):
        return code.operand
    if isinstance(code, Lit):
        assert isinstance(code.value, (int, float))
        return Lit(-code.value)
    assert isinstance(code, Bin)
    left = _negated_of(code.left)
    if left == Lit(1) and code.op == "*":
        return code.right
    return Bin(code.op, left, code.right)
