"""Arithmetic modulo 2^61 - 1 on arrays, against Python's whole numbers."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dltc.compiler.graph import modular as m

EDGES = [0, 1, 2, 2**31 - 1, 2**31, 2**60, m.P - 2, m.P - 1]
NUMBERS = st.one_of(st.sampled_from(EDGES), st.integers(0, m.P - 1))
ARRAYS = st.lists(NUMBERS, min_size=1, max_size=70)


@pytest.fixture(autouse=True)
def _wrapping() -> Iterator[None]:
    """Numbers of 64 bits wrap around on purpose."""
    with np.errstate(all="ignore"):
        yield


def array(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


@settings(max_examples=60, deadline=None)
@given(ARRAYS, st.data())
def test_arithmetic(a: list[int], data: st.DataObject) -> None:
    b = data.draw(st.lists(NUMBERS, min_size=len(a), max_size=len(a)))
    x, y = array(a), array(b)
    with np.errstate(all="ignore"):
        assert m.plus(x, y).tolist() == [(i + j) % m.P for i, j in zip(a, b, strict=True)]
        assert m.minus(x, y).tolist() == [(i - j) % m.P for i, j in zip(a, b, strict=True)]
        assert m.times(x, y).tolist() == [i * j % m.P for i, j in zip(a, b, strict=True)]
        assert m.inverse(x).tolist() == [pow(i, -1, m.P) if i else 0 for i in a]
        assert m.power(x, 5).tolist() == [pow(i, 5, m.P) for i in a]
        assert m.power(x, -2).tolist() == [pow(i, -2, m.P) if i else 0 for i in a]
        assert int(m.total(x, (0,))) == sum(a) % m.P
        assert int(m.product(x, 0)) == reduce(lambda i, j: i * j % m.P, a, 1)
        assert m.running(x, 0).tolist() == [sum(a[: k + 1]) % m.P for k in range(len(a))]


@pytest.mark.parametrize("size", [3, 40])
def test_contractions_small_and_by_limbs(size: int) -> None:
    rng = np.random.default_rng(size)
    a, b = (rng.integers(0, m.P, shape, dtype=np.uint64) for shape in ((2, size, size), (size, size)))
    a[0, 0], b[0] = m.P - 1, m.P - 1
    expected = np.einsum("aij,jk->aik", a.astype(object), b.astype(object)) % m.P
    assert np.array_equal(m.contracted(a, [0, 1, 2], b, [2, 3], [0, 1, 3]).astype(object), expected)


def test_a_sum_that_floats_could_not_hold_is_refused() -> None:
    big = np.broadcast_to(m.number(1), (2**11, 2**11))
    with pytest.raises(OverflowError, match="products in one sum"):
        m.contracted(big, [0, 1], big, [0, 1], [])


@given(st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_constants_are_the_rationals_that_they_are(value: float) -> None:
    exact = Fraction(value)
    assert int(m.residues(value)) * exact.denominator % m.P == exact.numerator % m.P


def test_infinities_are_unknown_numbers() -> None:
    assert len({int(m.residues(v)) for v in (float("inf"), float("-inf"), 0.0, 1.0)}) == 4
