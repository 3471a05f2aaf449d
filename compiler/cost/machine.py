"""The abstract machine that emitted code is run on: arrays with sizes and strides but no numbers.

It counts arithmetic and traffic and follows every block of memory from its allocation to its release.  Time is a clock
that ticks with each allocation, so that what is alive at the peak can be told afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .poly import ONE, ZERO, Poly, product

KINDS = ("contraction", "elementwise", "reduction", "linalg")
"""Kinds of arithmetic.  ``contraction``: 2 a multiply-add of a matrix product; ``elementwise``: 1 an element of every
elementwise operation, however hard; ``reduction``: 1 an element read; ``linalg``: leading order of the textbook algorithm
(Golub and Van Loan, Matrix Computations)."""

RANK = ("bool", "int", "real", "double")
"""dtypes, weakest first; ``real`` is the module's, ``double`` always float64."""


@dataclass(slots=True, eq=False)
class Storage:
    """A block of memory.  ``born``, ``bound`` (to a name) and ``died`` are times; ``place`` and ``phase`` say for what."""

    size: Poly
    bytes: int
    role: str
    place: str
    phase: str
    born: int
    bound: int | None = None
    died: int | None = None
    refs: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """A tensor: sizes, strides in elements (0 where it is repeated), dtype, the memory that it lies in."""

    shape: tuple[Poly, ...]
    strides: tuple[Poly, ...]
    dtype: str
    storage: Storage

    @property
    def count(self) -> Poly:
        """Number of elements."""
        return product(self.shape)

    @property
    def distinct(self) -> Poly:
        """Number of elements that are not repeated: what reading it all has to fetch."""
        return product(n for n, step in zip(self.shape, self.strides, strict=True) if step != ZERO)


@dataclass(slots=True)
class Tally:
    """What was counted, at one place or in all."""

    flops: dict[str, Poly] = field(default_factory=lambda: dict.fromkeys(KINDS, ZERO))
    counted: Poly = (
        ZERO  # the part of the contractions that torch.utils.flop_counter counts: no dot, no matrix by vector
    )
    moved: Poly = ZERO

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        for kind in KINDS:
            self.flops[kind] += other.flops[kind]
        self.counted += other.counted
        self.moved += other.moved


class Machine:
    """Counts for one routine.

    Args:
        widths: bytes of an element of each dtype.
        sizes: what the symbols are, where memory is compared.
    """

    def __init__(self, widths: Mapping[str, int], sizes: Mapping[str, int]) -> None:
        self.widths = widths
        self.sizes = sizes
        self.place, self.phase = "", ""
        self.times = ONE  # how often what happens now happens: more than once inside a loop
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.storages: list[Storage] = []
        self.clock = 0
        self.live = 0
        self.peak, self.peak_at, self.peak_work = 0, 0, ZERO

    # ------------------------------------------------------------ memory

    def bytes(self, count: Poly, dtype: str) -> Poly:
        """Bytes of so many elements."""
        return count * self.widths[dtype]

    def new(self, shape: Sequence[Poly], dtype: str, order: Sequence[int] = (), role: str = "temporary") -> Array:
        """A fresh tensor, its dimensions in memory in the given order (as they stand by default)."""
        held = self._allocated(self.bytes(product(shape), dtype), role, self.place, self.phase)
        return Array(tuple(shape), strides(shape, order), dtype, held)

    def _allocated(self, size: Poly, role: str, place: str, phase: str) -> Storage:
        self.clock += 1
        held = Storage(size, size.at(self.sizes), role, place, phase, self.clock)
        self.storages.append(held)
        self.live += held.bytes
        self._look(ZERO)
        return held

    def like(self, array: Array, count: Poly) -> Array:
        """So many further blocks of memory as that of an array, as one."""
        own = array.storage
        held = self._allocated(own.size * count, own.role, own.place, own.phase)
        held.bound = self.clock
        return Array((), (), array.dtype, held)

    def work(self, size: Poly) -> None:
        """Note that so many bytes more are in use at this moment, inside an operation."""
        self.clock += 1
        self._look(size)

    def _look(self, extra: Poly) -> None:
        now = self.live + extra.at(self.sizes)
        if now > self.peak:
            self.peak, self.peak_at, self.peak_work = now, self.clock, extra

    def retain(self, array: Array) -> Array:
        """One more holder of the memory."""
        array.storage.refs += 1
        return array

    def release(self, array: Array) -> None:
        """One holder less; the last one gives it back."""
        held = array.storage
        held.refs -= 1
        if not held.refs:
            held.died = self.clock
            self.live -= held.bytes

    def bind(self, array: Array) -> None:
        """The memory has got a name."""
        if array.storage.bound is None:
            array.storage.bound = self.clock

    # ------------------------------------------------------------ work

    @property
    def tally(self) -> Tally:
        """The counts of the present place and phase."""
        return self.tallies.setdefault((self.place, self.phase), Tally())

    def flops(self, kind: str, amount: Poly, *, counted: bool = False) -> None:
        """Count arithmetic; ``counted``: torch's counter counts it too."""
        tally, amount = self.tally, amount * self.times
        tally.flops[kind] += amount
        if counted:
            tally.counted += amount

    def moved(self, *arrays: Array) -> None:
        """Count reading or writing every element of these once."""
        tally = self.tally
        for array in arrays:
            tally.moved += self.bytes(array.distinct, array.dtype) * self.times


# ---------------------------------------------------------------- shapes


def strides(shape: Sequence[Poly], order: Sequence[int] = ()) -> tuple[Poly, ...]:
    """Strides of a dense tensor whose dimensions lie in memory in this order, the last one fastest."""
    found = [ONE] * len(shape)
    step = ONE
    for k in reversed(order or range(len(shape))):
        found[k] = step
        step = step * shape[k]
    return tuple(found)


def broadcast(shapes: Sequence[tuple[Poly, ...]]) -> tuple[Poly, ...]:
    """The common shape of operands, aligned at the last dimension."""
    longest = max(map(len, shapes))
    padded = [(ONE,) * (longest - len(s)) + s for s in shapes]
    return tuple(next((n for n in sizes if n != ONE), ONE) for sizes in zip(*padded, strict=True))


def expanded(array: Array, shape: Sequence[Poly]) -> Array:
    """A view in which dimensions of size 1, and new leading ones, are repeated."""
    lead = len(shape) - len(array.shape)
    steps = [ZERO] * lead
    for size, step, wanted in zip(array.shape, array.strides, shape[lead:], strict=True):
        steps.append(step if size == wanted and step != ZERO and size != ONE else ZERO if size != wanted else step)
    return Array(tuple(shape), tuple(steps), array.dtype, array.storage)


def viewed(array: Array, shape: Sequence[Poly]) -> Array | None:
    """The elements under another shape without a copy, where the strides allow it (as torch decides)."""
    groups = _groups(array)
    found: list[Poly] = []
    rest = list(shape)
    for size, step in groups:
        mine: list[Poly] = []
        seen = ONE
        while rest and (seen != size or rest[0] == ONE):
            mine.append(rest.pop(0))
            seen = seen * mine[-1]
        if seen != size:
            return None
        steps = strides(mine)
        found += [s * step for s in steps]
    found += [ONE for _ in rest]
    return Array(tuple(shape), tuple(found), array.dtype, array.storage)


def _groups(array: Array) -> list[tuple[Poly, Poly]]:
    """Runs of dimensions that lie behind one another in memory, each as one size and stride."""
    groups: list[tuple[Poly, Poly]] = []
    for size, step in zip(array.shape, array.strides, strict=True):
        if size == ONE:
            continue
        if groups and groups[-1][1] == step * size:
            groups[-1] = groups[-1][0] * size, step
        else:
            groups.append((size, step))
    return groups
