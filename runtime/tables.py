"""The tables that an emitted module carries about itself.  Importable without torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Slot:
    """One persistent tensor.

    Attributes:
        path: where it lives: ``W``, ``h.W``, ``h.W@m``; also its key in ``state_dict()`` and in a checkpoint.
        role: ``param`` (a parameter), ``rule`` (an update rule's state), ``domain`` (the signs of a
            `signed` parameter), ``state`` (a model state).
        axes: names of its axes, a family's first.
        shape: sizes of these axes.
        domain: domain of a parameter, as written.
        frozen: no rule moves it; it takes no gradient.
        dtype: ``real`` (the module's dtype), ``int`` or ``bool``.
        support: ``dense``, or the name of its sparsity pattern.
    """

    path: str
    role: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    domain: str | None = None
    frozen: bool = False
    dtype: str = "real"
    support: str = "dense"


@dataclass(frozen=True, slots=True)
class End:
    """One axis of an input that ends per example.

    Attributes:
        dim: the dimension it stands in, without batch.
        axis: its name; the input of that name holds the lengths.
        before: entries before it in the product axis of that dimension, 1 where it stands alone.
        after: entries after it there.
    """

    dim: int
    axis: str
    before: int = 1
    after: int = 1


@dataclass(frozen=True, slots=True)
class Input:
    """One input: batch first, then ``axes``.

    Attributes:
        name: its name in the spec.
        axes: declared axes, without batch.
        shape: their sizes; None where the size comes from data.
        kind: ``real``, ``bool``, ``int``, ``label``, or ``length``: where the axis of that name ends in each example.
        labels: number of labels of a ``label``.
        first: its first label.
        ends: which of its axes end per example; beyond its end an entry does not exist.
        support: where its density lets data lie: the lower end, whether that is left out, the upper end (None: none), and the
            distribution's name.  Known from the manifest only.
        axis: the axis of the labels of a ``label``.  Known from the manifest only.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int | None, ...]
    kind: str
    labels: int | None = None
    first: int = 0
    ends: tuple[End, ...] = ()
    support: tuple[float, bool, float | None, str] | None = None
    axis: str | None = None

    def declared(self) -> str:
        """``x[batch, pix]`` with the sizes that are known: ``x[batch, pix = 64]``."""
        parts = [a if n is None else f"{a} = {n}" for a, n in zip(self.axes, self.shape, strict=True)]
        return f"{self.name}[{', '.join(['batch', *parts])}]"


@dataclass(frozen=True, slots=True)
class Metric:
    """One reported number: ``kind`` says how the statistics ``stats`` become it (see :mod:`.metrics`)."""

    key: str
    kind: str
    stats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assert:
    """What must hold when training ends.

    Attributes:
        text: the condition as written.
        place: its line in the spec.
        ops: the comparisons between the operands; none: the one operand must not be 0.
        operands: each the name of a statistic, or a metric.
        texts: the operands as written.
        axes: name and first label of each axis of the statistics, after the batch.
        batched: do they have a batch, as first axis?
        whole: does an operand reduce over the examples, so that all must be looked at at once?
    """

    text: str
    place: str
    ops: tuple[str, ...]
    operands: tuple[str | Metric, ...]
    texts: tuple[str, ...]
    axes: tuple[tuple[str, int], ...] = ()
    batched: bool = False
    whole: bool = False


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """``; did you mean `x`?`` or nothing."""
    hits = get_close_matches(name, sorted(candidates), n=1)
    return f"; did you mean `{hits[0]}`?" if hits else ""
