"""Batches of `train over`: the labels of an axis one after another, each with its own examples, and a share of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .batches import permutations

Rows = NDArray[np.int64]


class TaskBatches:
    """Batches of the tasks in order.  A step is of one task; its batch holds ``round(replay * size)`` examples of the tasks
    before, drawn anew each step (a task without any before it has none).

    Args:
        examples: input name to tensor [rows, ..]; all of one length.
        size: batch size; None for all of a task's rows at once.
        seed: key of shuffles and draws.
        rows: the rows of each task, in the order of the tasks; of replicas [replica, rows].
        replay: the share of a batch that comes from earlier tasks, from 0 to below 1.
        epochs: passes over each task, or None:
        steps: steps of each task.
    """

    def __init__(
        self,
        examples: Mapping[str, Tensor],
        size: int | None,
        seed: int,
        rows: Sequence[Rows],
        *,
        replay: float,
        epochs: int | None,
        steps: int | None,
    ) -> None:
        self._examples = examples
        self._device = next(iter(examples.values())).device
        self._seed = seed
        self._rows = rows
        whole = [part.shape[-1] if size is None else min(size, part.shape[-1]) for part in rows]
        self._old = [round(replay * n) if k else 0 for k, n in enumerate(whole)]
        self._new = [n - old for n, old in zip(whole, self._old, strict=True)]
        self._per_epoch = [-(-part.shape[-1] // new) for part, new in zip(rows, self._new, strict=True)]
        lengths = [steps if steps is not None else (epochs or 0) * per for per in self._per_epoch]
        self.ends = [*accumulate(lengths)]
        """The step at which each task ends, counted from the first step of all."""
        self.per_epoch = self._per_epoch[0]
        self.rows = rows[0].shape[-1]

    @property
    def total(self) -> int:
        """Steps of all tasks."""
        return self.ends[-1]

    def task(self, step: int) -> int:
        """The task of a step, both counted from 0; past the end the last one."""
        return next((k for k, end in enumerate(self.ends) if step < end), len(self.ends) - 1)

    def examples_of(self, task: int) -> int:
        """How many examples a task has: N while it is trained on."""
        return self._rows[task].shape[-1]

    def at(self, step: int) -> dict[str, Tensor]:
        """The batch of a step (counted from 0); the last one of an epoch may be short."""
        k = self.task(step)
        local = step - (self.ends[k - 1] if k else 0)
        epoch, position = divmod(local, self._per_epoch[k])
        order = permutations(self._seed, f"train.shuffle/{k}", self._rows[k].shape, epoch)
        begin = position * self._new[k]
        chosen = np.take_along_axis(self._rows[k], order[..., begin : begin + self._new[k]], -1)
        if self._old[k]:
            earlier = np.concatenate(self._rows[:k], axis=-1)
            picked = permutations(self._seed, "train.replay", earlier.shape, step)[..., : self._old[k]]
            chosen = np.concatenate([chosen, np.take_along_axis(earlier, picked, -1)], axis=-1)
        rows = torch.as_tensor(chosen).to(self._device)
        return {name: value[rows] for name, value in self._examples.items()}
