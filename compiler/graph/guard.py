"""``where`` whose unused branch lets no NaN or inf into a value or a gradient.

A cotangent of 0 times an infinite derivative is NaN, so it is not enough to select the value: every op of a branch
that can be singular is rebuilt to see a harmless argument wherever the branch is not used.  Because this happens when
the node is made, the interpreter, the derived gradient and plain autograd of emitted code agree.

Two passes over a branch: from its root down, for each node the condition under which one of its entries is used by a
taken entry of the result (an over-approximation is sound: it only guards less); then up again, rebuilding.
Ops whose argument provably stays where they are smooth (:mod:`.bounds`) are left alone, and so is everything above
which nothing singular remains: an ordinary network inside ``where`` is not copied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from math import inf

from . import construct as c
from . import over_axes as o
from .bounds import Interval, bounds
from .construct import Axes, Operand
from .node import Graph, Node, Pool, base, below
from .ops import OPS

REACH = 64
"""Operations that one branch of a `where` may rebuild."""

_EXP_LIMIT = 80.0  # exp overflows at 88.7 in single precision; the rest is room for factors


def where(pool: Pool, condition: Operand, a: Operand, b: Operand) -> Node:
    """a where the condition holds, else b; the unused branch reaches neither value nor gradient."""
    condition = c.truth(pool, condition)
    if condition.op == "const":
        return c.select(pool, condition, a, b)
    a, b = c.node_of(pool, a), c.node_of(pool, b)
    if a is b:
        return a
    a = guarded(pool, a, condition)
    return c.select(pool, condition, a, guarded(pool, b, c.logical_not(pool, condition)))


def guarded(pool: Pool, branch: Node, condition: Node) -> Node:
    """``branch``, equal wherever the condition holds, with finite values and derivatives elsewhere (for finite
    leaves).

    At most ``REACH`` operations are rebuilt, the nearest ones: a chain of such branches would double the graph with every
    link.  What feeds them from farther away is selected as a value, so that nothing of it passes where it is not used.
    """
    risky = _risky(pool, branch)
    if branch not in risky:
        return branch
    order = _nearest(branch, risky)
    needed = _needed(pool, branch, condition, order)
    new: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(new.get(x, x) for x in node.inputs)
        with c.origin_of(pool, node):
            far = [x in risky and x not in new for x in node.inputs]
            if any(far):
                uses = [_project(pool, needed[node], node, k) for k in range(len(inputs))]
                inputs = tuple(c.select(pool, u, x, 1.0) if f else x for f, u, x in zip(far, uses, inputs, strict=True))
            if risky[node]:
                inputs = _harmless(pool, node, inputs, needed[node])
            new[node] = node if inputs == node.inputs else pool.node(node.op, *inputs, **dict(node.attrs))
    return new[branch]


def _nearest(branch: Node, risky: Mapping[Node, bool]) -> list[Node]:
    """The risky nodes at and below a branch, inputs before users; the nearest ones if there are many."""
    found = {branch: None}
    queue = deque([branch])
    while queue and len(found) < REACH:
        for x in queue.popleft().inputs:
            if x in risky and x not in found:
                found[x] = None
                queue.append(x)
    return below([branch], lambda x: x not in found)


class Singular:
    """Whether a value or its derivative may be infinite or NaN for finite leaves; asked often, so answers are kept.

    ``tame`` cuts the search: a value that is certainly finite where it matters.
    """

    def __init__(self, pool: Pool, tame: Callable[[Node], bool]) -> None:
        self._pool = pool
        self._tame = tame
        self._interval: dict[Node, Interval] = {}
        self._found: dict[Node, bool] = {}

    def __call__(self, x: Node) -> bool:
        """Is it so for this value?"""
        if x not in self._found:
            new = [n for n in Graph(self._pool, {"": x}).topological() if n not in self._found]
            bounds(self._pool, new, self._interval)
            for node in new:
                self._found[node] = not self._tame(node) and self._here(node)
        return self._found[x]

    def _here(self, node: Node) -> bool:
        if node.op == "const":
            return node.dtype == "real" and abs(node.attr("value")) == inf
        smooth = _SMOOTH.get(node.op)
        singular = _passes(node) and OPS[node.op].singular is not None
        if singular and (smooth is None or not smooth(*(self._interval[x] for x in node.inputs))):
            return True
        return any(self._found[x] for x in node.inputs)


def _passes(node: Node) -> bool:
    """Whether a bad value can go through the node into a gradient (the body of a scan is not followed)."""
    return node.dtype == "real" and node.op != "scan"


def _risky(pool: Pool, branch: Node) -> dict[Node, bool]:
    """The nodes with something singular at or below them; True for those that are singular themselves.  Kept with the
    pool: a graph with many a `where` is gone through once."""
    risky: dict[Node, bool] = pool.notes("risky")
    seen: dict[Node, Interval] = pool.notes("bounds")
    for node in below([branch], seen.__contains__):
        bounds(pool, [node], seen)
        if _passes(node):
            smooth = _SMOOTH.get(node.op)
            singular = OPS[node.op].singular is not None
            singular = singular and (smooth is None or not smooth(*(seen[x] for x in node.inputs)))
            if singular or any(x in risky for x in node.inputs):
                risky[node] = singular
    return risky


def _nonzero(x: Interval) -> bool:
    return x[0] > 0 or x[1] < 0


def _smooth_power(x: Interval, y: Interval) -> bool:
    """A constant exponent: whole and not negative, or at least 1 on a base that is not negative, or a positive base."""
    if y[0] != y[1]:
        return x[0] > 0 and x[1] < inf
    return x[0] > 0 or (y[0] >= 0 and y[0] % 1 == 0) or (y[0] >= 1 and x[0] >= 0)


def _last_nonzero(*given: Interval) -> bool:
    return _nonzero(given[-1])


def _last_positive(*given: Interval) -> bool:
    return given[-1][0] > 0


def _not_large(x: Interval) -> bool:
    return x[1] <= _EXP_LIMIT


def _above_minus_one(x: Interval) -> bool:
    return x[0] > -1


_SMOOTH: dict[str, Callable[..., bool]] = {
    "recip": _last_nonzero,
    "pow": _smooth_power,
    "exp": _not_large,
    "expm1": _not_large,
    "log": _last_positive,
    "log1p": _above_minus_one,
    "sqrt": _last_positive,
    "lgamma": _last_positive,
    "digamma": _last_positive,
    "trigamma": _last_positive,
    "mod": _last_nonzero,
    "xlogy": _last_positive,
}


def _harmless(pool: Pool, node: Node, inputs: tuple[Node, ...], used: Node) -> tuple[Node, ...]:
    """The inputs of a singular op where used; elsewhere 1, or for matrices the unit matrix.

    Constants stay: an exponent that is no longer constant would cost its derivative.
    """
    if OPS[node.op].singular == "eye":
        rows, cols = node.attr("rows"), node.attr("cols")
        unit = c.real(pool, c.eq(pool, c.label(pool, rows), c.label(pool, cols)))
        return (c.select(pool, _project(pool, used, node, 0), inputs[0], unit), *inputs[1:])
    fixed = len(inputs) > 1
    return tuple(x if fixed and x.op == "const" else c.select(pool, used, x, 1.0) for x in inputs)


def _needed(pool: Pool, branch: Node, condition: Node, order: list[Node]) -> dict[Node, Node]:
    """Per node of ``order``: the condition, over (some of) its own indices, under which an entry is used."""
    needed = {branch: _any(pool, condition, branch)}
    inside = set(order)
    for node in reversed(order):
        for k, x in enumerate(node.inputs):
            if x in inside:
                with c.origin_of(pool, x):
                    use = _project(pool, needed[node], node, k)
                    needed[x] = use if x not in needed else _either(pool, needed[x], use)
    return needed


def _either(pool: Pool, a: Node, b: Node) -> Node:
    if a is b or c.constant(a):
        return a
    return b if c.constant(b) else c.maximum(pool, a, b)


def _any(pool: Pool, condition: Node, x: Node) -> Node:
    """True where the condition holds for any entry that reads x's entry."""
    return _exists(pool, condition, condition.axes - x.axes)


def _exists(pool: Pool, condition: Node, axes: Axes) -> Node:
    """The condition for any label of ``axes``."""
    over = c.axes_of(axes) & condition.axes
    return c.const(pool, True) if _certain(pool, condition, over) else o.max(pool, condition, over)


def _certain(pool: Pool, condition: Node, over: frozenset[str]) -> bool:
    """Whether the condition surely holds for some label of ``over``: ``rank(u) < k``, and masks that compare positions
    such as ``t' <= t``.  What feeds all entries of such a `where` is then always used, and stays as it is."""
    if condition.op == "rename":
        old = {new: old for old, new in condition.attr("map")}
        return _certain(pool, condition.inputs[0], frozenset(old.get(a, a) for a in over))
    if condition.op == "max":
        return _certain(pool, condition.inputs[0], over | condition.attr("axes"))
    if len(condition.inputs) != 2:
        return False
    left, right = condition.inputs
    if condition.op == "minimum":
        return _certain(pool, left, over) and _certain(pool, right, over)
    if condition.op == "lt" and left.op == "label" and right.op == "input":  # a length: at least the first label exists
        return right.attr("name") == base(left.attr("index")) and left.attr("index") in over
    if condition.op == "lt" and left.op == "rank":
        places = c.constant(right)
        return places is not None and places > 0 and over.issuperset(left.attr("axes"))
    if condition.op in ("le", "eq") and left.op == right.op == "label":
        a, b = left.attr("index"), right.attr("index")
        return left.attr("low") == right.attr("low") and pool.size(a) == pool.size(b) and bool({a, b} & over)
    return False


def _project(pool: Pool, here: Node, node: Node, k: int) -> Node:
    """The condition for the k-th input of a node, from the condition for its result."""
    x = node.inputs[k]
    match node.op:
        case "rename":
            here = o.rename(pool, here, {new: old for old, new in node.attr("map")})
        case "softmax" | "log_softmax":
            here = _exists(pool, here, node.attr("axes"))
        case "cumsum" | "revcumsum":
            here = _exists(pool, here, node.attr("axis"))
        case "gather":
            keep = node.inputs[1].axes & (x.axes - {node.attr("axis")})
            index = node.inputs[1]
            return _any(pool, c.lt(pool, 0, o.scatter(pool, here, index, node.attr("axis"), keep)), x)
        case "scatter":
            here = o.gather(pool, here, node.inputs[1], node.attr("axis"))
        case "window":
            here = c.lt(
                pool, 0, o.fold(pool, c.real(pool, here), node.attr("axis"), node.attr("terms"), node.attr("offset"))
            )
        case "fold":
            here = c.lt(
                pool, 0, o.window(pool, c.real(pool, here), node.attr("axis"), node.attr("terms"), node.attr("offset"))
            )
        case _ if OPS[node.op].kind == "linalg":
            here = _exists(pool, here, {node.attr("rows"), node.attr("cols")})
        case _:
            pass
    return _any(pool, here, x)
