"""A second meaning of graphs: exact, at a random point of the prime field of 2^61 - 1.

Sums, products, contractions, quotients, whole powers and whatever moves entries are those of the field; constants are
the rational numbers that they are.  Every other op is an unknown function: a hash of its operands' values, so that two
graphs agree if and only if the operands of such nodes do.  What the table of ops says about a function holds of its hash
(``idempotent``), and:

    where(c, a, b) = c a + (1 - c) b       a condition is an unknown number, both branches count
    x[k]                                   an index k that is no position of the axis names one by its hash
    1 / 0 = 0

So an identity that holds in every field, with the functions taken as unknown, holds here exactly, and a wrong one fails:
however small the coefficient that is wrong.  What is true of real numbers alone (log exp x = x) fails, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import frexp, isfinite, ldexp
from typing import Any

import numpy as np

from . import expr as e
from . import modular as m
from .interpret import MEANINGS, Results, evaluate
from .labeled import DTYPES, Array, Labeled, aligned, canonical, scalar
from .meanings import Context, Env, Meaning, Numbers, example_axes
from .node import BATCH, Graph, Node, Pool, attributes, copied
from .ops import OPS

_DIGITS, _LARGEST_EXPONENT = 4, 4
"""Binary digits of a shortened constant, and its largest and (negated) smallest exponent: a sum of products of a dozen of
them still fits into the 53 digits of float64.  0.5, 1 and 2 stay what they are."""

_MARK = np.uint64(2**16 - 1)
_LARGEST_POWER = 64
_TARGET = "@target"


def residues_of(
    graph: Graph, sizes: Mapping[str, int], seed: int, known: Mapping[bytes, Results]
) -> dict[Node, Results]:
    """The values of all nodes at the random point that the seed names; holes of a scan's body are leaves.

    Args:
        graph: what to evaluate.
        sizes: of the axes bound from data, the batch among them.
        seed: names the point.
        known: values by digest, found at the same point before.

    Raises:
        OverflowError: a sum is too large to be taken here.
    """
    return evaluate(graph, Env(sizes=sizes, seed=seed), RESIDUES, known=known)


def shortened(graph: Graph) -> Graph:
    """The graph with real constants of so few digits that sums and products of them are exact in float64.

    Where a pass folds constants, both sides differ by the rounding of the result.  An identity holds whatever the
    constants are, so it can be looked at here instead, where nothing is rounded.
    """
    pool = Pool({axis: size for axis, size in graph.pool.axes.items() if axis != BATCH})
    pool.ranges.update(graph.pool.ranges)
    return copied(graph, pool, lambda node, _, value: _short(value) if node.op == "const" else value)


def _short(value: Any) -> Any:
    if type(value) is not float or not isfinite(value) or not value:
        return value
    fraction, exponent = frexp(value)
    return ldexp(round(fraction * 2**_DIGITS), max(-_LARGEST_EXPONENT, min(exponent, _LARGEST_EXPONENT)) - _DIGITS)


# leaves


def _positions(ctx: Context, axes: Sequence[str], h: Array) -> Array:
    """The hash, made another one at every entry over the axes."""
    for k, axis in enumerate(axes):
        place = np.arange(ctx.size(axis), dtype=np.uint64).reshape([-1 if j == k else 1 for j in range(len(axes))])
        h = m.mixed(np.broadcast_to(h, [ctx.size(a) if j <= k else 1 for j, a in enumerate(axes)]), place)
    return h


def _named(node: Node, seed: int) -> Array:
    """A hash of a node's op and attributes."""
    return m.number(m.key("|".join([str(seed), node.op, *map("=".join, attributes(node).items())])))


def _random(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """One unknown number per entry."""
    attrs: dict[str, Any] = dict(node.attrs)
    axes: tuple[str, ...] = example_axes(node) if node.op == "input" else attrs.get("axes", ())
    return Labeled(axes, m.unknown(_positions(ctx, axes, _named(node, ctx.env.seed))))


def _hole(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    found = ctx.holes.get(node.attr("name"))
    return found if found is not None else _random(ctx, node, xs)


def _draw(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """An unknown function of the parameter and of the place."""
    axes: tuple[str, ...] = node.attr("axes")
    h = _positions(ctx, axes, _named(node, ctx.env.seed))
    return Labeled(axes, m.unknown(m.mixed(h, xs[0].expand(axes, ctx.shape(axes)))))


def _rational(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    found = MEANINGS[node.op](ctx, node, xs)
    return Labeled(found.axes, m.residues(found.data))


# the polynomial part


def _folded(function: Callable[[Array, Array], Array]) -> Meaning:
    """An associative operation on any number of operands, broadcast by name."""

    def meaning(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
        axes, arrays = aligned(xs)
        return Labeled(axes, reduce(function, arrays))

    return meaning


def _contract(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """Factor by factor; what no later factor carries is summed at once.  An axis that nothing carries counts its size."""
    summed: frozenset[str] = node.attr("sum")
    made = _summed(xs[0], summed - {a for x in xs[1:] for a in x.axes})
    for k, x in enumerate(xs[1:], 2):
        gone = summed & {*made.axes, *x.axes} - {a for y in xs[k:] for a in y.axes}
        made = _pair(made, x, gone)
    for axis in summed - {a for x in xs for a in x.axes}:
        made = Labeled(made.axes, m.times(made.data, m.residues(ctx.size(axis))))
    return made


def _summed(x: Labeled, gone: frozenset[str] | set[str]) -> Labeled:
    places = tuple(k for k, a in enumerate(x.axes) if a in gone)
    return Labeled(tuple(a for a in x.axes if a not in gone), np.asarray(m.total(x.data, places)))


def _pair(a: Labeled, b: Labeled, gone: frozenset[str] | set[str]) -> Labeled:
    """The product of two factors, summed over axes; those of one factor alone are summed first."""
    a, b = _summed(a, gone - {*b.axes}), _summed(b, gone - {*a.axes})
    axes, (left, right) = aligned([a, b])
    kept = tuple(x for x in axes if x not in gone)
    if kept == axes:
        return Labeled(axes, m.times(left, right))
    number = {axis: k for k, axis in enumerate(axes)}
    at, bt, out = ([number[x] for x in part] for part in (a.axes, b.axes, kept))
    return Labeled(kept, m.contracted(a.data, at, b.data, bt, out))


def _same(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    return xs[0]


def _recip(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    known = _computed(node)
    return Labeled(xs[0].axes, m.inverse(xs[0].data)) if known is None else scalar(m.residues(known))


def _not(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    return Labeled(xs[0].axes, m.minus(m.number(1), xs[0].data))


def _pow(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    exponent = e.constant(node.inputs[1])
    if exponent is None or exponent != exponent // 1 or abs(exponent) > _LARGEST_POWER:
        return _opaque(ctx, node, xs)
    return Labeled(xs[0].axes, m.power(xs[0].data, int(exponent)))


def _where(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    axes, (c, a, b) = aligned(xs)
    return Labeled(axes, m.plus(m.times(c, a), m.times(m.minus(m.number(1), c), b)))


def _prod(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    x = xs[0]
    for axis in node.attr("axes"):
        x = Labeled(tuple(a for a in x.axes if a != axis), m.product(x.data, x.axes.index(axis)))
    return x


def _cumsum(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    return Labeled(xs[0].axes, m.running(xs[0].data, xs[0].axes.index(node.attr("axis"))))


def _revcumsum(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    place = xs[0].axes.index(node.attr("axis"))
    return Labeled(xs[0].axes, np.flip(m.running(np.flip(xs[0].data, place), place), place))


# what moves entries


def _chosen(index: Array, size: int) -> Array:
    """Positions inside an axis: the index itself where it is one, else one by its hash."""
    return np.where(index < size, index, m.unknown(index) % np.uint64(size)).astype(np.int64)


def _gather(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    index = Labeled(xs[1].axes, _chosen(xs[1].data, ctx.size(node.attr("axis"))))
    return MEANINGS["gather"](ctx, node, [xs[0], index])


def _scatter(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """As a contraction with a one-hot array of the index, which may lie over the scattered axis itself."""
    size = ctx.size(node.attr("axis"))
    at = _chosen(xs[1].data, size)
    hot = Labeled((*xs[1].axes, _TARGET), (at[..., None] == np.arange(size)).astype(np.uint64))
    made = _pair(xs[0], hot, {*xs[1].axes} - node.attr("keep"))
    return Labeled(tuple(node.attr("axis") if a == _TARGET else a for a in made.axes), made.data)


def _fold(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """Sums by halves, which fit into whole numbers of 64 bits."""
    x, shift = xs[0], m.number(2**31)
    parts = [Labeled(x.axes, half.astype(np.int64)) for half in (x.data % shift, x.data // shift)]
    low, high = (MEANINGS["fold"](ctx, node, [part]) for part in parts)
    sums = [m.residues(0) + part.data.astype(np.uint64) % np.uint64(m.P) for part in (low, high)]
    return Labeled(low.axes, m.plus(sums[0], m.times(sums[1], shift)))


# unknown functions


def _over(node: Node, k: int) -> list[str]:
    """The axes that an op works along, of its k-th input."""
    attrs: dict[str, Any] = dict(node.attrs)
    if "own" in attrs:
        return [leaf for group in (*attrs["own"], attrs["out"])[k] for leaf in group]
    return [*canonical(attrs.get("axes", ())), *(attrs[name] for name in ("axis", "rows", "cols") if name in attrs)]


def _opaque(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """A hash of the op and of its operands' values: of whole slices along the axes that it works along."""
    known = _computed(node)
    if known is not None:
        return scalar(m.residues(known))
    symmetric = OPS[node.op].commutative
    h = Labeled((), _named(node, 0))
    for k, x in enumerate(xs):
        over = _over(node, k)
        inner = canonical({*x.axes, *over})
        axes = (*(a for a in inner if a not in over), *over)
        whole = x.expand(axes, ctx.shape(axes))
        rest = axes[: len(axes) - len(over)]
        each = m.mixed(_positions(ctx, axes, m.number(0 if symmetric else k)), whole) if over else whole
        slices = np.sum(each, axis=tuple(range(len(rest), len(axes))), dtype=np.uint64) if over else each
        h = _joined(h, Labeled(rest, np.asarray(slices)), symmetric)
    out = canonical(node.axes)
    shape = [n if a in h.axes else 1 for a, n in zip(out, ctx.shape(out), strict=True)]
    return Labeled(out, _idempotent(node, xs, _spread(ctx, out, h, shape)))


def _joined(h: Labeled, x: Labeled, symmetric: bool) -> Labeled:
    axes, (a, b) = aligned([h, x])
    return Labeled(axes, a + m.mixed(m.number(1), b) if symmetric else m.mixed(a, b))


def _spread(ctx: Context, out: Sequence[str], h: Labeled, shape: Sequence[int]) -> Array:
    """A hash over all axes of the result: along those that it lacks, another one at every label."""
    data = np.broadcast_to(h.to(out), shape)
    for k, axis in enumerate(out):
        if axis not in h.axes:
            place = np.arange(ctx.size(axis), dtype=np.uint64).reshape([-1 if j == k else 1 for j in range(len(out))])
            data = m.mixed(data, place)
    return m.unknown(data)


def _idempotent(node: Node, xs: list[Labeled], made: Array) -> Array:
    """f(f(x)) = f(x), where the table of ops says so: results of f end in a mark of the rest, and marked numbers stay."""
    if len(xs) != 1 or "idempotent" not in OPS[node.op].laws:
        return made
    name = _named(node, 0)

    def mark(x: Array) -> Array:
        return m.mixed(name, x >> np.uint64(16)) & _MARK

    marked = made >> np.uint64(16) << np.uint64(16) | mark(made)
    marked = np.where(marked >= m.P, mark(m.number(0)), marked)
    return np.where((xs[0].data & _MARK) == mark(xs[0].data), xs[0].data, marked)


def _computed(node: Node) -> bool | int | float | None:
    """The value of a function of constants that the constructors fold."""
    if not node.inputs or any(x.op != "const" for x in node.inputs) or node.axes:
        return None
    return e.constant(e.anew(Pool({}), node, node.inputs))


_KNOWN: dict[str, Meaning] = {
    **dict.fromkeys(("input", "param", "state", "sample", "step", "examples", "training"), _random),
    **dict.fromkeys(("gamma", "poisson"), _draw),
    **dict.fromkeys(("const", "table", "size", "label"), _rational),
    **dict.fromkeys(("real", "stop"), _same),
    "hole": _hole,
    "add": _folded(m.plus),
    "contract": _contract,
    "recip": _recip,
    "pow": _pow,
    "logical_not": _not,
    "where": _where,
    "prod": _prod,
    "cumsum": _cumsum,
    "revcumsum": _revcumsum,
    "rename": MEANINGS["rename"],
    "gather": _gather,
    "scatter": _scatter,
    "window": MEANINGS["window"],
    "fold": _fold,
}


def _total(arrays: Sequence[Array]) -> Array:
    return reduce(m.plus, arrays)


def _position(entry: Array, among: Sequence[int]) -> int:
    """The entry itself where it names one of the positions, or -1; else one of these by its hash."""
    value = int(entry) if int(entry) < m.P // 2 else int(entry) - m.P
    choices = [-1, *among]
    return value if value in choices else choices[int(m.unknown(np.asarray(entry))) % len(choices)]


RESIDUES = Numbers(
    {name: _KNOWN.get(name, _opaque) for name in MEANINGS}, dict.fromkeys(DTYPES, np.uint64), _total, _position
)
