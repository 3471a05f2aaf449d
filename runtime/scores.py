"""The metrics of a run, or of all replicas of one.  Importable without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


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
