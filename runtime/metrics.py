"""From statistics, batch by batch, to the reported numbers.

A statistic arrives as an array [batch, ..] in the module's dtype; what is summed over many is summed in float64, and
spreads are combined around their own means, so neither the number of batches nor a large mean costs accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import AbiError
from .tables import Metric


class Total(Protocol):
    """What a metric keeps of the batches seen; ``value`` is its number, NaN where it has none."""

    def add(self, stats: tuple[Tensor, ...]) -> None: ...

    def value(self) -> float: ...


@dataclass(slots=True)
class _Moments:
    """Number, mean and sum of squared deviations; batches combine by the pairwise update.

    Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979), eq. 2.1.
    """

    count: int = 0
    mean: float = 0.0
    deviations: float = 0.0

    def add(self, x: Tensor) -> None:
        if not x.numel():
            return
        x = x.to(torch.float64)
        mean = float(x.mean())
        both = self.count + x.numel()
        between = mean - self.mean
        self.deviations += float(((x - mean) ** 2).sum()) + between**2 * self.count * x.numel() / both
        self.mean += between * x.numel() / both
        self.count = both


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, stats: tuple[Tensor, ...]) -> None:
        self.total += float(stats[0].sum(dtype=torch.float64))
        self.count += stats[0].numel()

    def value(self) -> float:
        return self.total / self.count if self.count else math.nan


@dataclass(slots=True)
class _RootMean(_Mean):
    def value(self) -> float:
        mean = _Mean.value(self)
        return math.sqrt(mean) if mean >= 0 else math.nan


@dataclass(slots=True)
class _R2:
    """1 - residual / total variance of the truth; NaN when the truth does not vary."""

    error: _Mean = field(default_factory=_Mean)
    truth: _Moments = field(default_factory=_Moments)

    def add(self, stats: tuple[Tensor, ...]) -> None:
        self.error.add(stats[:1])
        self.truth.add(stats[1])

    def value(self) -> float:
        spread = self.truth.deviations
        return 1 - self.error.total / spread if spread > 0 else math.nan


@dataclass(slots=True)
class _Auc:
    """Area under the ROC curve: the probability that a positive place has the larger score, ties counting half.

    Exact, over all places of all batches: the rank sum of Mann and Whitney (1947) with midranks for ties.  NaN while
    only one class, or a score that is no number, was seen.
    """

    truth: list[Tensor] = field(default_factory=list[Tensor])
    score: list[Tensor] = field(default_factory=list[Tensor])

    def add(self, stats: tuple[Tensor, ...]) -> None:
        self.truth.append(stats[0].flatten().cpu())
        self.score.append(stats[1].flatten().cpu())

    def value(self) -> float:
        if not self.truth:
            return math.nan
        truth: NDArray[np.bool_] = np.asarray(torch.cat(self.truth) > 0)
        score: NDArray[np.float64] = np.asarray(torch.cat(self.score).to(torch.float64))
        positive = int(np.count_nonzero(truth))
        negative = len(truth) - positive
        if not positive or not negative or bool(np.isnan(score).any()):
            return math.nan
        _, group, sizes = np.unique(score, return_inverse=True, return_counts=True)
        # a group of equal scores at places a+1 .. a+k (from 1) has the midrank a + (k + 1) / 2; doubled, a whole number
        doubled = 2 * (np.cumsum(sizes) - sizes) + sizes + 1
        ranks = int(doubled[group[truth]].sum())
        return (ranks - positive * (positive + 1)) / (2 * positive * negative)


KINDS: dict[str, tuple[int, type[Total]]] = {
    "mean": (1, _Mean),
    "root_mean": (1, _RootMean),
    "r2": (2, _R2),
    "auc": (2, _Auc),
}  # kind -> (number of statistics, what is kept of them)


class Totals:
    """Metrics of a module over batches of any sizes.

    Args:
        metrics: the table of a module.

    Raises:
        AbiError: a kind this runtime does not know.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._totals: dict[str, tuple[Metric, int, Total]] = {}
        for metric in metrics:
            count, kind = KINDS.get(metric.kind, (0, None))
            if kind is None or len(metric.stats) - count not in (0, 1):
                raise AbiError(
                    f"metric {metric.key}: kind `{metric.kind}` with {len(metric.stats)} statistics is not known"
                )
            self._totals[metric.key] = (metric, count, kind())

    def add(self, measured: Mapping[str, Tensor]) -> None:
        """Take in one batch.

        Args:
            measured: statistics [batch, ..]; those of one metric have one shape.  Where examples end at different
                labels, the last statistic of a metric is 1 at the places that exist, and no other place counts.

        Raises:
            AbiError: statistics that the module did not measure.
        """
        for metric, count, total in self._totals.values():
            missing = [name for name in metric.stats if name not in measured]
            if missing:
                raise AbiError(f"metric {metric.key}: the module did not measure {', '.join(missing)}")
            stats = tuple(measured[name].detach() for name in metric.stats)
            if len(stats) > count:
                exists = stats[-1] > 0
                stats = tuple(stat[exists] for stat in stats[:count])
            total.add(stats)

    def values(self) -> dict[str, float]:
        """Every metric's value, keyed as written in the spec."""
        return {key: total.value() for key, (_, _, total) in self._totals.items()}
