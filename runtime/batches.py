"""Which examples each step sees: reshuffled each epoch from (seed, epoch), so any step can be found again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .philox import permutation


class Batches:
    """Batches of a training set.

    Args:
        examples: input name to tensor [rows, ..]; all of one length.
        size: batch size; None, or at least the number of rows, for all rows at once (which are not shuffled).
        seed: key of the shuffles.
        rows: the rows to train on, all when left out; of replicas [replica, rows], and batches are [replica, batch, ..].
    """

    def __init__(
        self, examples: Mapping[str, Tensor], size: int | None, seed: int, rows: NDArray[np.int64] | None = None
    ) -> None:
        first = next(iter(examples.values()))
        self._part = torch.arange(first.shape[0]) if rows is None else torch.as_tensor(rows)
        self.rows: int = self._part.shape[-1]
        self.size = self.rows if size is None else min(size, self.rows)
        self.per_epoch = -(-self.rows // self.size)
        self._examples = examples
        self._device = first.device
        self._seed = seed
        self._epoch: int = -1
        self._order = self._part.to(self._device)
        self._whole = self._rows(self._order) if self.per_epoch == 1 else {}

    def at(self, step: int) -> dict[str, Tensor]:
        """The batch of a step (counted from 0); the last one of an epoch may be short."""
        if self.per_epoch == 1:
            return dict(self._whole)
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = torch.as_tensor(permutations(self._seed, "train.shuffle", tuple(self._part.shape), epoch))
            self._order = self._part.take_along_dim(order, -1).to(self._device)
            self._epoch = epoch
        return self._rows(self._order[..., position * self.size : (position + 1) * self.size])

    def _rows(self, chosen: Tensor) -> dict[str, Tensor]:
        return {name: value[chosen] for name, value in self._examples.items()}


def permutations(seed: int, path: str, shape: tuple[int, ...], step: int = 0) -> NDArray[np.int64]:
    """A permutation of the last dimension of ``shape`` for each replica (the first, if there are two), keyed by the
    seed of each: seed, seed + 1, ..."""
    *lead, count = shape
    each = [permutation(seed + r, path, count, step) for r in range(lead[0] if lead else 1)]
    return np.stack(each) if lead else each[0]
