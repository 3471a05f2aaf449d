"""Which examples each step sees: reshuffled each epoch from (seed, epoch), so any step can be found again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .philox import permutation


class Batches:
    """Batches of a training set.

    Args:
        examples: input name to tensor [rows, ..]; all of one length.
        size: batch size; None, or at least the number of rows, for all rows at once (which are not shuffled).
        seed: key of the shuffles.
    """

    def __init__(self, examples: Mapping[str, Tensor], size: int | None, seed: int) -> None:
        self.rows = next(iter(examples.values())).shape[0]
        self.size = self.rows if size is None else min(size, self.rows)
        self.per_epoch = -(-self.rows // self.size)
        self._examples = examples
        self._seed = seed
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, step: int) -> dict[str, Tensor]:
        """The batch of a step (counted from 0); the last one of an epoch may be short."""
        if self.per_epoch == 1:
            return dict(self._examples)
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = torch.as_tensor(permutation(self._seed, "train.shuffle", self.rows, step=epoch))
            self._order = order.to(next(iter(self._examples.values())).device)
            self._epoch = epoch
        chosen = self._order[position * self.size : (position + 1) * self.size]
        return {name: value[chosen] for name, value in self._examples.items()}
