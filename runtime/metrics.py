"""From batch means of statistics to the reported numbers.  Importable without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import AbiError
from .tables import Metric


def _mean(stats: Sequence[float]) -> float:
    return stats[0]


def _root_mean(stats: Sequence[float]) -> float:
    return math.sqrt(stats[0]) if stats[0] >= 0 else math.nan


def _r2(stats: Sequence[float]) -> float:
    """1 - residual / total variance, from means of (y - m)^2, y and y^2; NaN when y does not vary."""
    error, mean, square = stats
    total = square - mean * mean
    return 1 - error / total if total > 0 else math.nan


KINDS: dict[str, tuple[int, Callable[[Sequence[float]], float]]] = {
    "mean": (1, _mean),
    "root_mean": (1, _root_mean),
    "r2": (3, _r2),
}  # kind -> (number of statistics, function of their means over all examples)


@dataclass(frozen=True, slots=True)
class Scores:
    """The metrics of a model: ``each`` holds them per replica (one entry for a single run), keyed as in the spec."""

    each: tuple[dict[str, float], ...]
    folded: bool = False

    @property
    def mean(self) -> dict[str, float]:
        """The metrics; of replicas, their means."""
        return {key: sum(one[key] for one in self.each) / len(self.each) for key in self.each[0]}

    @property
    def spread(self) -> dict[str, float] | None:
        """The standard deviation over the replicas (n - 1 in the denominator); None for a single run."""
        if not self.folded:
            return None
        return {key: _deviation([one[key] for one in self.each]) for key in self.each[0]}

    @property
    def replicas(self) -> dict[str, list[float]] | None:
        """The numbers of all replicas, in the order of their seeds; None for a single run."""
        return {key: [one[key] for one in self.each] for key in self.each[0]} if self.folded else None

    def row(self) -> dict[str, Any]:
        """The entries of a JSON object: ``metrics`` and, for replicas, ``spread`` and ``replicas``."""
        row: dict[str, Any] = {"metrics": self.mean}
        return row | {"spread": self.spread, "replicas": self.replicas} if self.folded else row

    def text(self) -> str:
        """``nll 0.1234  accuracy(y, s) 0.97 +- 0.01``."""
        spread = self.spread or {}
        parts = [f"{k} {v:.4g}" + (f" +- {spread[k]:.2g}" if k in spread else "") for k, v in self.mean.items()]
        return "  ".join(parts)


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def finalise(metrics: Iterable[Metric], means: Mapping[str, float]) -> dict[str, float]:
    """Every metric's value, keyed as written in the spec, from means over all examples.

    Raises:
        AbiError: a kind this runtime does not know, or statistics that the module did not measure.
    """
    result: dict[str, float] = {}
    for metric in metrics:
        count, function = KINDS.get(metric.kind, (0, None))
        if function is None or len(metric.stats) - count not in (0, 1):
            raise AbiError(
                f"metric {metric.key}: kind `{metric.kind}` with {len(metric.stats)} statistics is not known"
            )
        missing = [name for name in metric.stats if name not in means]
        if missing:
            raise AbiError(f"metric {metric.key}: the module did not measure {', '.join(missing)}")
        numbers = [means[name] for name in metric.stats]
        if len(numbers) > count:  # totals, and last the number of places that they are over
            numbers = [total / numbers[-1] for total in numbers[:count]]
        result[metric.key] = function(numbers)
    return result
