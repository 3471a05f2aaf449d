"""What windows, folds and the convolutions made of them cost, as torch and the runtime carry them out on a CPU.

Arithmetic is that of the direct algorithm, as torch's own counter has it: every tap of every output is one multiply-add,
those that fall on padding too.
"""

from __future__ import annotations

from dataclasses import replace

from .machine import Array, Machine
from .moving import dense, reshaped, without
from .poly import ONE, ZERO, Poly, number, product, total
from .values import Args, Form, Value, size_of

_CHANNELS_LAST = (0, 2, 3, 1)


def _numbers(value: Value | None, default: int, axes: int) -> list[int]:
    """A setting of a convolution: one number for all spatial axes, or one each."""
    if isinstance(value, tuple):
        return [size_of(v).at({}) for v in value]
    return [default if value is None else size_of(value).at({})] * axes


def _settings(args: Args, axes: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Stride, padding, dilation and output padding, one number for each spatial axis."""
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "output_padding": 0}
    stride, padding, dilation, more = (_numbers(args.named.get(name), n, axes) for name, n in defaults.items())
    return stride, padding, dilation, more


def _last(array: Array) -> bool:
    """Does an image batch lie in memory with its channels fastest (and not also as written)?"""
    if len(array.shape) != 4 or dense(array):
        return False
    moved = replace(
        array,
        shape=tuple(array.shape[k] for k in _CHANNELS_LAST),
        strides=tuple(array.strides[k] for k in _CHANNELS_LAST),
    )
    return dense(moved)


BLOCK = 8
"""oneDNN keeps channels in blocks of so many."""

_FEW = 8
"""An input of fewer channels is taken as it stands."""


def _blocked(m: Machine, array: Array, dims: tuple[int, ...]) -> Poly:
    """Bytes of a copy whose channels fill whole blocks."""
    sizes = list(array.shape)
    for k in dims:
        sizes[k] = number(-(-sizes[k].at(m.sizes) // BLOCK) * BLOCK)
    return m.bytes(product(sizes), array.dtype)


def _result(m: Machine, x: Array, kernel: Array, shape: tuple[Poly, ...], *, grouped: bool) -> Array:
    """The result of a convolution.  What is not dense is copied; then input, kernel and result exist in blocks, and when
    the first two are gone the result is copied out of its own.  (Images with their channels last are taken as they are,
    grouped convolutions know no blocks.)
    """
    last = _last(x) or _last(kernel)
    copies = [m.new(a.shape, a.dtype) for a in (x, kernel) if not dense(a) and not _last(a)]
    m.moved(x, kernel, *copies)
    inside = m.bytes(product(shape), x.dtype)
    if not last and not grouped:
        inside = _blocked(m, Array(shape, (), x.dtype, x.storage), (1,))
        operands = _blocked(m, kernel, (0, 1)) + (_blocked(m, x, (1,)) if x.shape[1].at(m.sizes) >= _FEW else ZERO)
        m.work(inside + operands)
    result = m.new(shape, x.dtype, _CHANNELS_LAST if last else ())
    if not last:
        m.work(inside)
    m.moved(result)
    for array in copies:
        m.release(array)
    return result


def _convolution(m: Machine, args: Args) -> Array:
    """``F.conv1d`` and ``F.conv2d``: [n, in, ..] by [out, in / groups, ..]."""
    x, kernel = args.array(0), args.array(1)
    stride, padding, dilation, _ = _settings(args, len(x.shape) - 2)
    spatial: list[Poly] = []
    for k, (n, taps) in enumerate(zip(x.shape[2:], kernel.shape[2:], strict=True)):
        room = n.at({}) + 2 * padding[k] - dilation[k] * (taps.at({}) - 1) - 1
        spatial.append(number(room // stride[k] + 1))
    shape = (x.shape[0], kernel.shape[0], *spatial)
    m.flops("contraction", product(shape) * product(kernel.shape[1:]) * 2, counted=True)
    return _result(m, x, kernel, shape, grouped="groups" in args.named)


def _transposed(m: Machine, args: Args) -> Array:
    """``F.conv_transpose1d`` and ``2d``: [n, in, ..] by [in, out / groups, ..]."""
    x, kernel = args.array(0), args.array(1)
    stride, padding, dilation, more = _settings(args, len(x.shape) - 2)
    groups = size_of(args.named["groups"]) if "groups" in args.named else ONE
    spatial: list[Poly] = []
    for k, (n, taps) in enumerate(zip(x.shape[2:], kernel.shape[2:], strict=True)):
        reach = (n.at({}) - 1) * stride[k] - 2 * padding[k] + dilation[k] * (taps.at({}) - 1)
        spatial.append(number(reach + more[k] + 1))
    shape = (x.shape[0], kernel.shape[1] * groups, *spatial)
    m.flops("contraction", x.count * product(kernel.shape[1:]) * 2, counted=True)
    return _result(m, x, kernel, shape, grouped="groups" in args.named)


def _pad(m: Machine, args: Args) -> Array:
    """Numbers before and after each dimension, the last one first."""
    x, given = args.array(), args.numbers(1)
    shape = list(x.shape)
    for k in range(len(given) // 2):
        shape[-1 - k] = shape[-1 - k] + number(given[2 * k] + given[2 * k + 1])
    result = m.new(shape, x.dtype, _CHANNELS_LAST if _last(x) else ())
    m.moved(x, result)
    return result


# ---------------------------------------------------------------- windows that are no convolution


def _terms(value: Value) -> list[tuple[Poly, int]]:
    """Number of labels and factor of each index of a window."""
    assert isinstance(value, tuple)
    found: list[tuple[Poly, int]] = []
    for row in value:
        assert isinstance(row, tuple)
        found.append((size_of(row[0]), size_of(row[1]).at({})))
    return found


def _window(m: Machine, args: Args) -> Array:
    """Views of the padded tensor where factors are positive; else positions, a selection and a mask."""
    x, terms = args.array(), _terms(args.given[2])
    dim, offset = args.size(1).at({}), args.size(3).at({})
    if len(terms) <= 2 and all(factor > 0 for _, factor in terms):
        return _unfolded(m, x, dim, terms, offset)
    sizes = tuple(labels for labels, _ in terms)
    read = m.new((*x.shape[:dim], *sizes, *x.shape[dim + 1 :]), x.dtype)
    positions = m.bytes(product(sizes), "int") * 2
    result = m.new(read.shape, x.dtype)
    m.work(positions)
    m.flops("elementwise", result.count)
    m.moved(read, read, read, result)
    m.release(read)
    return result


def _unfolded(m: Machine, x: Array, dim: int, terms: list[tuple[Poly, int]], offset: int) -> Array:
    reach = total((labels - ONE) * factor for labels, factor in terms) + number(offset)
    padded = m.retain(x)
    if offset or reach != x.shape[dim] - ONE:
        m.release(padded)
        padded = m.new((*x.shape[:dim], reach - number(offset - 1), *x.shape[dim + 1 :]), x.dtype)
        m.moved(x, padded)
    step = padded.strides[dim]
    return replace(
        padded,
        shape=(*x.shape[:dim], *(labels for labels, _ in terms), *x.shape[dim + 1 :]),
        strides=(*padded.strides[:dim], *(step * factor for _, factor in terms), *padded.strides[dim + 1 :]),
    )


def _fold(m: Machine, args: Args) -> Array:
    """Entries outside are set to 0, the others are added where their window read them."""
    x, terms, size = args.array(), _terms(args.given[1]), args.size(3)
    flat = reshaped(m, x, (*x.shape[: -len(terms)], product(labels for labels, _ in terms)))
    inside = m.new(flat.shape, x.dtype)
    m.moved(flat, inside)
    m.release(flat)
    zeros = m.new((*without(flat.shape, (-1,)), size), x.dtype)
    result = m.new(zeros.shape, x.dtype)
    m.work(m.bytes(product(labels for labels, _ in terms), "int") * 2)
    m.flops("elementwise", inside.count)
    m.flops("reduction", inside.count)
    m.moved(inside, zeros, zeros, result)
    m.release(inside)
    m.release(zeros)
    return result


CONVOLUTIONS: dict[str, Form] = {
    "F.conv1d": _convolution,
    "F.conv2d": _convolution,
    "F.conv_transpose1d": _transposed,
    "F.conv_transpose2d": _transposed,
    "F.pad": _pad,
    "rt.window": _window,
    "rt.fold": _fold,
}
