"""The primitive constructors: one per op, with trivially safe local algebra only.

Sums drop zeros, products drop ones, constant scalars fold, an axis that no factor carries becomes its size.  Products
and sums of *existing* nodes are never flattened: that would break their sharing.  Use :mod:`.expr`, which re-exports
everything here and adds what is built from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from .infer import arithmetic, promote, union
from .node import Graph, Node, Pool, base
from .ops import OPS

Operand = Node | bool | int | float
Axes = str | Collection[str]

NONE: frozenset[str] = frozenset()


def const(pool: Pool, value: bool | int | float) -> Node:
    """A constant scalar; its Python type is its dtype (-0.0 becomes 0.0: they would be equal keys)."""
    return pool.node("const", value=value + 0.0 if type(value) is float else value)


def zeros(pool: Pool) -> Node:
    """Real zero: of any shape, since a missing axis means "constant along it"."""
    return const(pool, 0.0)


def node_of(pool: Pool, x: Operand) -> Node:
    """The operand itself, or the constant of a Python number."""
    return x if isinstance(x, Node) else const(pool, x)


def axes_of(axes: Axes) -> frozenset[str]:
    """A set of indices from one name or several (a lone string is one name, not its letters)."""
    return frozenset({axes}) if isinstance(axes, str) else frozenset(axes)


def in_order(pool: Pool, axes: Axes) -> list[str]:
    """Indices in the order in which their axes are declared, fewer primes first."""
    found = axes_of(axes)
    if len(found) < 2:
        return list(found)
    return sorted(found, key=lambda a: (pool.place[base(a)], len(a)))


def fresh(index: str, used: Collection[str]) -> str:
    """Another index over the same axis that is not in use: more primes."""
    while index in used:
        index += "'"
    return index


def origin_of(pool: Pool, node: Node) -> AbstractContextManager[None]:
    """Nodes made inside come from where ``node`` comes from (from where they would anyway, if it has no origin)."""
    spans = pool.origins(node)
    return pool.origin(spans) if spans else nullcontext()


def constant(x: Node) -> bool | int | float | None:
    """The value of a constant, else None."""
    return x.attr("value") if x.op == "const" else None


def size(pool: Pool, *axes: str) -> Node:
    """The product of the sizes of axes, int: constant where the pool knows them."""
    return contract(pool, [_size(pool, a) for a in axes]) if axes else const(pool, 1)


def _size(pool: Pool, index: str) -> Node:
    known = pool.size(index)
    return const(pool, known) if isinstance(known, int) else pool.node("size", axis=base(index))


def label(pool: Pool, index: str, low: int = 0) -> Node:
    """low, low + 1, ... along an index; from 0 it is the position."""
    return pool.node("label", index=index, low=low)


# sums and products


def _cast(pool: Pool, x: Node, dtype: str) -> Node:
    """Keep the dtype of the whole when only one operand is left (bool counts as int already)."""
    return real(pool, x) if dtype == "real" and x.dtype != "real" else x


def _fold(
    nodes: Iterable[Node], combine: Callable[[Sequence[bool | int | float]], int | float]
) -> tuple[int | float | None, list[Node]]:
    """Constants combined (None when there are none, or when that is not finite), and the other operands."""
    nodes = list(nodes)
    rest = [x for x in nodes if x.op != "const"]
    if len(rest) == len(nodes):
        return None, rest
    value = combine(sorted([x.attr("value") for x in nodes if x.op == "const"]))  # the order of operands has no meaning
    if not math.isfinite(value) and len(nodes) - len(rest) > 1:
        return None, nodes
    return value, rest


def add(pool: Pool, *xs: Operand) -> Node:
    """The sum of any number of operands, 0 of none."""
    nodes = [x if isinstance(x, Node) else const(pool, x) for x in xs]
    dtype = arithmetic([x.dtype for x in nodes])
    value, rest = _fold(nodes, sum)
    if not rest:
        return _constant(pool, value or 0, dtype)
    if value is not None and value != 0:
        rest.append(_constant(pool, value, dtype))
    if len(rest) == 1:
        return _cast(pool, rest[0], dtype)
    return _typed(pool, "add", rest, dtype)


def _constant(pool: Pool, value: int | float, dtype: str) -> Node:
    """A constant in the dtype of the sum or product it stands in: one node for -1 and -1.0."""
    return const(pool, float(value) if dtype == "real" else int(value))


def _typed(pool: Pool, op: str, rest: list[Node], dtype: str, **attrs: frozenset[str]) -> Node:
    """The node, cast when dropping a real 0 or 1 would have made it int."""
    return _cast(pool, pool.node(op, *rest, **attrs), dtype)


def contract(pool: Pool, xs: Iterable[Operand], sum: Axes = ()) -> Node:
    """The product of ``xs``, summed over ``sum``; an axis that no operand carries multiplies by its size."""
    nodes = [x if isinstance(x, Node) else const(pool, x) for x in xs]
    dtype = arithmetic([x.dtype for x in nodes])
    summed = axes_of(sum)
    if summed:
        summed, nodes = _sum_scattered(pool, nodes, summed)
        absent = summed - union(nodes)
        nodes += [_size(pool, a) for a in in_order(pool, absent)]
        summed -= absent
    value, rest = _fold(nodes, math.prod)
    if not rest:
        return _constant(pool, 1 if value is None else value, dtype)
    if value is not None and value != 1:
        merged = _rescale(pool, value, rest) if not summed else None
        if merged is not None:
            return _cast(pool, merged, dtype)
        rest.append(_constant(pool, value, dtype))
    if len(rest) == 1 and not summed:
        return _cast(pool, rest[0], dtype)
    return _typed(pool, "contract", rest, dtype, sum=summed)


def _rescale(pool: Pool, value: int | float, rest: list[Node]) -> Node | None:
    """value * (c * x) as one multiple of x."""
    if len(rest) != 1 or rest[0].op != "contract" or rest[0].attr("sum") or len(rest[0].inputs) != 2:
        return None
    inner, other = _fold(rest[0].inputs, math.prod)
    return contract(pool, [value * inner, *other]) if inner is not None and len(other) == 1 else None


def _sum_scattered(pool: Pool, nodes: list[Node], summed: frozenset[str]) -> tuple[frozenset[str], list[Node]]:
    """Summing over a scattered axis undoes the scatter: what was scattered, summed over the index's own indices."""
    for k, x in enumerate(nodes):
        if x.op == "scatter" and x.attr("axis") in summed:
            axis, (source, index) = x.attr("axis"), x.inputs
            if not any(axis in y.axes for y in nodes[:k] + nodes[k + 1 :]):
                whole = contract(pool, [source], index.axes - x.attr("keep"))
                return _sum_scattered(pool, [*nodes[:k], whole, *nodes[k + 1 :]], summed - {axis})
    return summed, nodes


def mul(pool: Pool, *xs: Operand) -> Node:
    """The plain product."""
    return contract(pool, xs)


def neg(pool: Pool, x: Operand) -> Node:
    """-x."""
    return contract(pool, [-1, x])


def sub(pool: Pool, x: Operand, y: Operand) -> Node:
    """x - y."""
    return add(pool, x, neg(pool, y))


def div(pool: Pool, x: Operand, y: Operand) -> Node:
    """x / y, always real."""
    a, b = constant(node_of(pool, x)), constant(node_of(pool, y))
    if a is not None and b:
        return const(pool, float(a / b))
    return contract(pool, [x, recip(pool, y)])


def reduce_sum(pool: Pool, x: Operand, axes: Axes) -> Node:
    """The sum over ``axes``."""
    return contract(pool, [x], axes)


def mean(pool: Pool, x: Operand, axes: Axes) -> Node:
    """The mean over ``axes`` (x itself along those it does not carry); 1/n stays a scalar factor outside the sum."""
    x = node_of(pool, x)
    over = in_order(pool, axes_of(axes) & x.axes)
    return contract(pool, [reduce_sum(pool, x, over), recip(pool, size(pool, *over))]) if over else x


# elementwise


def _relu(v: float) -> float:
    return v if v > 0 else 0 * v


def _sign(v: float) -> float:
    return (v > 0) - (v < 0) if isinstance(v, int) else float((v > 0) - (v < 0))


_FOLD: Mapping[str, Callable[[float], float]] = {
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "expm1": math.expm1,
    "sqrt": math.sqrt,
    "abs": abs,
    "sign": _sign,
    "relu": _relu,
    "tanh": math.tanh,
    "sin": math.sin,
    "cos": math.cos,
    "erf": math.erf,
    "lgamma": math.lgamma,
    "recip": lambda v: 1 / v,
    "real": float,
}


def unary(pool: Pool, op: str, x: Operand) -> Node:
    """An elementwise op of one operand: constants fold where Python's result is finite, idempotent ops once."""
    x = node_of(pool, x)
    value, fold = constant(x), _FOLD.get(op)
    if value is not None and fold is not None and math.isfinite(value):
        try:
            result = fold(int(value) if isinstance(value, bool) else value)
        except (ArithmeticError, ValueError):  # a pole: the node keeps the meaning (inf or NaN)
            return pool.node(op, x)
        return const(pool, result)
    if x.op == op and "idempotent" in OPS[op].laws:
        return x
    return pool.node(op, x)


def _named(op: str) -> Callable[[Pool, Operand], Node]:
    def make(pool: Pool, x: Operand) -> Node:
        return unary(pool, op, x)

    make.__name__ = op
    make.__doc__ = f"{op}(x), elementwise."
    return make


exp, log, log1p, expm1, sqrt = map(_named, ("exp", "log", "log1p", "expm1", "sqrt"))
abs_, sign, relu, gelu, sigmoid = map(_named, ("abs", "sign", "relu", "gelu", "sigmoid"))
tanh, softplus, sin, cos, erf = map(_named, ("tanh", "softplus", "sin", "cos", "erf"))
lgamma, digamma, trigamma, recip = map(_named, ("lgamma", "digamma", "trigamma", "recip"))


def real(pool: Pool, x: Operand) -> Node:
    """Cast to real."""
    x = node_of(pool, x)
    return x if x.dtype == "real" else unary(pool, "real", x)


def stop(pool: Pool, x: Operand) -> Node:
    """x, through which no gradient passes."""
    x = node_of(pool, x)
    return x if x.op == "const" else unary(pool, "stop", x)


def logical_not(pool: Pool, x: Operand) -> Node:
    """Not x."""
    x = truth(pool, x)
    if x.op == "const":
        return const(pool, not x.attr("value"))
    return x.inputs[0] if x.op == "logical_not" else pool.node("logical_not", x)


def pow(pool: Pool, x: Operand, y: Operand) -> Node:
    """x ^ y; 0^0 = 1.  A square is the product with itself, so that it can join a contraction."""
    x, y = node_of(pool, x), node_of(pool, y)
    a, b = constant(x), constant(y)
    if b is not None and b in (0, 1, 2):
        whole = x.dtype != "real" and y.dtype != "real"
        power = const(pool, 1) if b == 0 else contract(pool, [x] * int(b))
        return power if whole else real(pool, power)
    if a is not None and b is not None and (a > 0 or (a < 0 and isinstance(b, int))):
        try:
            if isinstance(a, int) and isinstance(b, int) and b >= 0:  # unless an integer does not hold it
                return const(pool, a**b) if b * a.bit_length() <= 62 else pool.node("pow", x, y)
            return const(pool, float(a) ** float(b))
        except OverflowError:
            return pool.node("pow", x, y)
    return pool.node("pow", x, y)


def _binary(pool: Pool, op: str, x: Operand, y: Operand) -> Node:
    return pool.node(op, node_of(pool, x), node_of(pool, y))


def minimum(pool: Pool, x: Operand, y: Operand) -> Node:
    """The smaller; the gradient of a tie goes to x.  Of bools: and."""
    return _binary(pool, "minimum", x, y)


def maximum(pool: Pool, x: Operand, y: Operand) -> Node:
    """The larger; the gradient of a tie goes to x.  Of bools: or."""
    return _binary(pool, "maximum", x, y)


def floordiv(pool: Pool, x: Operand, y: Operand) -> Node:
    """x // y, rounded down."""
    a, b = constant(node_of(pool, x)), constant(node_of(pool, y))
    return const(pool, a // b) if a is not None and b else _binary(pool, "floordiv", x, y)


def mod(pool: Pool, x: Operand, y: Operand) -> Node:
    """x % y with the sign of y."""
    a, b = constant(node_of(pool, x)), constant(node_of(pool, y))
    return const(pool, a % b) if a is not None and b else _binary(pool, "mod", x, y)


def _compare(pool: Pool, op: str, x: Operand, y: Operand, test: Callable[[float, float], bool]) -> Node:
    a, b = constant(node_of(pool, x)), constant(node_of(pool, y))
    return const(pool, test(a, b)) if a is not None and b is not None else _binary(pool, op, x, y)


def lt(pool: Pool, x: Operand, y: Operand) -> Node:
    """x < y."""
    return _compare(pool, "lt", x, y, lambda a, b: a < b)


def le(pool: Pool, x: Operand, y: Operand) -> Node:
    """x <= y."""
    return _compare(pool, "le", x, y, lambda a, b: a <= b)


def gt(pool: Pool, x: Operand, y: Operand) -> Node:
    """x > y."""
    return lt(pool, y, x)


def ge(pool: Pool, x: Operand, y: Operand) -> Node:
    """x >= y."""
    return le(pool, y, x)


def eq(pool: Pool, x: Operand, y: Operand) -> Node:
    """x = y."""
    return _compare(pool, "eq", x, y, lambda a, b: a == b)


def ne(pool: Pool, x: Operand, y: Operand) -> Node:
    """x != y."""
    return _compare(pool, "ne", x, y, lambda a, b: a != b)


def truth(pool: Pool, x: Operand) -> Node:
    """x as a bool: whether a number (a product of conditions, say) is not 0."""
    x = node_of(pool, x)
    return x if x.dtype == "bool" else ne(pool, x, 0)


def xlogy(pool: Pool, x: Operand, y: Operand) -> Node:
    """x * log(y), 0 where x = 0."""
    return _binary(pool, "xlogy", x, y)


def select(pool: Pool, c: Operand, a: Operand, b: Operand) -> Node:
    """a where c, else b, as a bare node: unlike :func:`.guard.where` it does not keep the *gradients* of a branch
    finite where that branch is not taken.  For branches that are finite everywhere (masks, windows, gradients)."""
    c, a, b = truth(pool, c), node_of(pool, a), node_of(pool, b)
    if c.op == "const":
        taken = a if c.attr("value") else b
        return _cast(pool, taken, promote((a.dtype, b.dtype)))
    return a if a is b else pool.node("where", c, a, b)


def scan(
    pool: Pool,
    inputs: Sequence[Node],
    roots: Mapping[str, Node],
    bind: Sequence[tuple[str | int, ...]],
    axis: str,
    *,
    reverse: bool = False,
) -> Iterator[Node]:
    """The results of a scan, in the order of ``roots`` (see the row in :mod:`.ops` for ``bind``)."""
    body = Graph(pool, dict(roots))
    node = pool.node("scan", *inputs, axis=axis, reverse=reverse, body=body, bind=tuple(bind))
    return (pool.node("result", node, k=k) for k in range(len(roots)))
