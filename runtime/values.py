"""The values of a model for one batch: computed when asked for, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from torch import Tensor

from .errors import InputError


class Computes(Protocol):
    """What computes a named value from others (the module)."""

    def compute(self, name: str, values: Values) -> Tensor: ...


class Values(Mapping[str, Tensor]):
    """A mapping from names to tensors, batch first (after the replicas, if there are some), then the declared axes.

    Its keys are the model's outputs that the given inputs determine; any other named value is computed when indexed.
    Everything is computed at most once, from the parameters as they were then.

    Raises (by indexing):
        MissingInput: when the value needs an input that was not given.
        UnknownValue: when the model has no such value.
    """

    def __init__(
        self, module: Computes, inputs: Mapping[str, Tensor], batch_dim: int = 0, batch: int | None = None
    ) -> None:
        self._module = module
        self._batch_dim = batch_dim
        self._batch = batch  # of a batch that has no input yet
        self._known: dict[str, Tensor] = dict(inputs)
        self._keys: tuple[str, ...] = ()
        self.given: tuple[str, ...] = tuple(inputs)

    @property
    def batch(self) -> int:
        """Number of examples.

        Raises:
            InputError: when no input was given.
        """
        if self._batch is not None:
            return self._batch
        if not self.given:
            raise InputError("a batch size was asked for, but no input was given")
        return self._known[self.given[0]].shape[self._batch_dim]

    def show(self, keys: tuple[str, ...]) -> Values:
        """Let these names be the mapping's keys; returns itself."""
        self._keys = keys
        return self

    def __getitem__(self, name: str) -> Tensor:
        value = self._known.get(name)
        if value is None:
            value = self._known[name] = self._module.compute(name, self)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{key}: {list(self[key].shape)}" for key in self._keys)
        return f"Values({shapes})"
