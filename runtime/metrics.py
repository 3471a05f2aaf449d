"""From batch means of statistics to the reported numbers.  Importable without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

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
