"""Drawing examples from the joint density that a spec declares: ancestral sampling (Bishop 2006, section 8.1.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import InputError
from .module import Module
from .random import Draw
from .values import Values

Array = NDArray[Any]
Routine = Callable[[Values, Draw], Tensor]


def sample(module: Module, count: int, given: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Examples, rows first: every input, given or drawn, and the outputs.

    Args:
        module: compiled for sampling; its parameters are what the draws are conditioned on.
        count: number of examples; those given have as many rows.
        given: inputs that are not drawn.
        seed: key of the draws; example k is the same for every count.

    Raises:
        InputError: an input that cannot be drawn is not given, or has another number of rows.
    """
    _check(module, count, given)
    known = module.checked(given) if given else {}
    draw = Draw(seed, 0, module.device, module.REPLICAS)
    module.eval()
    with torch.no_grad():
        for name, routine in module.SAMPLES.items():
            if name not in known:
                drawn: Routine = getattr(module, routine)
                value = drawn(Values(module, known, module.batch_dim, count), draw)
                known = module.checked({**known, name: value})
        values = Values(module, known, module.batch_dim, count)
        outputs = {name: values[name] for name in module.OUTPUTS if name not in known}
    return {name: value.cpu().numpy() for name, value in {**known, **outputs}.items()}


def _check(module: Module, count: int, given: Mapping[str, Array]) -> None:
    for name, why in module.GIVEN.items():
        if name not in given:
            raise InputError(f"`{name}` cannot be drawn: {why}; pass its values with --given")
    for name, value in given.items():
        if len(value) != count:
            raise InputError(f"`{name}` is given for {len(value)} examples, but {count} are asked for")
