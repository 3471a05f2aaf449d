"""Polynomials in the sizes that only the data decides, with exact coefficients: what every cost is.

``1,280 batch + 9,610`` has the symbol ``batch``; an axis bound by the data has its own name as symbol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import prod

Monomial = tuple[tuple[str, int], ...]
"""Symbols with their powers, sorted by name."""

Number = int | Fraction


@dataclass(frozen=True, slots=True)
class Poly:
    """A sum of monomials, each with a coefficient that is not 0."""

    terms: Mapping[Monomial, Number]

    def __add__(self, other: Poly) -> Poly:
        found = dict(self.terms)
        for monomial, factor in other.terms.items():
            found[monomial] = found.get(monomial, 0) + factor
        return Poly({m: c for m, c in found.items() if c})

    def __mul__(self, other: Poly | Number) -> Poly:
        if not isinstance(other, Poly):
            return Poly({m: c * other for m, c in self.terms.items()} if other else {})
        found: dict[Monomial, Number] = {}
        for m, a in self.terms.items():
            for k, b in other.terms.items():
                key = _times(m, k)
                found[key] = found.get(key, 0) + a * b
        return Poly({m: c for m, c in found.items() if c})

    def __sub__(self, other: Poly) -> Poly:
        return self + other * -1

    def __floordiv__(self, number: int) -> Poly:
        """Division that leaves nothing over.

        Raises:
            ValueError: it leaves something.
        """
        if any(c % number for c in self.terms.values()):
            raise ValueError(f"{self} is no multiple of {number}")
        return Poly({m: c // number for m, c in self.terms.items()})

    def at(self, sizes: Mapping[str, int]) -> int:
        """The value where every symbol has a size; rounded down.

        Raises:
            KeyError: a symbol has none.
        """
        return int(sum(c * prod(sizes[s] ** p for s, p in m) for m, c in self.terms.items()))

    def __str__(self) -> str:
        """``1,280 batch + 9,610``: the highest powers first."""
        order = sorted(self.terms, key=lambda m: (-sum(p for _, p in m), m))
        return " + ".join(_term(m, self.terms[m]) for m in order) or "0"


def _times(a: Monomial, b: Monomial) -> Monomial:
    if not a or not b:
        return a or b
    powers = dict(a)
    for symbol, power in b:
        powers[symbol] = powers.get(symbol, 0) + power
    return tuple(sorted(powers.items()))


def _term(monomial: Monomial, factor: Number) -> str:
    symbols = " ".join(s if p == 1 else f"{s}^{p}" for s, p in monomial)
    if symbols and factor == 1:
        return symbols
    number = f"{int(factor):,}" if factor == int(factor) else f"{float(factor):,.2f}"
    return f"{number} {symbols}".rstrip()


ZERO = Poly({})
ONE = Poly({(): 1})


def number(value: Number) -> Poly:
    """A polynomial without symbols."""
    return Poly({(): value} if value else {})


def symbol(name: str) -> Poly:
    """A size that the data decides."""
    return Poly({((name, 1),): 1})


def product(factors: Iterable[Poly]) -> Poly:
    """The product; 1 of nothing."""
    return reduce(Poly.__mul__, factors, ONE)


def total(terms: Iterable[Poly]) -> Poly:
    """The sum; 0 of nothing."""
    found: dict[Monomial, Number] = {}
    for term in terms:
        for monomial, factor in term.terms.items():
            found[monomial] = found.get(monomial, 0) + factor
    return Poly({m: c for m, c in found.items() if c})
