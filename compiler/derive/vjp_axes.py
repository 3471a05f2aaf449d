"""Gradient rules of ops that work along axes: reductions, gathers, relabelling, linear algebra."""

from __future__ import annotations

from ..graph import expr as e
from ..graph.node import Node, Pool
from .vjp import Constant, Entry, Refused


def _extremum(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """All to one entry: the first extreme one in row-major order of labels, found one axis at a time."""
    x = node.inputs[0]
    axes = e.in_order(pool, node.attr("axes"))
    reduce, largest = (e.max, True) if node.op == "max" else (e.min, False)
    for j, axis in enumerate(axes):
        inner = reduce(pool, x, axes[j + 1 :])
        index = e.argmax(pool, inner if largest else e.neg(pool, inner), axis)
        cotangent = e.scatter(pool, cotangent, index, axis, index.axes)
    return cotangent


def _prod(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """The product of all other entries, without dividing by a zero: zeros are counted and taken out.

    (Its own derivative, at entries that are zero, is not that of the product of the others.)
    """
    x, axes = node.inputs[0], node.attr("axes")
    zero = e.eq(pool, x, 0)
    inside = e.select(pool, zero, 1.0, x)
    other_zeros = e.sub(pool, e.reduce_sum(pool, zero, axes), zero)
    whole = e.prod(pool, inside, axes)
    return e.mul(pool, cotangent, whole, e.recip(pool, inside), e.lt(pool, other_zeros, 1))


def _logsumexp(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return e.mul(pool, cotangent, e.softmax(pool, node.inputs[0], node.attr("axes")))


def _softmax(pool: Pool, node: Node, cotangent: Node, k: int) -> Node | None:
    """y (g - sum(g y)); a g that is constant along the axes moves nothing."""
    axes = node.attr("axes")
    if not cotangent.axes & axes:
        return None
    average = e.contract(pool, [cotangent, node], axes)
    return e.mul(pool, node, e.sub(pool, cotangent, average))


def _log_softmax(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """g - exp(y) sum(g)."""
    total = e.reduce_sum(pool, cotangent, node.attr("axes"))
    return e.add(pool, cotangent, e.mul(pool, e.exp(pool, node), e.neg(pool, total)))


def _cumsum(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return e.revcumsum(pool, cotangent, node.attr("axis"))


def _revcumsum(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return e.cumsum(pool, cotangent, node.attr("axis"))


def _rename(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return e.rename(pool, cotangent, {new: old for old, new in node.attr("map")})


def _gather(pool: Pool, node: Node, cotangent: Node, k: int) -> Node | None:
    if k == 1:
        return None
    (x, index), axis = node.inputs, node.attr("axis")
    return e.scatter(pool, cotangent, index, axis, index.axes & (x.axes - {axis}))


def _window(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return e.fold(pool, cotangent, node.attr("axis"), node.attr("terms"), node.attr("offset"))


def _fold(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return e.window(pool, cotangent, node.attr("axis"), node.attr("terms"), node.attr("offset"))


def _scatter(pool: Pool, node: Node, cotangent: Node, k: int) -> Node | None:
    if k == 1:
        return None
    (x, index), axis = node.inputs, node.attr("axis")
    read = e.gather(pool, cotangent, index, axis)
    return e.reduce_sum(pool, read, ((node.axes - {axis}) | index.axes) - x.axes)


def _swap(node: Node) -> dict[str, str]:
    rows, cols = node.attr("rows"), node.attr("cols")
    return {rows: cols, cols: rows}


def _logdet(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """The inverse, transposed."""
    inverse = e.inverse(pool, node.inputs[0], node.attr("rows"), node.attr("cols"))
    return e.mul(pool, cotangent, e.rename(pool, inverse, _swap(node)))


def _inverse(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """- Y^T G Y^T: entry [i, j] is - sum_{k, l} Y[k, i] G[k, l] Y[j, l]."""
    rows, cols = node.attr("rows"), node.attr("cols")
    used = node.axes | cotangent.axes
    a = e.fresh(rows, used)
    b = e.fresh(cols, used | {a})
    left = e.rename(pool, node, {rows: a, cols: rows})
    right = e.rename(pool, node, {rows: cols, cols: b})
    return e.contract(pool, [-1.0, left, e.rename(pool, cotangent, {rows: a, cols: b}), right], {a, b})


def _cholesky(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """The symmetric part of L^-T P L^-1, P the lower half of L^T G with half its diagonal (Murray, 2016)."""
    rows, cols = node.attr("rows"), node.attr("cols")
    used = node.axes | cotangent.axes
    a = e.fresh(rows, used)
    b = e.fresh(cols, used | {a})
    left = e.rename(pool, node, {rows: a, cols: rows})
    inner = e.contract(pool, [left, e.rename(pool, e.carrying(pool, cotangent, [cols]), {rows: a, cols: b})], [a])
    i, j = e.label(pool, rows), e.label(pool, b)
    half = e.add(pool, e.real(pool, e.lt(pool, j, i)), e.mul(pool, 0.5, e.eq(pool, j, i)))
    transposed = e.rename(pool, node, _swap(node))
    once = e.solve_triangular(pool, transposed, e.mul(pool, inner, half), rows, cols, upper=True)
    turned = e.rename(pool, once, {cols: a, b: rows})
    twice = e.solve_triangular(pool, transposed, turned, rows, cols, upper=True)
    both = [e.rename(pool, twice, {a: rows}), e.rename(pool, twice, {cols: rows, a: cols})]
    return e.mul(pool, 0.5, e.add(pool, *both))


def _solve_triangular(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """Of T x = b: y = T^-T g for b, and -y x^T on the triangle that is read for T."""
    rows, cols, upper = node.attr("rows"), node.attr("cols"), node.attr("upper")
    matrix, right = node.inputs
    transposed = e.rename(pool, matrix, _swap(node))
    side = e.rename(pool, e.carrying(pool, cotangent, [cols]), {cols: rows})
    y = e.rename(pool, e.solve_triangular(pool, transposed, side, rows, cols, upper=not upper), {cols: rows})
    if k == 1:
        return e.reduce_sum(pool, y, (y.axes | node.axes) - {cols} - right.axes)
    i, j = e.label(pool, rows), e.label(pool, cols)
    read = e.le(pool, i, j) if upper else e.le(pool, j, i)
    return e.contract(pool, [-1.0, y, node, read], (y.axes | node.axes) - matrix.axes)


def _eigvals(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    """V diag(g) V^T."""
    rows, cols = node.attr("rows"), node.attr("cols")
    x = node.inputs[0]
    order = e.fresh(rows, x.axes)
    vectors = e.eigvecs(pool, x, rows, cols)
    left = e.rename(pool, vectors, {cols: order})
    right = e.rename(pool, vectors, {rows: cols, cols: order})
    return e.contract(pool, [left, e.rename(pool, cotangent, {rows: order}), right], {order})


def _matpow(pool: Pool, node: Node, cotangent: Node, k: int) -> Node | None:
    """Daleckii-Krein: V (K * (V^T G V)) V^T with K the divided differences of the power."""
    if k == 1:
        return None  # the language takes a constant power
    a, p = node.inputs
    return pool.node("matpow_vjp", a, p, cotangent, rows=node.attr("rows"), cols=node.attr("cols"))


def _polar(pool: Pool, node: Node, cotangent: Node, k: int) -> Node:
    return pool.node("polar_vjp", node.inputs[0], cotangent, rows=node.attr("rows"), cols=node.attr("cols"))


def _extern(pool: Pool, node: Node, cotangent: Node, k: int) -> Node | None:
    """By torch.func.vjp of the function; axes that the argument lacks are summed over."""
    x = node.inputs[k]
    if x.dtype != "real":
        return None
    out = [leaf for group in node.attr("out") for leaf in group]
    whole = e.carrying(pool, cotangent, out)
    slope = pool.node("extern_vjp", *node.inputs, whole, **dict(node.attrs), wrt=k)
    return e.reduce_sum(pool, slope, slope.axes - x.axes)


_INDEX = Constant("its value is a position")
_HELPER = Refused("it is part of a gradient already; second derivatives stop here")

OVER_AXES: dict[str, Entry] = {
    "max": _extremum,
    "min": _extremum,
    "prod": _prod,
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "cumsum": _cumsum,
    "revcumsum": _revcumsum,
    "rename": _rename,
    "gather": _gather,
    "window": _window,
    "fold": _fold,
    "scatter": _scatter,
    "argmax": _INDEX,
    "rank": _INDEX,
    "logdet": _logdet,
    "inverse": _inverse,
    "cholesky": _cholesky,
    "solve_triangular": _solve_triangular,
    "eigvals": _eigvals,
    "matpow": _matpow,
    "polar": _polar,
    "eigvecs": _HELPER,
    "matpow_vjp": _HELPER,
    "polar_vjp": _HELPER,
    "extern": _extern,
    "extern_vjp": _HELPER,
    "scan": Refused("it is taken as a whole: see through_time.py"),
    "result": Refused("it is taken as a whole: see through_time.py"),
}
