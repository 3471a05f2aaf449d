"""What each torch operation of emitted code costs: one row an operation, keyed by how it is printed.

``FUNCTIONS`` are called by a dotted path, ``METHODS`` on a tensor, ``OPERATORS`` stand between two operands.  The
runtime's own operations (``rt.NAME``) are in :mod:`.composites`.  Work inside torch is counted as its CPU kernels do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from .machine import Array, Machine, broadcast, expanded, strides, viewed
from .poly import ONE, Poly, product, total
from .values import Args, Form, Host, Value, promoted

# ---------------------------------------------------------------- elementwise


def pointwise(dtype: str | None = None, *, count: int = 1) -> Form:
    """One result an element of the broadcast operands; ``dtype`` None: theirs, else this (``float``: at least real)."""

    def run(m: Machine, args: Args) -> Array:
        arrays = args.arrays
        kind = promoted(args.given) if dtype in (None, "float") else str(dtype)
        if dtype == "float" and kind in ("int", "bool"):
            kind = "real"
        shape = broadcast([a.shape for a in arrays])
        result = m.new(shape, kind, memory_order(arrays, shape))
        common = promoted(args.given)
        cast_operands(m, arrays, kind if dtype == "float" else common)
        m.flops("elementwise", result.count * count)
        m.moved(*arrays, result)
        return result

    return run


def _divide(m: Machine, args: Args) -> Value:
    """A number over a tensor is the tensor's reciprocal times the number."""
    if isinstance(args.given[0], Host):
        whole = pointwise("float")(m, Args(args.given[1:]))
        result = pointwise("float")(m, Args((whole,)))
        m.release(whole)
        return result
    return pointwise("float")(m, args)


def select(m: Machine, args: Args) -> Array:
    """``torch.where``: the condition has no say in the dtype."""
    arrays = args.arrays
    kind = promoted(args.given[1:])
    shape = broadcast([a.shape for a in arrays])
    result = m.new(shape, kind, memory_order(arrays, shape))
    cast_operands(m, [a for a in args.given[1:] if isinstance(a, Array)], kind)
    m.flops("elementwise", result.count)
    m.moved(*arrays, result)
    return result


def cast_operands(m: Machine, arrays: list[Array], common: str) -> None:
    """Operands of another dtype than the common one are copied first."""
    odd = [a for a in arrays if a.dtype != common and a.shape]
    if odd:
        m.work(total(m.bytes(a.distinct, common) for a in odd))


def memory_order(arrays: Sequence[Array], shape: tuple[Poly, ...]) -> tuple[int, ...]:
    """The dimensions of a result in memory, the fastest last: as the operands have them, the first one that can tell
    (torch's TensorIterator, reorder_dimensions)."""
    steps = [[_magnitude(step) for step in expanded(a, shape).strides] for a in arrays]
    sizes = [_magnitude(n) for n in shape]
    order = list(reversed(range(len(shape))))
    for start in range(1, len(order)):
        at = start
        for before in reversed(range(start)):
            found = _compare(steps, sizes, order[before], order[at])
            if found > 0:
                order[before], order[at] = order[at], order[before]
                at = before
            elif found < 0:
                break
    return tuple(reversed(order))


def _compare(steps: list[list[float]], sizes: list[float], a: int, b: int) -> int:
    """Does a dimension lie faster in memory (-1) or slower (1) than another; 0 where no operand can tell."""
    for mine in steps:
        if mine[a] and mine[b] and mine[a] != mine[b]:
            return -1 if mine[a] < mine[b] else 1
        if mine[a] and mine[b] and sizes[a] > sizes[b]:
            return 1
    return 0


def _magnitude(size: Poly) -> float:
    """Sizes compared: symbols count as large."""
    return float(size.at({s: 1 << 10 for m in size.terms for s, _ in m}))


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


def _in_place(count: int = 1) -> Form:
    """The target is read and written, other operands are read; a factor (``alpha``, ``value``) is one more product."""

    def run(m: Machine, args: Args) -> Array:
        target = args.array()
        m.flops("elementwise", target.count * (count + len(args.named)))
        m.moved(*args.arrays, target)
        return m.retain(target)

    return run


def _written(m: Machine, args: Args) -> Array:
    """``copy_`` and ``fill_``: no arithmetic, the target is only written."""
    m.moved(*args.arrays)
    return m.retain(args.array())


# ---------------------------------------------------------------- products


def multiply(m: Machine, a: Array, b: Array, *, counted: bool = True) -> tuple[Poly, ...]:
    """Count ``a[.., i, j] @ b[.., j, k]``; the shape of the result."""
    lead = broadcast([a.shape[:-2], b.shape[:-2]]) if len(a.shape) > 2 or len(b.shape) > 2 else ()
    shape = (*lead, a.shape[-2], b.shape[-1])
    m.flops("contraction", product(shape) * a.shape[-1] * 2, counted=counted)
    return shape


def _matmul(m: Machine, args: Args) -> Array:
    """``a @ b``.  A vector on the left is a matrix of one row to torch, one on the right is not."""
    a, b = args.array(0), args.array(1)
    left = a if len(a.shape) > 1 else replace(a, shape=(ONE, *a.shape), strides=(ONE, *a.strides))
    right = b if len(b.shape) > 1 else replace(b, shape=(*b.shape, ONE), strides=(*b.strides, ONE))
    shape = multiply(m, left, right, counted=len(b.shape) > 1)
    dropped = {-2} if len(a.shape) == 1 else set[int]()
    dropped |= {-1} if len(b.shape) == 1 else set()
    result = m.new([n for k, n in enumerate(shape, -len(shape)) if k not in dropped], a.dtype)
    m.moved(a, b, result)
    return result


def _added_product(m: Machine, args: Args) -> Array:
    """``torch.addmm(bias, a, b)``."""
    bias, a, b = (args.array(k) for k in range(3))
    result = m.new(multiply(m, a, b), a.dtype)
    m.flops("elementwise", result.count)
    m.moved(bias, a, b, result)
    return result


def _product_into(m: Machine, args: Args) -> Array:
    """``target.addmm_(a, b)``, which torch's counter overlooks."""
    target, a, b = (args.array(k) for k in range(3))
    multiply(m, a, b, counted=False)
    m.flops("elementwise", target.count)
    m.moved(target, a, b, target)
    return m.retain(target)


def _bmm(m: Machine, args: Args) -> Array:
    a, b = args.array(0), args.array(1)
    result = m.new(multiply(m, a, b), a.dtype)
    m.moved(a, b, result)
    return result


def _einsum(m: Machine, args: Args) -> Array:
    """Pair by pair from the left, an index summed as soon as nothing else has it."""
    text = args.given[0]
    assert isinstance(text, Host)
    inputs, out = text.name.split("->")
    letters, arrays = inputs.split(","), args.arrays
    sizes = {c: n for word, array in zip(letters, arrays, strict=True) for c, n in zip(word, array.shape, strict=True)}
    have = set(letters[0])
    for k, word in enumerate(letters[1:], 1):
        have |= set(word)
        m.flops("contraction", product(sizes[c] for c in sorted(have)) * 2, counted=True)
        have &= set(out).union(*letters[k + 1 :])
        if k + 1 < len(letters):
            m.work(m.bytes(product(sizes[c] for c in sorted(have)), arrays[0].dtype))
    result = m.new([sizes[c] for c in out], arrays[0].dtype)
    m.moved(*arrays, result)
    return result


# ---------------------------------------------------------------- reductions


def without(shape: tuple[Poly, ...], dims: tuple[int, ...]) -> tuple[Poly, ...]:
    """A shape without some dimensions."""
    gone = {d % len(shape) for d in dims} if shape else set[int]()
    return tuple(n for k, n in enumerate(shape) if k not in gone)


def _sum(m: Machine, args: Args) -> Array:
    array = args.array()
    dims = args.numbers(1) if len(args.given) > 1 else tuple(range(len(array.shape)))
    result = m.new(without(array.shape, dims), "int" if array.dtype == "bool" else array.dtype)
    cast_operands(m, [array], result.dtype)
    m.flops("reduction", array.count)
    m.moved(array, result)
    return result


def _argmax(m: Machine, args: Args) -> Array:
    array = args.array()
    result = m.new(without(array.shape, args.numbers(1)), "int")
    m.flops("reduction", array.count)
    m.moved(array, result)
    return result


def softmax(m: Machine, args: Args) -> Array:
    """``softmax`` and ``log_softmax``: largest, exponentials, their sum, quotient or difference, in one
    kernel that wants its operand dense."""
    array = args.array()
    result = m.new(array.shape, array.dtype)
    if not dense(array):
        m.work(m.bytes(array.count, array.dtype))
    m.flops("reduction", array.count * 2)
    m.flops("elementwise", array.count * 3)
    m.moved(array, result)
    return result


def logsumexp(m: Machine, args: Args) -> Array:
    """The exponentials are an array of their own; the largest too, once to subtract and once to add."""
    array = args.array()
    rest = without(array.shape, args.numbers(1))
    result = m.new(rest, array.dtype)
    m.work(m.bytes(array.count + product(rest) * 2, array.dtype))
    m.flops("reduction", array.count * 2)
    m.flops("elementwise", array.count * 2 + product(rest) * 2)
    m.moved(array, result)
    return result


def _cumsum(m: Machine, args: Args) -> Array:
    array = args.array()
    result = m.new(array.shape, "int" if array.dtype == "bool" else array.dtype)
    m.flops("reduction", array.count)
    m.moved(array, result)
    return result


# ---------------------------------------------------------------- moving and making


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


def indexed(m: Machine, array: Array, items: tuple[Value | None | str, ...]) -> Array:
    """``array[items]``: None is a new dimension, ``:`` a kept one, a number selects, a tensor of labels gathers."""
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
        elif item == ":":
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


def _host(dtype: str) -> Form:
    """A function of Python numbers, whose value does not matter here."""

    def run(m: Machine, args: Args) -> Value:
        return Host(None, dtype)

    return run


def _host_int(m: Machine, args: Args) -> Value:
    return args.given[0] if isinstance(args.given[0], Host) and args.given[0].size else Host(None, "int")


_UNARY = ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "erf", "lgamma", "digamma", "sigmoid", "tanh")
_HOST = ("exp", "log", "log1p", "expm1", "sqrt", "tanh", "sin", "cos", "erf", "lgamma")

FUNCTIONS: dict[str, Form] = {
    **{f"torch.{name}": pointwise("float") for name in _UNARY},
    "torch.polygamma": pointwise("float"),
    "torch.abs": pointwise(),
    "torch.sign": pointwise(),
    "torch.relu": pointwise(),
    "F.gelu": pointwise("float"),
    "torch.logical_not": pointwise("bool"),
    "torch.where": select,
    "torch.softmax": softmax,
    "torch.log_softmax": softmax,
    "torch.logsumexp": logsumexp,
    "torch.addmm": _added_product,
    "torch.baddbmm": _added_product,
    "torch.bmm": _bmm,
    "torch.einsum": _einsum,
    "torch.take_along_dim": _take_along,
    "torch.tensor": _tensor,
    "torch.arange": _arange,
    **{f"math.{name}": _host("real") for name in _HOST},
    "int": _host_int,
    "float": _host("real"),
    "abs": _host("real"),
    "min": _host("real"),
    "max": _host("real"),
}

METHODS: dict[str, Form] = {
    "square": pointwise(),
    "detach": _detach,
    "clone": _clone,
    "to": _to,
    "sum": _sum,
    "argmax": _argmax,
    "cumsum": _cumsum,
    "view": _reshape,
    "reshape": _reshape,
    "permute": _permuted,
    "expand": _expand,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "size": _shape,
    "mul_": _in_place(),
    "add_": _in_place(),
    "sub_": _in_place(),
    "addcmul_": _in_place(2),
    "addcdiv_": _in_place(2),
    "addmm_": _product_into,
    "baddbmm_": _product_into,
    "fill_": _written,
    "copy_": _written,
}

OPERATORS: dict[str, Form] = {
    **dict.fromkeys(("+", "-", "*", "**", "//", "%"), pointwise()),
    "/": _divide,
    **dict.fromkeys(("<", "<=", "==", "!="), pointwise("bool")),
    "@": _matmul,
}

