"""What each torch operation of emitted code costs: one row an operation, keyed by how it is printed.

``FUNCTIONS`` are called by a dotted path, ``METHODS`` on a tensor, ``OPERATORS`` stand between two operands.  The
runtime's own operations (``rt.NAME``) are in :mod:`.composites`.  Work inside torch is counted as its CPU kernels do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from . import moving
from .machine import Array, Machine, broadcast, expanded
from .moving import dense, without
from .poly import ONE, Poly, product, total
from .values import Args, Form, Host, Value, promoted

# ---------------------------------------------------------------- elementwise


def pointwise(dtype: str | None = None, *, count: int = 1) -> Callable[[Machine, Args], Array]:
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
    *first, rows, inner = a.shape
    *second, _, columns = b.shape
    shape = (*broadcast([tuple(first), tuple(second)]), rows, columns)
    m.flops("contraction", product(shape) * inner * 2, counted=counted)
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


# ---------------------------------------------------------------- Python numbers


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
    **moving.FUNCTIONS,
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
    **{f"math.{name}": _host("real") for name in _HOST},
    "int": _host_int,
    "float": _host("real"),
    "abs": _host("real"),
    "min": _host("real"),
    "max": _host("real"),
}

METHODS: dict[str, Form] = {
    **moving.METHODS,
    "square": pointwise(),
    "sum": _sum,
    "argmax": _argmax,
    "cumsum": _cumsum,
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
