"""The reported number that `stop` and `keep best` look at: when a run ends early, and which of its states is the result.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """One metric: whether more of it is better, after how many reports without a better value to stop (None: never),
    and whether the state of the best report is kept."""

    metric: str
    higher: bool
    patience: int | None
    keep: bool

    @classmethod
    def from_manifest(cls, block: Mapping[str, Any]) -> WatchPlan | None:
        """The plan of a manifest's ``train`` entry, or None when nothing is watched."""
        watch = block.get("watch")
        if watch is None:
            return None
        return cls(watch["metric"], watch["higher"], watch["patience"], watch["keep"])


class Watcher:
    """Follows the metric through the reports of a run; its ``state`` goes into the checkpoint."""

    def __init__(self, plan: WatchPlan) -> None:
        self.plan = plan
        self.best: float | None = None
        self.step = 0
        self.waited = 0

    def see(self, value: float, step: int) -> bool:
        """Take in a report's value; True when it is the best so far (a NaN never is, nor is an equal value)."""
        better = value == value and (
            self.best is None or (value > self.best if self.plan.higher else value < self.best)
        )
        if better:
            self.best, self.step, self.waited = value, step, 0
        else:
            self.waited += 1
        return better

    @property
    def done(self) -> bool:
        """Have enough reports passed without a better value?"""
        return self.plan.patience is not None and self.waited >= self.plan.patience

    def state(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"metric": self.plan.metric, "value": self.best, "step": self.step, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.best, self.step, self.waited = state["value"], int(state["step"]), int(state["waited"])

    def text(self) -> str:
        """``nll 0.123 at step 400``, the best so far."""
        return f"{self.plan.metric} {self.best:.4g} at step {self.step}" if self.best is not None else "no report yet"
