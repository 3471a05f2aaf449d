"""The vocabulary of generated specs: axes, tensors, expression texts, and how a tensor is read under open indices.

Nothing here imports the compiler: what is well typed is decided by the language's own rules, so that a mistake of the
front end cannot hide in the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

T = TypeVar("T")

COMPARE, SUM, PRODUCT, POWER, ATOM = range(5)
"""How strongly a text binds: an operand that binds weaker than its place needs gets parentheses."""


@dataclass(frozen=True)
class Choices:
    """Where decisions come from: ``integer(low, high)``, both ends included; the lowest is the simplest."""

    integer: Callable[[int, int], int]

    def pick(self, items: Sequence[T]) -> T:
        """One of the items; the first is the simplest."""
        return items[self.integer(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        """True so often; False is simpler."""
        return self.integer(0, 99) >= 100 - percent

    def some(self, items: Sequence[T], least: int, most: int) -> list[T]:
        """Between ``least`` and ``most`` of the items, in any order."""
        rest, chosen = list(items), list[T]()
        for _ in range(min(len(rest), self.integer(least, most))):
            chosen.append(rest.pop(self.integer(0, len(rest) - 1)))
        return chosen

    def weighted(self, items: Sequence[tuple[int, T]]) -> T:
        """One of the items of (weight, item)."""
        place = self.integer(0, sum(weight for weight, _ in items) - 1)
        for weight, item in items:
            place -= weight
            if place < 0:
                return item
        raise AssertionError("the weights add up")


@dataclass(frozen=True)
class Axis:
    """A declared axis: ``size`` None is bound by the data, several ``parts`` make a product, ``low`` is its first label."""

    name: str
    size: int | None
    parts: tuple[str, ...]
    low: int
    text: str


@dataclass(frozen=True)
class Column:
    """How an input's data is made: real, positive, simplex, bool, count, label (one of ``labels``), or the length of
    an axis."""

    kind: str
    axes: tuple[str, ...]
    labels: int = 0


@dataclass(frozen=True)
class Tensor:
    """A declared name.  ``declared`` are its indices as written; ``raw``: no two entries are equal (a parameter or a real
    input), so that nothing ties; ``low`` and ``high`` bound its values."""

    name: str
    declared: tuple[str, ...]
    dtype: str = "real"
    label: str | None = None
    batched: bool = False
    raw: bool = False
    low: float = -4.0
    high: float = 4.0


@dataclass(frozen=True)
class E:
    """An expression's text and what is known of it: leaf indices, dtype, bounds, how strongly it binds."""

    text: str
    axes: frozenset[str] = frozenset()
    dtype: str = "real"
    low: float = -4.0
    high: float = 4.0
    rank: int = ATOM
    batched: bool = False

    def at(self, rank: int) -> str:
        """The text for a place that needs so strong a binding."""
        return self.text if self.rank >= rank else f"({self.text})"

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))


def known(*parts: E) -> dict[str, Any]:
    """Axes and batch of something computed from parts."""
    return {"axes": frozenset[str]().union(*(p.axes for p in parts)), "batched": any(p.batched for p in parts)}


def number(value: float) -> E:
    """A constant."""
    dtype = "int" if isinstance(value, int) else "real"
    return E(repr(value), low=value, high=value, dtype=dtype, rank=ATOM if value >= 0 else PRODUCT)


def call(name: str, *args: E, over: str = "", low: float = -4.0, high: float = 4.0, dtype: str = "real") -> E:
    """``name[over](args)`` with the axes of its arguments."""
    brackets = f"[{over}]" if over else ""
    return E(f"{name}{brackets}({', '.join(a.text for a in args)})", low=low, high=high, dtype=dtype, **known(*args))


def add(a: E, b: E, *, minus: bool = False) -> E:
    """a + b or a - b."""
    low, high = (a.low - b.high, a.high - b.low) if minus else (a.low + b.low, a.high + b.high)
    text = f"{a.at(SUM)} {'-' if minus else '+'} {b.at(PRODUCT)}"
    return E(text, low=low, high=high, dtype=_dtype(a, b), rank=SUM, **known(a, b))


def mul(a: E, b: E) -> E:
    """a * b."""
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    text = f"{a.at(PRODUCT)} * {b.at(POWER)}"
    return E(text, low=min(corners), high=max(corners), dtype=_dtype(a, b), rank=PRODUCT, **known(a, b))


def div(a: E, b: E) -> E:
    """a / b for a positive b."""
    corners = [x / y for x in (a.low, a.high) for y in (b.low, b.high)]
    return E(f"{a.at(PRODUCT)} / {b.at(POWER)}", low=min(corners), high=max(corners), rank=PRODUCT, **known(a, b))


def _dtype(*parts: E) -> str:
    return "real" if any(p.dtype == "real" for p in parts) else "int"


def within(e: E, limit: float) -> E:
    """The expression, scaled down when its bounds are wider than the limit."""
    if e.largest <= limit:
        return e
    factor = float(f"{limit / e.largest:.1e}")
    return mul(number(factor), e)


def base(index: str) -> str:
    """The axis of an index."""
    return index.rstrip("'")


def primes(index: str) -> str:
    """The primes of an index."""
    return index[len(base(index)) :]


@dataclass
class Scene:
    """What a spec has declared so far, and the choices by which it goes on."""

    choose: Choices
    axes: dict[str, Axis] = field(default_factory=dict[str, Axis])
    tensors: list[Tensor] = field(default_factory=list[Tensor])
    columns: dict[str, Column] = field(default_factory=dict[str, Column])
    lets: dict[str, float] = field(default_factory=dict[str, float])
    names: set[str] = field(default_factory=set[str])

    # ------------------------------------------------------------ names and axes

    def fresh(self, wanted: str) -> str:
        """The name, with a number after it when it is taken."""
        name, k = wanted, 1
        while name in self.names:
            k += 1
            name = f"{wanted}{k}"
        self.names.add(name)
        return name

    def leaves(self, declared: Iterable[str]) -> tuple[str, ...]:
        """The leaf indices of indices as written."""
        return tuple(part + primes(d) for d in declared for part in self.axes[base(d)].parts)

    def plain(self, *, data: bool = True) -> list[Axis]:
        """The axes that are no product."""
        return [a for a in self.axes.values() if a.parts == (a.name,) and (data or a.size is not None)]

    def most(self, index: str) -> int:
        """The size of an index; for one bound by the data, the most that the data will have."""
        size = self.axes[base(index)].size
        return 4 if size is None else size

    def outside(self, open_: Collection[str]) -> list[str]:
        """One index over each plain axis that is not open: what a reduction or a product may bind."""
        found: list[str] = []
        for axis in self.plain():
            index = axis.name
            while index in open_:
                index += "'"
            if len(primes(index)) <= 2:
                found.append(index)
        return found

    # ------------------------------------------------------------ reading

    def read(
        self,
        tensor: Tensor,
        open_: Collection[str],
        force: Mapping[str, str] | None = None,
        instead: Mapping[int, E] | None = None,
    ) -> E:
        """A read of a tensor under open indices.

        ``force`` gives leaves of the tensor an index.  Every other position gets an open index over its axis, where there
        is one, else a computed label.  ``instead`` are positions written otherwise.
        """
        at: list[str] = []
        parts: list[E] = []
        for k, declared in enumerate(tensor.declared):
            if instead and k in instead:
                at.append(instead[k].text)
                parts.append(instead[k])
                continue
            leaves = self.leaves([declared])
            first = self._leaf(leaves[0], open_, force or {})
            if len(leaves) > 1 and not self._splits(first, leaves, force or {}):
                places = [self._whole(declared, open_)]
            else:
                places = [first, *(self._leaf(leaf, open_, force or {}) for leaf in leaves[1:])]
            at += [p.text for p in places]
            parts += places
        if at == list(tensor.declared) and self.choose.chance(30):
            at = at[: self.choose.integer(0, len(at))]  # missing trailing positions are the declared ones
        text = f"{tensor.name}[{', '.join(at)}]" if at else tensor.name
        about = known(E("", batched=tensor.batched), *parts)
        return E(text, dtype=tensor.dtype, low=tensor.low, high=tensor.high, **about)

    def _splits(self, first: E, leaves: Sequence[str], force: Mapping[str, str]) -> bool:
        """Is a product position written part by part?  Its first part must be a plain index: a computed label there is
        one of the whole product."""
        if base(first.text) != base(leaves[0]):
            return False
        return any(leaf in force for leaf in leaves) or self.choose.chance(50)

    def _whole(self, declared: str, open_: Collection[str]) -> E:
        """A product position as one: an index of the product, or a computed label of it."""
        for level in ("", "'"):
            leaves = self.leaves([base(declared) + level])
            if all(leaf in open_ for leaf in leaves):
                return E(base(declared) + level, frozenset(leaves))
        return self.label(self.axes[base(declared)], open_)

    def _leaf(self, leaf: str, open_: Collection[str], force: Mapping[str, str]) -> E:
        """One leaf position: the forced index, an open one over the same axis, or a computed label."""
        if leaf in force:
            return E(force[leaf], frozenset({force[leaf]}))
        options = sorted((i for i in open_ if base(i) == base(leaf)), key=lambda i: (i != leaf, i))
        if options and not self.choose.chance(8):
            index = self.choose.pick(options)
            return E(index, frozenset({index}))
        return self.label(self.axes[base(leaf)], open_)

    def label(self, axis: Axis, open_: Collection[str]) -> E:
        """A computed label of an axis: a constant, an end, a label input, or integer arithmetic."""
        choose = self.choose
        options: list[tuple[int, Callable[[], E]]] = [(2, lambda: E("first")), (2, lambda: E("last"))]
        if axis.size is not None:
            last = axis.low + axis.size - 1
            options.insert(0, (4, lambda: E(str(choose.integer(axis.low, last)))))
        for tensor in self.tensors:
            if tensor.dtype != "int" or not set(self.leaves(tensor.declared)) <= set(open_):
                continue
            if tensor.label == axis.name:
                options.append((12, lambda t=tensor: self.read(t, open_)))
            options.append((3, lambda t=tensor: self._brought(add(self.read(t, open_), number(1)), axis)))
        for index in sorted(open_):
            if base(index) in self.axes and self.axes[base(index)].low >= 0:
                place = E(index, frozenset({index}), "int", 0, 4)
                options.append((3, lambda p=place: self._brought(add(mul(number(2), p), number(1)), axis)))
        return choose.weighted(options)()

    def _brought(self, value: E, axis: Axis) -> E:
        """A whole number brought onto an axis by a remainder (sums and multiples alone would mean a window)."""
        text = f"{value.at(ATOM)} % size({axis.name})"
        if axis.low:
            text = f"({text}) {'+' if axis.low > 0 else '-'} {abs(axis.low)}"
        return replace(value, text=text, rank=SUM)
