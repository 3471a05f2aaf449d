"""Data that are a sample of a model: its emitted class stands beside that of the model that learns from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .loader import load_class
from .philox import key_words
from .sample import sample

Array = NDArray[Any]


def drawn_columns(text: str, source: Mapping[str, Any], seed: int) -> dict[str, Array]:
    """The columns of a model's sample: parameters from their priors, then latents, inputs and values; float64, on the CPU.

    The key of the draws is made from the seed and a word of its own: a model that learns from a twin of itself must not
    start with the parameters that its data were drawn with.

    Args:
        text: the emitted module.
        source: the manifest's ``data.source``; a ``seed`` of its own comes before ``seed``.
        seed: that of the run.
    """
    low, high = key_words(seed if source["seed"] is None else source["seed"], "data.teacher")
    key, rows = high << 32 | low, int(source["rows"])
    module = load_class(text, source["class"])(seed=key, dtype=torch.float64, examples=rows)
    found = sample(module, rows, {}, key)
    shapes: Mapping[str, tuple[list[int], str]] = source["columns"]
    return {name: np.broadcast_to(found[name], (rows, *shape)) for name, (shape, _) in shapes.items()}
