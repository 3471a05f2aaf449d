"""Arithmetic of the prime field of P = 2^61 - 1 on arrays of uint64, and a hash into it.

Residues are in 0 .. P - 1.  A polynomial identity that is wrong holds at a random point with a probability of at most
degree / P (Schwartz, 1980): there is no rounding behind which it could hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from hashlib import blake2b
from typing import Any

import numpy as np

from .labeled import Array

P = 2**61 - 1

_LIMB = 16
"""Bits of a limb: sums of up to 2^21 products of two limbs are exact in float64."""
_MOST = 2**20
_SMALL = 2**14
"""So many products are rather made one by one."""
_FEW = 32
_HALF = np.uint64(2**31 - 1)


def number(n: int) -> Array:
    """A whole number of 64 bits as it is."""
    return np.asarray(n, dtype=np.uint64)


def residues(values: Any) -> Array:
    """Python numbers (whole, or floats taken as the exact rationals that they are) as residues; other floats (inf) as
    unknown numbers of their own."""
    flat = np.asarray(values, dtype=object).ravel()
    return np.array([_residue(v) for v in flat], dtype=np.uint64).reshape(np.shape(values))


def _residue(value: Any) -> int:
    try:
        exact = Fraction(value)
    except (OverflowError, ValueError):
        return key(repr(float(value))) % P
    return exact.numerator * pow(exact.denominator, -1, P) % P


def _reduced(x: Array) -> Array:
    """A residue of any uint64."""
    x = (x & np.uint64(P)) + (x >> np.uint64(61))
    return np.minimum(x, x - np.uint64(P))  # what falls below 0 becomes large


def plus(a: Array, b: Array) -> Array:
    """a + b."""
    return _reduced(a + b)


def minus(a: Array, b: Array) -> Array:
    """a - b."""
    return _reduced(a + (np.uint64(P) - b))


def times(a: Array, b: Array) -> Array:
    """a * b, from halves of 31 bits: 2^62 is 2, and 2^31 times the middle is cut at 2^61."""
    high_a, low_a = a >> np.uint64(31), a & _HALF
    high_b, low_b = b >> np.uint64(31), b & _HALF
    middle = high_a * low_b + low_a * high_b
    shifted = (middle >> np.uint64(30)) + ((middle & np.uint64(2**30 - 1)) << np.uint64(31))
    return _reduced(_reduced((high_a * high_b << np.uint64(1)) + shifted) + low_a * low_b)


def power(a: Array, exponent: int) -> Array:
    """a ^ exponent for a whole exponent; a negative power of 0 is 0."""
    exponent = exponent if exponent >= 0 else -exponent * (P - 2)
    result = np.ones_like(a)
    for bit in f"{exponent:b}":
        result = times(result, result)
        if bit == "1":
            result = times(result, a)
    return result


def inverse(a: Array) -> Array:
    """1 / a; 0 of 0."""
    filled = np.where(a == 0, np.uint64(1), a)
    return np.where(a == 0, np.uint64(0), _inverses(filled.ravel()).reshape(a.shape))


def _inverses(a: Array) -> Array:
    """1 / x = y (1 / xy) and 1 / y = x (1 / xy): in pairs, and in pairs of pairs (Montgomery, 1987)."""
    if len(a) <= _FEW:
        return np.array([pow(int(x), -1, P) for x in a], dtype=np.uint64)
    if len(a) % 2:
        return _inverses(np.append(a, np.uint64(1)))[:-1]
    left, right = np.split(a, 2)
    both = _inverses(times(left, right))
    return np.concatenate([times(both, right), times(both, left)])


def total(a: Array, axes: tuple[int, ...]) -> Array:
    """The sum over axes."""
    if not axes:
        return a
    low = np.asarray(np.sum(a & np.uint64(2**32 - 1), axis=axes, dtype=np.uint64))
    high = np.asarray(np.sum(a >> np.uint64(32), axis=axes, dtype=np.uint64))
    return plus(_reduced(low), times(_reduced(high), number(2**32)))


def product(a: Array, axis: int) -> Array:
    """The product over an axis."""
    return reduce(times, np.moveaxis(a, axis, 0), np.ones(np.delete(a.shape, axis), dtype=np.uint64))


def running(a: Array, axis: int) -> Array:
    """The running sum along an axis."""
    out = np.array(np.moveaxis(a, axis, 0))
    for k in range(1, len(out)):
        out[k] = plus(out[k], out[k - 1])
    return np.moveaxis(out, 0, axis)


def contracted(a: Array, at: Sequence[int], b: Array, bt: Sequence[int], kept: Sequence[int]) -> Array:
    """The sum of products over what is not kept, as in ``np.einsum(a, at, b, bt, kept)``: products of limbs are summed in
    float64, where they are exact.

    Raises:
        OverflowError: too many products are summed.
    """
    size = {
        label: n for labels, shape in ((at, a.shape), (bt, b.shape)) for label, n in zip(labels, shape, strict=True)
    }
    if np.prod([n for label, n in size.items() if label not in kept], dtype=float) > _MOST:
        raise OverflowError(f"more than {_MOST} products in one sum")
    if np.prod([*size.values()], dtype=float) <= _SMALL:
        labels = [*kept, *(label for label in size if label not in kept)]
        every = times(_over(a, at, labels), _over(b, bt, labels))
        return total(every, tuple(range(len(kept), len(labels))))
    left, right = _limbs(a), _limbs(b)
    result = np.zeros([size[label] for label in kept], dtype=np.uint64)
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            part: Array = np.einsum(x, [*at], y, [*bt], [*kept], optimize=True)
            shift = number(pow(2, _LIMB * (i + j), P))
            result = plus(result, times(part.astype(np.uint64), shift))
    return result


def _over(a: Array, at: Sequence[int], labels: Sequence[int]) -> Array:
    """The array over all labels, with length 1 along those that it lacks."""
    data = a.transpose([at.index(label) for label in labels if label in at])
    return data[tuple(slice(None) if label in at else np.newaxis for label in labels)]


def _limbs(a: Array) -> list[Array]:
    mask = np.uint64(2**_LIMB - 1)
    return [((a >> np.uint64(k)) & mask).astype(np.float64) for k in range(0, 61, _LIMB)]


# hashing: what is unknown is a random function


def key(text: str) -> int:
    """64 bits of a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def mixed(h: Array, x: Array) -> Array:
    """A hash of a hash and further bits, entry by entry (the finalizer of splitmix64)."""
    z = (h * np.uint64(0x9E3779B97F4A7C15)) ^ (x + np.uint64(0xD1B54A32D192ED03))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def unknown(h: Array) -> Array:
    """The residue of a hash."""
    return _reduced(mixed(h, number(0)))
