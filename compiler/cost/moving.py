"""Operations that move numbers, show them under another shape, or make them: no arithmetic, only traffic and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .machine import Array, Machine, broadcast, expanded, strides, viewed
from .poly import ONE, Poly, product
from .values import Args, Form, Host, Value


def without(shape: tuple[Poly, ...], dims: tuple[int, ...]) -> tuple[Poly, ...]:
    """A shape without some dimensions."""
    gone = {d % len(shape) for d in dims} if shape else set[int]()
    return tuple(n for k, n in enumerate(shape) if k not in gone)


# ---------------------------------------------------------------- copies


def copied(m: Machine, array: Array, dtype: str | None = None) -> Array:
    """A dense copy."""
    result = m.new(array.shape, dtype or array.dtype)
    m.moved(array, result)
    return result


def _to(m: Machine, args: Args) -> Array:
    """A cast; of a tensor that is of this dtype already, nothing."""
    array, wanted = args.array(), args.given[1]
    kind = wanted.dtype if isinstance(wanted, Host) else "real"
    return m.retain(array) if kind == array.dtype or _same(m, kind, array.dtype) else copied(m, array, kind)


def _same(m: Machine, a: str, b: str) -> bool:
    """In a float64 module real is double."""
    return {a, b} == {"real", "double"} and m.widths["real"] == m.widths["double"]


# ---------------------------------------------------------------- views and selections


def dense(array: Array) -> bool:
    """Do the elements lie behind one another, the last dimension fastest?"""
    wanted = strides(array.shape)
    return all(n == ONE or a == b for n, a, b in zip(array.shape, array.strides, wanted, strict=True))


def _permuted(m: Machine, args: Args) -> Array:
    return m.retain(permuted(args.array(), args.numbers(1)))


def permuted(array: Array, order: tuple[int, ...]) -> Array:
    """A view with the dimensions in another order."""
    shape, steps = tuple(array.shape[k] for k in order), tuple(array.strides[k] for k in order)
    return replace(array, shape=shape, strides=steps)


def transposed(m: Machine, array: Array) -> Array:
    """``.T`` and ``.mT``."""
    places = tuple(range(len(array.shape)))
    return m.retain(permuted(array, (*places[:-2], places[-1], places[-2])))


def reshaped(m: Machine, array: Array, shape: tuple[Poly, ...]) -> Array:
    """The elements under another shape: a view where the strides allow it, else a copy."""
    view = viewed(array, shape)
    if view is not None:
        return m.retain(view)
    result = m.new(shape, array.dtype)
    m.moved(array, result)
    return result


def _reshape(m: Machine, args: Args) -> Array:
    return reshaped(m, args.array(), args.sizes(1))


def _expand(m: Machine, args: Args) -> Array:
    array, sizes = args.array(), args.sizes(1)
    lead = len(sizes) - len(array.shape)
    kept = tuple(array.shape[k - lead] if n.terms == {(): -1} else n for k, n in enumerate(sizes))
    return m.retain(expanded(array, kept))


def _squeeze(m: Machine, args: Args) -> Array:
    array, (dim,) = args.array(), args.numbers(1)
    keep = [k for k in range(len(array.shape)) if k != dim % len(array.shape)]
    steps = tuple(array.strides[k] for k in keep)
    return m.retain(replace(array, shape=tuple(array.shape[k] for k in keep), strides=steps))


def _unsqueeze(m: Machine, args: Args) -> Array:
    array, (dim,) = args.array(), args.numbers(1)
    at = dim % (len(array.shape) + 1)
    shape, steps = list(array.shape), list(array.strides)
    shape.insert(at, ONE)
    steps.insert(at, ONE)
    return m.retain(replace(array, shape=tuple(shape), strides=tuple(steps)))


def _flatten(m: Machine, args: Args) -> Array:
    """From one dimension to the last."""
    array, (first,) = args.array(), args.numbers(1)
    return reshaped(m, array, (*array.shape[:first], product(array.shape[first:])))


def _unflatten(m: Machine, args: Args) -> Array:
    """The last dimension as several."""
    return reshaped(m, args.array(), (*args.array().shape[:-1], *args.sizes(2)))


def _take_along(m: Machine, args: Args) -> Array:
    """``torch.take_along_dim(x, index, dim)``: both broadcast against each other but along the dimension."""
    array, index, (dim,) = args.array(0), args.array(1), args.numbers(2)
    others = broadcast([without(array.shape, (dim,)), without(index.shape, (dim,))])
    result = m.new((*others[:dim], index.shape[dim], *others[dim:]), array.dtype)
    m.work(m.bytes(result.count, index.dtype))  # labels wrapped around, in case one is negative
    m.moved(index, result, result)
    return result


WHOLE = Host(name=":")
"""``:`` among the items of an index."""


def indexed(m: Machine, array: Array, items: Sequence[Value | None]) -> Array:
    """``array[items]``: None is a new dimension, :data:`WHOLE` a kept one, a number selects, a tensor of labels gathers."""
    shape: list[Poly] = []
    steps: list[Poly] = []
    rows: Array | None = None
    at = 0
    for item in items:
        if item is None:
            shape.append(ONE)
            steps.append(ONE)
            continue
        if isinstance(item, Array):
            rows = item
            shape += item.shape
        elif item is WHOLE:
            shape.append(array.shape[at])
            steps.append(array.strides[at])
        at += 1
    shape += array.shape[at:]
    steps += array.strides[at:]
    if rows is None:
        return m.retain(replace(array, shape=tuple(shape), strides=tuple(steps)))
    result = m.new(shape, array.dtype)
    m.moved(rows, result, result)
    return result


def _tensor(m: Machine, args: Args) -> Array:
    """``torch.tensor``: of a number, or of a flat tuple."""
    value, wanted = args.given[0], args.named["dtype"]
    assert isinstance(wanted, Host)
    result = m.new((Poly({(): len(value)}),) if isinstance(value, tuple) else (), wanted.dtype)
    m.moved(result)
    return result


def _arange(m: Machine, args: Args) -> Array:
    first, last = (args.size(0), args.size(1)) if len(args.given) > 1 else (Poly({}), args.size(0))
    result = m.new((last - first,), "int")
    m.moved(result)
    return result


def _detach(m: Machine, args: Args) -> Array:
    return m.retain(args.array())


def _clone(m: Machine, args: Args) -> Array:
    return copied(m, args.array())


def _shape(m: Machine, args: Args) -> Value:
    return tuple(Host(n, "int") for n in args.array().shape)


FUNCTIONS: dict[str, Form] = {
    "torch.take_along_dim": _take_along,
    "torch.tensor": _tensor,
    "torch.arange": _arange,
}

METHODS: dict[str, Form] = {
    "detach": _detach,
    "clone": _clone,
    "to": _to,
    "view": _reshape,
    "reshape": _reshape,
    "permute": _permuted,
    "expand": _expand,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "size": _shape,
}
