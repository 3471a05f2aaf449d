"""Canonical terms: expressions in a form in which meaning-preserving rewriting of the text leaves no trace.

A term is interned, so two expressions are the same exactly when their numbers are.  What is normalised here is what a
spec may write in several ways: nested sums and products are flattened, a number in front is kept apart from what it
scales, the order of operands of commutative operations is dropped, equal numbers have one spelling.  Everything done is
an identity of real arithmetic; floating point may round the two spellings differently.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from ..graph.node import base

LIMIT = 128
"""A flattened sum or product with more operands stays whole inside another: flattening must not become quadratic."""

_LARGEST = 1e300

Number = bool | int | float
Role = tuple[str, tuple[str, ...]]
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Term:
    """One operation of the canonical form.

    ``facts`` holds what is no name (constants, kinds), ``entity`` the named thing that a leaf reads, ``roles`` the
    indices that the operation itself mentions, ``operands`` the numbers of its terms (sorted unless their order has
    meaning), ``bound`` the indices that end here.
    """

    op: str
    facts: tuple[Hashable, ...]
    entity: str | None
    roles: tuple[Role, ...]
    operands: tuple[int, ...]
    bound: frozenset[str]
    free: frozenset[str]
    dtype: str

    @property
    def ordered(self) -> bool:
        """Whether the order of the operands has a meaning."""
        return self.op not in _UNORDERED and not (self.dtype == "bool" and self.op in JUNCTIONS)


JUNCTIONS = ("minimum", "maximum")
"""Of bools they are `and` and `or`; of numbers the gradient of a tie goes to the first operand."""

_UNORDERED = frozenset({"contract", "add", "eq", "ne"})


def typed(value: Number) -> tuple[Hashable, ...]:
    """A number with its type: 1, 1.0 and True are three constants, 0.0 and -0.0 one."""
    return (type(value).__name__, value + 0.0 if isinstance(value, float) else value)


def arithmetic(dtypes: Iterable[str]) -> str:
    """The dtype of a sum or product: bools count as 0 and 1."""
    return "real" if "real" in dtypes else "int"


def _product(factors: Iterable[Number]) -> Number | None:
    """The product, in an order of its own; None where no finite number holds it."""
    found: Number = 1
    if 0 in (factors := sorted(factors)):
        return 0 if all(map(math.isfinite, factors)) else None
    for factor in factors:
        if not math.isfinite(factor) or abs(found) > _LARGEST:
            return None
        found = found * factor
        if found == 0 and factor != 0:
            return None  # 0 for want of digits
    return found if abs(found) < _LARGEST else None


class Terms:
    """Owns the terms of one comparison.  Operands have smaller numbers than their users."""

    def __init__(self) -> None:
        self.items: list[Term] = []
        self._numbers: dict[tuple[Hashable, ...], int] = {}

    def __getitem__(self, number: int) -> Term:
        return self.items[number]

    def make(
        self,
        op: str,
        operands: Sequence[int] = (),
        *,
        facts: tuple[Hashable, ...] = (),
        entity: str | None = None,
        roles: tuple[Role, ...] = (),
        bound: frozenset[str] = NONE,
        free: frozenset[str] = NONE,
        dtype: str = "real",
    ) -> int:
        """The number of the term with this content, as it stands: nothing is normalised."""
        key = (op, facts, entity, roles, tuple(operands), bound, free, dtype)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.items)
            self.items.append(Term(op, facts, entity, roles, tuple(operands), bound, free, dtype))
        return number

    # ------------------------------------------------------------ numbers

    def constant(self, value: Number) -> int:
        """A number."""
        dtype = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "real"
        return self.make("const", facts=typed(value), dtype=dtype)

    def value(self, number: int) -> Number | None:
        """The value of a constant term, else None."""
        item = self.items[number]
        found = item.facts[1] if item.op == "const" else None
        return found if isinstance(found, (bool, int, float)) else None

    def _in(self, value: Number, dtype: str) -> Number:
        """A number in the dtype of the sum or product it stands in."""
        return float(value) if dtype == "real" else int(value)

    # ------------------------------------------------------------ products

    def scale(self, factor: Number, number: int) -> int:
        """``factor`` times a term; -1 goes into a sum, so that -(a - b) is b - a."""
        item = self.items[number]
        dtype = arithmetic(("real" if isinstance(factor, float) else "int", item.dtype))
        factor = self._in(factor, dtype)
        if item.op == "const":
            both = _product([factor, self.value(number) or 0])
            if both is not None:
                return self.constant(self._in(both, dtype))
        if item.op == "scale":
            inner = item.facts[1]
            assert isinstance(inner, (int, float))
            both = _product([factor, inner])
            if both is not None:
                return self.scale(self._in(both, dtype), item.operands[0])
        if factor == -1 and item.op == "add":
            return self.add([self.scale(factor, part) for part in item.operands])
        if factor == 1 and item.dtype == dtype:
            return number
        return self.make("scale", [number], facts=typed(factor), free=item.free, dtype=dtype)

    def product(self, numbers: Iterable[int], bound: frozenset[str] = NONE) -> int:
        """The product of terms, summed over the labels ``bound``."""
        numbers = list(numbers)
        dtype = arithmetic([self.items[n].dtype for n in numbers])
        factors, cores = self._apart(numbers)
        coefficient = _product(factors)
        if coefficient is None:
            cores, coefficient = [*cores, *map(self.constant, factors)], 1
        cores, bound = self._spliced(cores, bound)
        if not cores:
            return self.constant(self._in(coefficient, dtype))
        if bound or len(cores) > 1:
            free = NONE.union(*(self.items[n].free for n in cores)) - bound
            roles = (("sum", tuple(sorted(bound))),)
            inner = arithmetic([self.items[n].dtype for n in cores])
            core = self.make("contract", sorted(cores), roles=roles, bound=bound, free=free, dtype=inner)
        else:
            core = cores[0]
        return self.scale(self._in(coefficient, dtype), core)

    def _apart(self, numbers: Iterable[int]) -> tuple[list[Number], list[int]]:
        """Numbers and the rest."""
        factors: list[Number] = []
        cores: list[int] = []
        for number in numbers:
            item, value = self.items[number], self.value(number)
            if value is not None:
                factors.append(value)
            elif item.op == "scale" and isinstance(item.facts[1], (int, float)):
                factors.append(item.facts[1])
                cores.append(item.operands[0])
            else:
                cores.append(number)
        return factors, cores

    def _spliced(self, cores: list[int], bound: frozenset[str]) -> tuple[list[int], frozenset[str]]:
        """Inner products become part of this one, their sums too where no other label is over the same axis.

        That condition keeps labels apart, and makes the label of a sum the same wherever it is written.
        """
        if all(self.items[n].op != "contract" for n in cores):
            return cores, bound
        around = {base(label) for n in cores for label in self.items[n].free} | {base(label) for label in bound}
        inner = [n for n in cores if self.items[n].op == "contract" and len(self.items[n].operands) <= LIMIT]
        fitting = frozenset(inner)
        uses = Counter(base(label) for n in inner for label in self.items[n].bound)
        out: list[int] = []
        for number in cores:
            item = self.items[number]
            sums = [base(label) for label in item.bound]
            if number in fitting and all(uses[b] == 1 and b not in around for b in sums):
                out += item.operands
                bound |= item.bound
            else:
                out.append(number)
        return out, bound

    # ------------------------------------------------------------ sums

    def add(self, numbers: Iterable[int]) -> int:
        """The sum of terms."""
        parts: list[int] = []
        for number in numbers:
            item = self.items[number]
            parts += item.operands if item.op == "add" and len(item.operands) <= LIMIT else [number]
        dtype = arithmetic([self.items[n].dtype for n in parts])
        values = [v for v in map(self.value, parts) if v is not None]
        rest = [n for n in parts if self.value(n) is None]
        total = self._total(values, dtype)
        if total is None:
            rest += [self.constant(self._in(v, dtype)) for v in values]
        elif total != 0 or not rest:
            rest.append(self.constant(self._in(total, dtype)))
        if len(rest) == 1 and self.items[rest[0]].dtype == dtype:
            return rest[0]
        free = NONE.union(*(self.items[n].free for n in rest))
        return self.make("add", sorted(rest), free=free, dtype=dtype)

    def _total(self, values: list[Number], dtype: str) -> Number | None:
        """The sum, None where it is not finite."""
        if not all(map(math.isfinite, values)):
            return None
        try:
            total = math.fsum(values) if dtype == "real" else sum(values)
        except OverflowError:
            return None
        return total if abs(total) < _LARGEST else None

    # ------------------------------------------------------------ and, or

    def junction(self, op: str, numbers: Iterable[int]) -> int:
        """`and` (minimum) and `or` (maximum) of bools: order, grouping and repetition mean nothing."""
        parts: set[int] = set()
        for number in numbers:
            item = self.items[number]
            parts |= set(item.operands) if item.op == op and item.dtype == "bool" else {number}
        if len(parts) == 1:
            return parts.pop()
        free = NONE.union(*(self.items[n].free for n in parts))
        return self.make(op, sorted(parts), free=free, dtype="bool")
