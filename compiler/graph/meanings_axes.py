"""What reductions, gathers, relabelling and linear algebra mean, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import foreign
from .labeled import Array, Labeled, canonical
from .meanings import Context, Meaning
from .node import Node


def _places(x: Labeled, axes: frozenset[str]) -> tuple[int, ...]:
    return tuple(k for k, a in enumerate(x.axes) if a in axes)


def _reduction(function: Callable[[Array, tuple[int, ...]], Array]) -> Meaning:
    """``function(array, axes)`` drops the axes."""

    def meaning(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
        (x,), axes = xs, node.attr("axes")
        return Labeled(tuple(a for a in x.axes if a not in axes), np.asarray(function(x.data, _places(x, axes))))

    return meaning


def _along(function: Callable[[Array, tuple[int, ...]], Array]) -> Meaning:
    """``function(array, axes)`` keeps the axes."""

    def meaning(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
        return Labeled(xs[0].axes, function(xs[0].data.astype(np.float64), _places(xs[0], node.attr("axes"))))

    return meaning


def _logsumexp(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    x = x.astype(np.float64)
    top: Array = np.max(x, axis=axes, keepdims=True)
    total = np.where(np.isinf(top), top, top + np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True)))
    return total if keepdims else np.squeeze(total, axis=axes)


def _softmax(x: Array, axes: tuple[int, ...]) -> Array:
    top = np.max(x, axis=axes, keepdims=True)
    raised = np.exp(x - top)
    return np.where(top == -np.inf, 0.0, raised / np.sum(raised, axis=axes, keepdims=True))


def _log_softmax(x: Array, axes: tuple[int, ...]) -> Array:
    total = _logsumexp(x, axes, keepdims=True)
    return np.where(total == -np.inf, -np.inf, x - total)


def _argmax(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    x, axis = xs[0], node.attr("axis")
    place = x.axes.index(axis)
    return Labeled(x.axes[:place] + x.axes[place + 1 :], np.asarray(np.argmax(x.data, axis=place)))


def _rank(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """Stable sort of the negated values over the axes, flattened row-major in the given order."""
    x, axes = xs[0], node.attr("axes")
    rest = tuple(a for a in x.axes if a not in axes)
    data = x.to(rest + axes)
    flat = -data.reshape(*data.shape[: len(rest)], -1).astype(
        np.float64 if node.inputs[0].dtype == "real" else np.int64
    )
    order = np.argsort(flat, axis=-1, kind="stable")
    places = np.argsort(order, axis=-1, kind="stable")
    return Labeled(rest + axes, places.reshape(data.shape))


def _cumsum(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    return Labeled(xs[0].axes, np.cumsum(xs[0].data, axis=xs[0].axes.index(node.attr("axis"))))


def _revcumsum(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    place = xs[0].axes.index(node.attr("axis"))
    return Labeled(xs[0].axes, np.flip(np.cumsum(np.flip(xs[0].data, place), axis=place), place))


def _rename(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    names = dict(node.attr("map"))
    return Labeled(tuple(names.get(a, a) for a in xs[0].axes), xs[0].data)


# gather and scatter


def _inside(node: Node, index: Array, size: int) -> Array:
    """The index itself.

    Raises:
        ValueError: it leaves the axis (NumPy would wrap negative ones around).
    """
    if index.size and (index.min() < 0 or index.max() >= size):
        raise ValueError(f"`{node.op}`: an index leaves the axis `{node.attr('axis')}` of size {size}")
    return index


def _position(axis: str, axes: tuple[str, ...], size: int) -> Array:
    """0, 1, ... along one of the axes."""
    return np.arange(size).reshape([-1 if a == axis else 1 for a in axes])


def _gather(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    (x, index), axis = xs, node.attr("axis")
    rest = tuple(a for a in x.axes if a != axis)
    axes = canonical({*rest, *index.axes})
    read = _inside(node, index.to(axes), ctx.size(axis))
    where = [_position(a, axes, ctx.size(a)) for a in rest]
    return Labeled(axes, x.to((*rest, axis))[(*where, read)])


def _window(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    x, axis = xs[0], node.attr("axis")
    rest = tuple(a for a in x.axes if a != axis)
    indices, at, inside = _reading(ctx, node)
    read = x.to((*rest, axis))[..., np.where(inside, at, 0)]
    return Labeled((*rest, *indices), np.where(inside, read, np.zeros((), dtype=read.dtype)))


def _fold(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """Every entry is added where a window would have read it."""
    x, axis = xs[0], node.attr("axis")
    indices, at, inside = _reading(ctx, node)
    rest = tuple(a for a in x.axes if a not in indices)
    data = x.to((*rest, *indices))
    out = np.zeros((*data.shape[: len(rest)], ctx.size(axis)), dtype=np.result_type(data, np.int64))
    for place in np.ndindex(at.shape):
        if inside[place]:
            out[..., at[place]] += data[(..., *place)]
    return Labeled((*rest, axis), out)


def _reading(ctx: Context, node: Node) -> tuple[tuple[str, ...], Array, Array]:
    """The indices of a window, the position that it reads at each of their labels, and whether that exists."""
    terms: tuple[tuple[str, int], ...] = node.attr("terms")
    indices = tuple(index for index, _ in terms)
    at = np.full(ctx.shape(indices), node.attr("offset"))
    for index, factor in terms:
        at = at + factor * _position(index, indices, ctx.size(index))
    return indices, at, (at >= 0) & (at < ctx.size(node.attr("axis")))


def _scatter(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    (x, index), axis = xs, node.attr("axis")
    axes = canonical({*x.axes, *index.axes})
    kept = tuple(a for a in axes if a in node.attr("keep") or a not in index.axes)
    out = np.zeros((*ctx.shape(kept), ctx.size(axis)), dtype=np.result_type(x.data, np.int64))
    write = _inside(node, index.to(axes), ctx.size(axis))
    where = [_position(a, axes, ctx.size(a)) for a in kept]
    np.add.at(out, (*where, write), x.expand(axes, ctx.shape(axes)))
    return Labeled((*kept, axis), out)


# linear algebra: matrices on the last two axes


def _matrices(x: Labeled, node: Node) -> tuple[tuple[str, ...], Array]:
    """The other axes, and the array with rows and cols last."""
    rows, cols = node.attr("rows"), node.attr("cols")
    rest = tuple(a for a in x.axes if a not in (rows, cols))
    return rest, x.to((*rest, rows, cols)).astype(np.float64)


def _transposed(a: Array) -> Array:
    return np.swapaxes(a, -1, -2)


def _symmetric(a: Array) -> Array:
    return (a + _transposed(a)) / 2


def _matrix(function: Callable[[Array], Array]) -> Meaning:
    """Matrix to matrix."""

    def meaning(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
        rest, a = _matrices(xs[0], node)
        return Labeled((*rest, node.attr("rows"), node.attr("cols")), function(a))

    return meaning


def _power(a: Array, p: float) -> Array:
    values, vectors = np.linalg.eigh(_symmetric(a))
    return (vectors * np.power(values, p)[..., None, :]) @ _transposed(vectors)


def _matpow(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    return _matrix(lambda a: _power(a, float(xs[1].data)))(ctx, node, xs[:1])


def _power_vjp(a: Array, p: float, g: Array) -> Array:
    """V (K * (V^T G V)) V^T, K the divided differences of w^p; nearly equal eigenvalues take the derivative between."""
    values, vectors = np.linalg.eigh(_symmetric(a))
    left, right = values[..., :, None], values[..., None, :]
    close = np.abs(left - right) <= 1e-5 * np.maximum(np.abs(left), np.abs(right))
    gap = np.where(close, 1.0, left - right)
    slope = p * np.power((left + right) / 2, p - 1) if p != 0 else np.zeros_like(gap)
    divided = np.where(close, slope, (np.power(left, p) - np.power(right, p)) / gap)
    return vectors @ (divided * (_transposed(vectors) @ _symmetric(g) @ vectors)) @ _transposed(vectors)


def _polar(a: Array) -> Array:
    u, _, vt = np.linalg.svd(a, full_matrices=False)
    return u @ vt


def _polar_vjp(a: Array, g: Array) -> Array:
    """With A = U S V^T: U (K * (B - B^T)) V^T for B = U^T G V and K = 1 / (s_k + s_l), and the parts of G outside the
    row and the column space, divided by S."""
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    v, ut = _transposed(vt), _transposed(u)
    inner = ut @ g @ v
    spin = (inner - _transposed(inner)) / (s[..., :, None] + s[..., None, :])
    left = (g @ v - u @ inner) / s[..., None, :]
    right = (ut @ g - inner @ vt) / s[..., :, None]
    return u @ spin @ vt + left @ vt + u @ right


def _vjp(function: Callable[[Array, Array], Array]) -> Meaning:
    """Matrix and cotangent (the last operand, which may lack axes) to matrix."""

    def meaning(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
        axes = canonical({*xs[0].axes, *xs[-1].axes} - {node.attr("rows"), node.attr("cols")})
        axes = (*axes, node.attr("rows"), node.attr("cols"))
        a, g = (x.expand(axes, ctx.shape(axes)).astype(np.float64) for x in (xs[0], xs[-1]))
        return Labeled(axes, function(a, g))

    return meaning


def _matpow_vjp(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    return _vjp(lambda a, g: _power_vjp(a, float(xs[1].data), g))(ctx, node, xs)


def _logdet(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    rest, a = _matrices(xs[0], node)
    sign, value = np.linalg.slogdet(a)
    return Labeled(rest, np.asarray(np.where(sign < 0, np.nan, value)))


def _inverse(a: Array) -> Array:
    """NaN for a singular matrix."""
    flat = a.reshape(-1, *a.shape[-2:])
    out = np.full_like(flat, np.nan)
    for k, matrix in enumerate(flat):
        if np.linalg.slogdet(matrix)[0] != 0:
            out[k] = np.linalg.inv(matrix)
    return out.reshape(a.shape)


def _cholesky(a: Array) -> Array:
    """The lower root of the symmetric part, column by column (Cholesky-Banachiewicz); NaN where it is not positive
    definite."""
    a, n = _symmetric(a), a.shape[-1]
    root = np.zeros_like(a)
    for j in range(n):
        pivot = a[..., j, j] - np.sum(root[..., j, :j] ** 2, axis=-1)
        root[..., j, j] = np.sqrt(np.where(pivot > 0, pivot, np.nan))
        below = a[..., j + 1 :, j] - np.sum(root[..., j + 1 :, :j] * root[..., None, j, :j], axis=-1)
        root[..., j + 1 :, j] = below / root[..., None, j, j]
    bad = np.isnan(root).any(axis=(-2, -1), keepdims=True)
    return np.where(bad, np.nan, root)


def _solve_triangular(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """Substitution, one unknown after the other."""
    rows, cols = node.attr("rows"), node.attr("cols")
    lead = canonical({*xs[0].axes, *xs[1].axes} - {rows, cols})
    matrix, right = xs[0].to((*lead, rows, cols)).astype(np.float64), xs[1].to((*lead, rows)).astype(np.float64)
    n = matrix.shape[-1]
    solution = np.zeros((*np.broadcast_shapes(matrix.shape[:-2], right.shape[:-1]), n))
    for k in range(n)[:: -1 if node.attr("upper") else 1]:
        known = slice(k + 1, n) if node.attr("upper") else slice(0, k)
        left = right[..., k] - np.sum(matrix[..., k, known] * solution[..., known], axis=-1)
        solution[..., k] = left / matrix[..., k, k]
    return Labeled((*lead, cols), solution)


def _eigvals(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    rest, a = _matrices(xs[0], node)
    return Labeled((*rest, node.attr("rows")), np.linalg.eigvalsh(_symmetric(a)))


def _eigvecs(a: Array) -> Array:
    return np.linalg.eigh(_symmetric(a))[1]


OVER_AXES: dict[str, Meaning] = {
    "max": _reduction(lambda x, axes: np.max(x, axis=axes)),
    "min": _reduction(lambda x, axes: np.min(x, axis=axes)),
    "prod": _reduction(lambda x, axes: np.prod(x, axis=axes)),
    "logsumexp": _reduction(_logsumexp),
    "softmax": _along(_softmax),
    "log_softmax": _along(_log_softmax),
    "argmax": _argmax,
    "rank": _rank,
    "cumsum": _cumsum,
    "revcumsum": _revcumsum,
    "rename": _rename,
    "gather": _gather,
    "window": _window,
    "fold": _fold,
    "scatter": _scatter,
    "matpow": _matpow,
    "matpow_vjp": _matpow_vjp,
    "logdet": _logdet,
    "inverse": _matrix(_inverse),
    "cholesky": _matrix(_cholesky),
    "solve_triangular": _solve_triangular,
    "eigvals": _eigvals,
    "eigvecs": _matrix(_eigvecs),
    "polar": _matrix(_polar),
    "polar_vjp": _vjp(_polar_vjp),
    "extern": foreign.extern,
    "extern_vjp": foreign.extern_vjp,
}
