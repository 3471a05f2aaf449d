"""What the runtime's own operations (``rt.NAME``, keyed draws) cost, written as they work: arithmetic, traffic and the
most memory that they hold beside arguments and result.

Where an operation looks at its numbers to choose a way (``rt.softmax`` at -inf), the usual way is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from .forms import cast_operands, logsumexp, memory_order, pointwise, softmax
from .machine import Array, Machine, broadcast, expanded, strides, viewed
from .moving import copied, permuted, reshaped, without
from .poly import ONE, ZERO, Poly, product, total
from .values import NOTHING, Args, Form, Host, Value, promoted, size_of

# ---------------------------------------------------------------- elementwise


def _extremum(m: Machine, args: Args) -> Array:
    """``where((a > b) | (b != b), b, a)``."""
    arrays = args.arrays
    shape, kind = broadcast([a.shape for a in arrays]), promoted(args.given)
    mask = m.bytes(product(shape), "bool")
    m.work(mask * (3 if isinstance(args.given[1], Array) else 2))
    m.work(mask)
    result = m.new(shape, kind, memory_order(arrays, shape))
    m.work(mask)
    cast_operands(m, arrays, kind)
    m.flops("elementwise", result.count * 4)
    m.moved(*arrays, *arrays, result)
    return result


def _xlogy(m: Machine, args: Args) -> Array:
    """``where(x == 0, 0, x * log(where(x == 0, 1, y)))``."""
    x, y = args.array(0), args.array(1)
    shape = broadcast([x.shape, y.shape])
    whole, mask = m.bytes(product(shape), x.dtype), m.bytes(x.count, "bool")
    m.work(whole * 2 + mask)
    result = m.new(shape, x.dtype)
    m.work(whole + mask)
    m.flops("elementwise", result.count * 4 + x.count * 2)
    m.moved(x, x, x, y, result, result, result, result, result)
    return result


# ---------------------------------------------------------------- over axes


def _guarded(usual: Form, *, arrays: int = 0, masks: int = 0) -> Form:
    """A reduction behind a look at whether everything is -inf; over several dimensions it takes its own way, and holds
    ``arrays`` of the argument's size and ``masks`` beside the result at its end."""

    def run(m: Machine, args: Args) -> Value:
        array, dims = args.array(), args.numbers(1)
        m.flops("elementwise", array.count)
        m.moved(array)
        if len(dims) == 1 or usual is logsumexp:
            m.work(m.bytes(array.count, "bool"))
            return usual(m, args)
        size = m.bytes(array.count, array.dtype)
        m.work(size * 2)
        result = m.new(array.shape, array.dtype)
        m.work(size * arrays + m.bytes(array.count, "bool") * masks)
        m.flops("reduction", array.count * 2)
        m.flops("elementwise", array.count * 5)
        m.moved(*[array] * 4, *[result] * 5)
        return result

    return run


def _flat(m: Machine, array: Array, dims: tuple[int, ...]) -> tuple[Array, Poly]:
    """``rt.flatten``: the dimensions last and as one; also its number of entries."""
    rest = tuple(k for k in range(len(array.shape)) if k not in dims)
    moved = permuted(array, (*rest, *dims))
    entries = product(moved.shape[len(rest) :])
    return reshaped(m, moved, (*moved.shape[: len(rest)], entries)), entries


def _best(m: Machine, args: Args) -> Array:
    """``max`` and ``min`` over the flattened dimensions; torch makes the indices too."""
    array, dims = args.array(), args.numbers(1)
    flat, _ = _flat(m, array, dims)
    result = m.new(without(array.shape, dims), array.dtype)
    m.work(m.bytes(result.count, "int"))
    m.flops("reduction", array.count)
    m.moved(flat, result)
    m.release(flat)
    return result


def _prod(m: Machine, args: Args) -> Array:
    array, dims = args.array(), args.numbers(1)
    flat, _ = _flat(m, array, dims)
    result = m.new(without(array.shape, dims), "int" if array.dtype == "bool" else array.dtype)
    m.flops("reduction", array.count)
    m.moved(flat, result)
    m.release(flat)
    return result


def _rank(m: Machine, args: Args) -> Array:
    """A stable sort, whose order is then turned around by a scatter; n log n comparisons are not arithmetic."""
    array, dims = args.array(), args.numbers(1)
    flat, entries = _flat(m, array, dims)
    places_in_memory = memory_order([flat], flat.shape)
    order = m.new(flat.shape, "int", places_in_memory)
    m.work(m.bytes(array.count, array.dtype) + m.bytes(entries, "int") * 2)
    places = m.new(flat.shape, "int", places_in_memory)
    m.work(m.bytes(entries, "int"))
    m.moved(flat, flat, order, order, places)
    m.release(order)
    m.release(flat)
    rest = tuple(k for k in range(len(array.shape)) if k not in dims)
    order_of = (*rest, *dims)
    shape = tuple(array.shape[k] for k in order_of)
    back = tuple(order_of.index(k) for k in range(len(array.shape)))
    unfolded = viewed(places, shape)
    assert unfolded is not None
    return permuted(unfolded, back)


def _revcumsum(m: Machine, args: Args) -> Array:
    """Flipped, added up, flipped back."""
    array = args.array()
    kind = "int" if array.dtype == "bool" else array.dtype
    first = copied(m, array)
    second = m.new(array.shape, kind)
    m.release(first)
    m.moved(first, second)
    result = copied(m, second)
    m.release(second)
    m.flops("reduction", array.count)
    return result


# ---------------------------------------------------------------- scattering, making


def _scatter_add(m: Machine, args: Args) -> Array:
    x, index, size = args.array(0), args.array(1), args.size(2)
    kept, summed = args.numbers(3)[0], args.numbers(4)[0]
    lead, middle, rest = x.shape[:kept], x.shape[kept : kept + summed], x.shape[kept + summed :]
    flat = reshaped(m, x, (product(lead), product(middle), product(rest)))
    where = reshaped(m, expanded(index, (*lead, *middle)), (product(lead), product(middle), ONE))
    result = m.new((product(lead), size, product(rest)), x.dtype)
    m.flops("reduction", x.count)
    m.moved(flat, flat, where, result, flat)
    m.release(flat)
    m.release(where)
    shape = (*lead, size, *rest)
    return replace(result, shape=shape, strides=strides(shape))


def _place(m: Machine, args: Args) -> Array:
    """Zeros with a number at one position each."""
    index, dtype = args.array(1), args.given[3]
    assert isinstance(dtype, Host)
    result = m.new((*index.shape, args.size(2)), dtype.dtype)
    m.moved(index, result)
    return result


def _inside(m: Machine, args: Args) -> Value:
    """The smallest and largest index are looked at."""
    index = args.given[0]
    if not isinstance(index, Array):
        return index
    m.flops("reduction", index.count * 2)
    m.moved(index)
    return m.retain(index)


def _spread(m: Machine, args: Args) -> Array:
    """``rt.expand``: a number becomes a full tensor, a tensor (cast if need be) a view."""
    value, shape, dtype = args.given[0], args.sizes(1), args.given[4]
    assert isinstance(dtype, Host)
    if not isinstance(value, Array):
        result = m.new(shape, dtype.dtype)
        m.moved(result)
        return result
    steps = [ZERO] * len(shape)
    present = args.given[2]
    places = args.numbers(2) if isinstance(present, tuple) and present else ()
    cast = m.widths[value.dtype] == m.widths[dtype.dtype] and {value.dtype, dtype.dtype} <= {"real", "double"}
    same = m.retain(value) if value.dtype == dtype.dtype or cast else copied(m, value, dtype.dtype)
    for place, step in zip(places, same.strides, strict=True):
        steps[place] = step
    return replace(same, shape=shape, strides=tuple(steps))


def _check_finite(m: Machine, args: Args) -> Value:
    return NOTHING


# ---------------------------------------------------------------- linear algebra


def least(m: Machine, a: Poly, b: Poly) -> Poly:
    """The smaller of two sizes (where symbols stand for what the machine takes them for)."""
    return a if a.at(m.sizes) <= b.at(m.sizes) else b


Counts = Mapping[str, Fraction | int]
"""Coefficients by monomial in the sizes i and j of a matrix and k = min(i, j): ``{"ijj": 2}`` is 2 i j^2."""


def _linalg(
    arithmetic: Counts,
    products: Counts,
    *,
    tail: str = "ij",
    before: Counts | None = None,
    scratch: Counts | None = None,
    beside: Counts | None = None,
    columns: bool = False,
) -> Form:
    """A factorization of ``a[.., i, j]`` and matrix products.

    Args:
        arithmetic: the textbook's count of the factorization.
        products: multiply-adds of the products.
        tail: the result's last dimensions.
        before: elements in use for each matrix before the result is there.
        scratch: LAPACK's own on top, for one matrix at a time.
        beside: elements in use for each matrix when the result is there.
        columns: LAPACK leaves the result column by column.
    """

    def run(m: Machine, args: Args) -> Array:
        a = args.array(0)
        i, j = a.shape[-2:]
        sizes = {"i": i, "j": j, "k": least(m, i, j)}
        lead = broadcast([x.shape[:-2] for x in args.arrays if len(x.shape) > 1])
        each = product(lead)

        def amount(counts: Counts | None) -> Poly:
            return total(product(sizes[c] for c in word) * factor for word, factor in (counts or {}).items())

        m.flops("linalg", amount(arithmetic) * each)
        m.flops("contraction", amount(products) * each * 2, counted=True)
        m.work(m.bytes(amount(before) * each + amount(scratch), a.dtype))
        places = tuple(range(len(lead)))
        order = (*places, len(lead) + 1, len(lead)) if columns else ()
        made = m.new((*lead, *(sizes[c] for c in tail)), a.dtype, order)
        m.work(m.bytes(amount(beside) * each, a.dtype))
        m.moved(*args.arrays, made)
        return made

    return run


def _solve_triangular(m: Machine, args: Args) -> Array:
    a, b = args.array(0), args.array(1)
    lead = broadcast([a.shape[:-2], b.shape[:-2]])
    shape = (*lead, a.shape[-1], b.shape[-1])
    m.flops("linalg", product(shape) * a.shape[-1])
    places = tuple(range(len(lead)))
    result = m.new(shape, a.dtype, (*places, len(lead) + 1, len(lead)))
    m.moved(a, b, result)
    return result


# ---------------------------------------------------------------- draws


def _draw(words: int, replicated: int, *, flops: int = 0, dtype: str = "double") -> Form:
    """Keyed numbers: integer work is no arithmetic; ``flops`` are those of the transform (Box-Muller and the like).

    ``words`` of 8 bytes an element are in use at most (Philox: ten rounds on 16-bit halves; rejection: one attempt with
    everything still waiting), ``replicated`` more where each replica has a key.
    """

    def run(m: Machine, args: Args) -> Array:
        draws, last = args.given[0], args.given[-1]
        replicas = draws.size if isinstance(draws, Host) else None
        if isinstance(last, Array):
            shape = last.shape
        else:
            shape = tuple(map(size_of, last)) if isinstance(last, tuple) else ()
            shape = shape if replicas is None else (replicas, *shape)
        count = product(shape)
        m.work(m.bytes(count, dtype) * (words + (replicated if replicas is not None else 0)))
        result = m.new(shape, dtype)
        m.flops("elementwise", count * flops)
        m.moved(result)
        return result

    return run


def _python(*, gradient: bool) -> Form:
    """A call of Python, of whose inside nothing is known: its arguments are read and its result is written."""

    def run(m: Machine, args: Args) -> Value:
        arrays = [x for x in _items(args.given[2]) if isinstance(x, Array)]
        lead = size_of(args.given[3]).at({})
        of = _items(args.given[4])[size_of(args.given[6]).at({})] if gradient else args.given[5]
        sizes = [size_of(n) for group in _items(of) for n in _items(group)]
        result = m.new((*broadcast([x.shape[:lead] for x in arrays]), *sizes), "real")
        m.moved(*arrays, result)
        return result

    return run


def _items(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else ()


_THIRD = Fraction(1, 3)
_EIGH: Counts = {"iii": 9}
_SVD: Counts = {"ijk": 14, "kkk": 8}
_EIGH_SCRATCH: Counts = {"ii": 2, "i": 12}
_POLAR_VJP: Counts = {"ijk": 5, "jkk": 2, "ikk": 2}

COMPOSITES: dict[str, Form] = {
    "rt.softplus": pointwise("float"),
    "rt.minimum": _extremum,
    "rt.maximum": _extremum,
    "rt.xlogy": _xlogy,
    "rt.softmax": _guarded(softmax, arrays=2),
    "rt.log_softmax": _guarded(softmax, arrays=1, masks=1),
    "rt.logsumexp": _guarded(logsumexp),
    "rt.max": _best,
    "rt.min": _best,
    "rt.prod": _prod,
    "rt.rank": _rank,
    "rt.revcumsum": _revcumsum,
    "rt.scatter_add": _scatter_add,
    "rt.place": _place,
    "rt.inside": _inside,
    "rt.expand": _spread,
    "rt.check_finite": _check_finite,
    "rt.matpow": _linalg(_EIGH, {"iii": 1}, before={"ii": 2}, scratch=_EIGH_SCRATCH, beside={"ii": 2}),
    "rt.matpow_vjp": _linalg(_EIGH, {"iii": 4}, before={"ii": 7, "i": 12}),
    "rt.polar": _linalg(_SVD, {"ijk": 1}, beside={"ik": 1, "jk": 1}),
    "rt.polar_vjp": _linalg(_SVD, _POLAR_VJP, before={"ij": 5, "kk": 4}),
    "rt.logdet": _linalg({"iii": 2 * _THIRD}, {}, tail="", before={"ii": 1, "i": 4}),
    "rt.inverse": _linalg({"iii": 2}, {}, beside={"ii": 1}, columns=True),
    "rt.cholesky": _linalg({"iii": _THIRD}, {}, beside={"ii": 1}, columns=True),
    "rt.eigvals": _linalg({"iii": 4 * _THIRD}, {}, tail="i", before={"ii": 2}, scratch={"ii": 1}),
    "rt.eigvecs": _linalg(_EIGH, {}, before={"ii": 2}, scratch=_EIGH_SCRATCH, columns=True),
    "rt.solve_triangular": _solve_triangular,
    "rt.extern": _python(gradient=False),
    "rt.extern_vjp": _python(gradient=True),
}

DRAWS: dict[str, Form] = {
    "uniform": _draw(18, 5),
    "normal": _draw(18, 5, flops=5),
    "gamma": _draw(26, 6, flops=30),
    "poisson": _draw(26, 6, flops=40, dtype="int"),
}
