"""Constructors of the ops that work along axes: reductions, gathers, relabelling, linear algebra.

An axis that the operand does not carry is one along which it is constant; each constructor says what that means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from . import construct as c
from .construct import Axes, Operand, axes_of
from .node import Node, Pool


def _extremum(pool: Pool, op: str, x: Operand, axes: Axes) -> Node:
    x = c.node_of(pool, x)
    over = axes_of(axes) & x.axes
    return pool.node(op, x, axes=over) if over else x


def max(pool: Pool, x: Operand, axes: Axes) -> Node:
    """The largest along ``axes``; the gradient of a tie goes to the lowest label.  Of bools: any."""
    return _extremum(pool, "max", x, axes)


def min(pool: Pool, x: Operand, axes: Axes) -> Node:
    """The smallest along ``axes``; the gradient of a tie goes to the lowest label.  Of bools: all."""
    return _extremum(pool, "min", x, axes)


def prod(pool: Pool, x: Operand, axes: Axes) -> Node:
    """The product along ``axes``."""
    x = c.node_of(pool, x)
    over = axes_of(axes)
    inside = pool.node("prod", x, axes=over & x.axes) if over & x.axes else x
    absent = c.in_order(pool, over - x.axes)
    return c.pow(pool, inside, c.size(pool, *absent)) if absent else inside


def logsumexp(pool: Pool, x: Operand, axes: Axes) -> Node:
    """log sum exp along ``axes``; -inf of nothing but -inf."""
    x = c.node_of(pool, x)
    over = axes_of(axes)
    inside = pool.node("logsumexp", x, axes=over & x.axes) if over & x.axes else c.real(pool, x)
    absent = c.in_order(pool, over - x.axes)
    return c.add(pool, inside, c.log(pool, c.size(pool, *absent))) if absent else inside


def softmax(pool: Pool, x: Operand, axes: Axes) -> Node:
    """exp(x - logsumexp(x)) along ``axes``; 0 of nothing but -inf."""
    x = c.node_of(pool, x)
    over = axes_of(axes)
    absent = c.recip(pool, c.size(pool, *c.in_order(pool, over - x.axes)))
    return c.mul(pool, pool.node("softmax", x, axes=over & x.axes), absent) if over & x.axes else absent


def log_softmax(pool: Pool, x: Operand, axes: Axes) -> Node:
    """x - logsumexp(x) along ``axes``; -inf of nothing but -inf."""
    x = c.node_of(pool, x)
    over = axes_of(axes)
    absent = c.neg(pool, c.log(pool, c.size(pool, *c.in_order(pool, over - x.axes))))
    return c.add(pool, pool.node("log_softmax", x, axes=over & x.axes), absent) if over & x.axes else absent


def argmax(pool: Pool, x: Operand, axis: str) -> Node:
    """The position (from 0) of the largest along ``axis``, the lowest on ties; 0 when x does not carry the axis."""
    x = c.node_of(pool, x)
    return pool.node("argmax", x, axis=axis) if axis in x.axes else c.const(pool, 0)


def rank(pool: Pool, x: Operand, axes: Sequence[str]) -> Node:
    """The place (from 0) in descending order over ``axes``, ties by lowest label, row-major over the given order."""
    over = tuple([axes] if isinstance(axes, str) else axes)
    return pool.node("rank", carrying(pool, x, over), axes=over)


def position(pool: Pool, leaves: Sequence[str]) -> Node:
    """The position that the labels of some indices have together, row-major."""
    place = c.node_of(pool, 0)
    for leaf in leaves:
        place = c.add(pool, c.mul(pool, place, c.size(pool, leaf)), c.label(pool, leaf))
    return place


def carrying(pool: Pool, x: Operand, axes: Sequence[str]) -> Node:
    """x over at least these axes, for ops that need every entry: where it lacks one, zeros over it are added."""
    x = c.node_of(pool, x)
    absent = [a for a in axes if a not in x.axes]
    return c.add(pool, x, *(c.mul(pool, 0, c.label(pool, a)) for a in absent)) if absent else x


def cumsum(pool: Pool, x: Operand, axis: str) -> Node:
    """The running sum up to and with each label."""
    x = c.node_of(pool, x)
    if axis in x.axes:
        return pool.node("cumsum", x, axis=axis)
    return c.mul(pool, x, c.label(pool, axis, 1))


def revcumsum(pool: Pool, x: Operand, axis: str) -> Node:
    """The running sum from each label to the last."""
    x = c.node_of(pool, x)
    if axis in x.axes:
        return pool.node("revcumsum", x, axis=axis)
    return c.mul(pool, x, c.sub(pool, c.size(pool, axis), c.label(pool, axis)))


def rename(pool: Pool, x: Operand, names: Mapping[str, str]) -> Node:
    """Relabel indices, all at once; those that x does not carry are ignored."""
    x = c.node_of(pool, x)
    pairs = tuple(sorted((a, b) for a, b in names.items() if a in x.axes and a != b))
    return pool.node("rename", x, map=pairs) if pairs else x


def gather(pool: Pool, x: Operand, index: Operand, axis: str) -> Node:
    """x at position ``index`` (int, from 0, inside the axis) along ``axis``; shared indices are aligned."""
    x, index = c.node_of(pool, x), c.node_of(pool, index)
    if axis not in x.axes:
        return x
    if index.op == "label" and index.attr("low") == 0 and index.attr("index") not in x.axes - {axis}:
        target: str = index.attr("index")
        if pool.size(target) == pool.size(axis):
            return rename(pool, x, {axis: target})
    return pool.node("gather", x, index, axis=axis)


def scatter(pool: Pool, x: Operand, index: Operand, axis: str, keep: Axes = ()) -> Node:
    """The adjoint of gather: position a of ``axis`` gets the sum of x over those entries of ``index`` that equal a; the
    index's own indices stay open if they are in ``keep``, else they are summed."""
    index = c.node_of(pool, index)
    return pool.node("scatter", c.node_of(pool, x), index, axis=axis, keep=axes_of(keep))


def window(pool: Pool, x: Operand, axis: str, terms: Iterable[tuple[str, int]], offset: int = 0) -> Node:
    """x at the position ``sum(factor * label) + offset`` along ``axis`` (labels count from 0), 0 outside the axis."""
    x = c.node_of(pool, x)
    terms = tuple(sorted(terms))
    if axis not in x.axes:  # constant along the axis, but not beyond its ends
        x = carrying(pool, x, [axis])
    if len(terms) == 1 and terms[0][1] == 1 and offset == 0 and pool.size(terms[0][0]) == pool.size(axis):
        return rename(pool, x, {axis: terms[0][0]})
    return pool.node("window", x, axis=axis, terms=terms, offset=offset)


def fold(pool: Pool, x: Operand, axis: str, terms: Iterable[tuple[str, int]], offset: int = 0) -> Node:
    """The adjoint of :func:`window`: position a of ``axis`` gets the sum of what windows would have read there."""
    terms = tuple(sorted(terms))
    x = carrying(pool, x, [index for index, _ in terms])
    return pool.node("fold", x, axis=axis, terms=terms, offset=offset)


def one_hot(pool: Pool, index: Operand, axis: str) -> Node:
    """Bool over ``axis``: true at position ``index``."""
    return c.eq(pool, c.label(pool, axis), index)


def matpow(pool: Pool, x: Operand, p: Operand, rows: str, cols: str) -> Node:
    """The p-th power (p a constant) of the symmetric part of x[rows, cols]."""
    return pool.node("matpow", carrying(pool, x, (rows, cols)), c.node_of(pool, p), rows=rows, cols=cols)


def _linalg(pool: Pool, op: str, x: Operand, rows: str, cols: str) -> Node:
    return pool.node(op, carrying(pool, x, (rows, cols)), rows=rows, cols=cols)


def logdet(pool: Pool, x: Operand, rows: str, cols: str) -> Node:
    """log of the determinant: -inf of a singular matrix, NaN where it is negative."""
    return _linalg(pool, "logdet", x, rows, cols)


def inverse(pool: Pool, x: Operand, rows: str, cols: str) -> Node:
    """The inverse matrix, its rows on ``rows`` and its columns on ``cols``."""
    return _linalg(pool, "inverse", x, rows, cols)


def cholesky(pool: Pool, x: Operand, rows: str, cols: str) -> Node:
    """The lower triangular L with L L^T = the symmetric part of x: NaN where that is not positive definite."""
    return _linalg(pool, "cholesky", x, rows, cols)


def solve_triangular(pool: Pool, x: Operand, b: Operand, rows: str, cols: str, upper: bool = False) -> Node:
    """The solution over ``cols`` of x[rows, cols] * solution[cols] = b[rows]; only one triangle of x is read."""
    x, b = carrying(pool, x, (rows, cols)), carrying(pool, b, [rows])
    return pool.node("solve_triangular", x, b, rows=rows, cols=cols, upper=upper)


def eigvals(pool: Pool, x: Operand, rows: str, cols: str) -> Node:
    """Eigenvalues of the symmetric part, ascending along ``rows``."""
    return _linalg(pool, "eigvals", x, rows, cols)


def eigvecs(pool: Pool, x: Operand, rows: str, cols: str) -> Node:
    """Eigenvectors of the symmetric part: entry [i, k] is component i of the k-th (their signs are arbitrary)."""
    return _linalg(pool, "eigvecs", x, rows, cols)


def polar(pool: Pool, x: Operand, rows: str, cols: str) -> Node:
    """The orthogonal factor U of x = U H: the nearest (semi-)orthogonal matrix."""
    return _linalg(pool, "polar", x, rows, cols)
