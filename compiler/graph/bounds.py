"""Intervals that the values of nodes lie in: a small sound analysis, used to see that an op cannot misbehave.

Only what is common in models is followed (squares, exponentials, sums, guards); anything else is (-inf, inf).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from math import inf, nextafter

from .node import Node, Pool, Size

Interval = tuple[float, float]
ALL: Interval = (-inf, inf)

Rule = Callable[[Pool, Node, list[Interval]], Interval]


def bounds(pool: Pool, order: Iterable[Node], known: dict[Node, Interval] | None = None) -> dict[Node, Interval]:
    """The interval of every node of ``order`` (inputs before users); ``known`` holds some already and is added to."""
    found: dict[Node, Interval] = {} if known is None else known
    for node in order:
        if node in found:
            continue
        rule = _RULES.get(node.op)
        given = [found[x] for x in node.inputs]
        if node.dtype == "bool":
            found[node] = (0.0, 1.0)
        elif node.op == "where":
            found[node] = _where(node, given)
        else:
            found[node] = rule(pool, node, given) if rule else ALL
    return found


def _product(a: Interval, b: Interval) -> Interval:
    corners = [0.0 if 0 in (x, y) else x * y for x in a for y in b]  # 0 * inf: an end that is not reached
    return min(corners), max(corners)


def _contract(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    interval = dict(zip(node.inputs, given, strict=True))
    total: Interval = (1.0, 1.0)
    for x, times in Counter(node.inputs).items():
        low, high = interval[x]
        power = math.prod([max(abs(low), abs(high))] * times)
        if times % 2 == 0:
            smallest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
            total = _product(total, (math.prod([smallest] * times), power))
        else:
            for _ in range(times):
                total = _product(total, (low, high))
    return _summed(total, [pool.size(a) for a in node.attr("sum")])


def _summed(each: Interval, sizes: Iterable[Size]) -> Interval:
    """Of a sum of at least one term."""
    most = 1.0
    for n in sizes:
        most *= n if isinstance(n, int) else inf
    low, high = each
    return (_scale(low, most) if low < 0 else low), (_scale(high, most) if high > 0 else high)


def _scale(x: float, n: float) -> float:
    return x * n if x else 0.0


def _add(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    return sum(low for low, _ in given), sum(high for _, high in given)


def _monotone(f: Callable[[float], float], low: float = -inf) -> Rule:
    """An increasing function, defined above ``low``."""

    def value(x: float) -> float:
        try:
            return f(x)
        except (OverflowError, ValueError):
            return inf if x > 0 else -inf

    def rule(pool: Pool, node: Node, given: list[Interval]) -> Interval:
        a, b = given[0]
        return (value(max(a, low)), value(max(b, low)))

    return rule


def _fixed(low: float, high: float) -> Rule:
    return lambda pool, node, given: (low, high)


def _same(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    return given[0]


def _const(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    value = float(node.attr("value"))
    return value, value


def _table(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    values = [float(v) for v in node.attr("values")] or [0.0]
    return min(values), max(values)


def _param(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    return pool.ranges.get(node.attr("path"), ALL)


def _label(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    low, size = node.attr("low"), pool.size(node.attr("index"))
    return float(low), (float(low + size - 1) if isinstance(size, int) else inf)


def _sample(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    return (2.0**-54, 1.0) if node.attr("kind") == "uniform" else ALL


def _recip(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    low, high = given[0]
    if low > 0 or high < 0:
        return _invert(high), _invert(low)
    return (0.0, inf) if low >= 0 else ALL


def _invert(x: float) -> float:
    """1 / x; of a denormal it is inf."""
    return 1 / x if x and abs(x) > 1e-300 else math.copysign(inf, x)


def _pow(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    low, high = given[1]
    even = low == high and low % 2 == 0
    return (0.0, inf) if even or given[0][0] >= 0 else ALL


def _abs(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    low, high = given[0]
    return (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


def _relu(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    return max(given[0][0], 0.0), max(given[0][1], 0.0)


def _minimum(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    return min(low for low, _ in given), min(high for _, high in given)


def _maximum(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    return max(low for low, _ in given), max(high for _, high in given)


def _mod(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    """Below a positive divisor; of whole numbers, at most one less."""
    low, high = given[1]
    return (0.0, high - 1 if node.dtype == "int" else high) if low > 0 else ALL


def _floordiv(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    (low, high), (least, most) = given
    if least <= 0:
        return ALL
    ends = [math.floor(x / y) if math.isfinite(x) else x for x in (low, high) for y in (least, most)]
    return float(min(ends)), float(max(ends))


def _scatter(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    low, high = given[0]
    return (-inf if low < 0 else 0.0), (inf if high > 0 else 0.0)


def _where(node: Node, given: list[Interval]) -> Interval:
    """The union of the branches; the first one narrowed by a condition that compares it with a constant."""
    condition, branch, _ = node.inputs
    (low, high), (other_low, other_high) = given[1], given[2]
    if condition.op in ("lt", "le"):
        left, right = condition.inputs
        strict = condition.op == "lt"
        if right is branch and left.op == "const":
            limit = float(left.attr("value"))
            low = max(low, nextafter(limit, inf) if strict else limit)
        elif left is branch and right.op == "const":
            limit = float(right.attr("value"))
            high = min(high, nextafter(limit, -inf) if strict else limit)
    return min(low, other_low), max(high, other_high)


def _or_zero(pool: Pool, node: Node, given: list[Interval]) -> Interval:
    return min(given[0][0], 0.0), max(given[0][1], 0.0)


_RULES: dict[str, Rule] = {
    "const": _const,
    "table": _table,
    "param": _param,
    "size": _fixed(1.0, inf),
    "label": _label,
    "step": _fixed(1.0, inf),
    "examples": _fixed(1.0, inf),
    "training": _fixed(0.0, 1.0),
    "sample": _sample,
    "contract": _contract,
    "add": _add,
    "recip": _recip,
    "pow": _pow,
    "exp": _monotone(math.exp),
    "log": _monotone(lambda x: math.log(x) if x else -inf, 0.0),
    "sqrt": _monotone(math.sqrt, 0.0),
    "abs": _abs,
    "sign": _fixed(-1.0, 1.0),
    "relu": _relu,
    "sigmoid": _fixed(0.0, 1.0),
    "tanh": _fixed(-1.0, 1.0),
    "softplus": _fixed(0.0, inf),
    "sin": _fixed(-1.0, 1.0),
    "cos": _fixed(-1.0, 1.0),
    "erf": _fixed(-1.0, 1.0),
    "mod": _mod,
    "floordiv": _floordiv,
    "minimum": _minimum,
    "maximum": _maximum,
    "stop": _same,
    "real": _same,
    "max": _same,
    "min": _same,
    "softmax": _fixed(0.0, 1.0),
    "log_softmax": _fixed(-inf, 0.0),
    "argmax": _fixed(0.0, inf),
    "rank": _fixed(0.0, inf),
    "rename": _same,
    "gather": _same,
    "window": _or_zero,
    "scatter": _scatter,
}
