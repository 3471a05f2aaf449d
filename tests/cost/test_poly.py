"""Polynomials against integers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltc.compiler.cost.poly import ONE, ZERO, Poly, number, product, symbol, total

MONOMIALS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 3)).map(lambda d: tuple(sorted(d.items())))
POLYS = st.dictionaries(MONOMIALS, st.integers(-9, 9).filter(bool), max_size=5).map(Poly)
SIZES = st.fixed_dictionaries({s: st.integers(1, 20) for s in "abc"})


@given(POLYS, POLYS, SIZES)
def test_arithmetic_is_that_of_the_values(p: Poly, q: Poly, sizes: dict[str, int]) -> None:
    assert (p + q).at(sizes) == p.at(sizes) + q.at(sizes)
    assert (p - q).at(sizes) == p.at(sizes) - q.at(sizes)
    assert (p * q).at(sizes) == p.at(sizes) * q.at(sizes)
    assert (p * 3 // 3) == p
    assert product([p, q, p]).at(sizes) == p.at(sizes) ** 2 * q.at(sizes)
    assert total([p, q, p]) == p + q + p
    assert p - p == ZERO
    assert p * ONE == p


def test_text_has_the_highest_powers_first() -> None:
    batch, t = symbol("batch"), symbol("t")
    assert str(batch * t * t * 1280 + batch + number(12345678)) == "1,280 batch t^2 + batch + 12,345,678"
    assert str(number(Fraction(1, 3)) * batch) == "0.33 batch"
    assert str(number(Fraction(1, 3)) * 3) == "1"
    assert str(number(Fraction(1, 3)) * symbol("t") * 3000) == "1,000 t"
    assert str(ZERO) == "0"


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple of 2"):
        _ = (symbol("t") + ONE) // 2
    with pytest.raises(KeyError):
        symbol("t").at({"batch": 1})
