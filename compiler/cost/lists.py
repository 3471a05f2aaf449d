"""Python lists and what loops run over: emitted recurrences feed labels in and collect results with them.

A list knows one value that stands for all; see :mod:`.loops` for how a loop grows it.
"""

from __future__ import annotations

from dataclasses import replace

from .machine import Array, Machine
from .moving import without
from .poly import ZERO
from .values import NOTHING, Args, Form, Host, Series, Value


def kept(m: Machine, value: Value) -> Value:
    """One more holder of a value."""
    if isinstance(value, Array):
        return m.retain(value)
    if isinstance(value, Series):
        value.refs += 1
    return value


def dropped(m: Machine, value: Value) -> None:
    """One holder less."""
    if isinstance(value, Array):
        m.release(value)
    elif isinstance(value, tuple):
        for part in value:
            dropped(m, part)
    elif isinstance(value, Series):
        value.refs -= 1
        if not value.refs:
            for array in value.held:
                m.release(array)


def _list(m: Machine, args: Args) -> Value:
    """``list()``, and ``list(xs)`` of what is one already."""
    return kept(m, args.given[0]) if args.given else Series(ZERO, NOTHING)


def repeated(m: Machine, values: tuple[Value, ...], times: Host) -> Series:
    """``(x,) * n``."""
    (each,) = values
    assert isinstance(each, Array) and times.size is not None
    return Series(times.size, each, [m.retain(each)])


def _unbind(m: Machine, args: Args) -> Series:
    """Views of a tensor along one dimension."""
    array, (dim,) = args.array(), args.numbers(1)
    steps = tuple(step for k, step in enumerate(array.strides) if k != dim)
    return Series(
        array.shape[dim], replace(array, shape=without(array.shape, (dim,)), strides=steps), [m.retain(array)]
    )


def _stack(m: Machine, args: Args) -> Array:
    """All values of a list in one new tensor."""
    values, (dim,) = args.series(), args.numbers(1)
    each = values.each
    assert isinstance(each, Array)
    result = m.new((*each.shape[:dim], values.count, *each.shape[dim:]), each.dtype)
    m.moved(result, result)  # what is read is as much as what is written
    return result


def _append(m: Machine, args: Args) -> Value:
    values, array = args.series(), args.array(1)
    values.each = array
    values.count = values.count + m.times
    values.held.append(m.retain(array))
    return NOTHING


def _earlier(m: Machine, args: Args) -> Array:
    """A value of the list that grows, or where it begins."""
    each = args.series().each
    return m.retain(each if isinstance(each, Array) else args.array(2))


def _add_at(m: Machine, args: Args) -> Value:
    """One entry is replaced by its sum with the value; counted as if each turn took another entry."""
    sums, value = args.series(), args.array(2)
    result = m.new(value.shape, value.dtype)
    m.flops("elementwise", result.count)
    m.moved(value, value, result)
    sums.each = result
    sums.held.append(result)
    return NOTHING


def _range(m: Machine, args: Args) -> Series:
    return Series(args.size(0), Host(None, "int"))


def _zip(m: Machine, args: Args) -> Series:
    """Side by side; all are as long as the first."""
    rows = [args.series(k) for k in range(len(args.given))]
    return Series(rows[0].count, tuple(r.each for r in rows), [m.retain(a) for r in rows for a in r.held])


def _same(m: Machine, args: Args) -> Value:
    return kept(m, args.given[0])


def _reverse(m: Machine, args: Args) -> Value:
    return NOTHING


def _tolist(m: Machine, args: Args) -> Series:
    """The numbers of a vector as Python's."""
    array = args.array()
    m.moved(array)
    return Series(array.shape[0], Host(None, array.dtype))


FUNCTIONS: dict[str, Form] = {
    "list": _list,
    "range": _range,
    "zip": _zip,
    "reversed": _same,
    "torch.unbind": _unbind,
    "torch.stack": _stack,
    "rt.earlier": _earlier,
    "rt.add_at": _add_at,
}

METHODS: dict[str, Form] = {"append": _append, "reverse": _reverse, "tolist": _tolist}
