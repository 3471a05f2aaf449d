"""Metrics and probes of a module over a part of the data, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .data import Dataset
from .inputs import check_inputs
from .metrics import Totals
from .module import Module
from .scores import Scores

CHUNK = 1024  # examples measured at a time
SAMPLE = 2048  # training examples that stand for the training data while there is no valid part


def to_tensors(module: Module, arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """NumPy inputs as checked tensors on the module's device."""
    return module.checked(arrays, every=True)


def final_part(dataset: Dataset) -> str:
    """The part that final metrics are of: test, or train when there is no test part."""
    return "test" if "test" in dataset.parts else "train"


def table_of(module: Module, dataset: Dataset) -> dict[str, Tensor]:
    """All rows of the data, whatever part they are in, as checked tensors [rows, ..] on the module's device."""
    return check_inputs(module.INPUTS, dataset.inputs, module.dtype, module.device, every=True)


def evaluate(module: Module, examples: Mapping[str, Tensor]) -> tuple[Scores, dict[str, Tensor]]:
    """Metrics and probes over some examples.

    Args:
        module: the model; measured with ``training`` = 0.
        examples: every input, checked, [rows, ..]; of replicas [replica, rows, ..].

    Returns:
        Metric values keyed as written in the spec, and each probe's mean (float64, on the CPU).
    """
    rows = next(iter(examples.values())).shape[module.batch_dim]
    totals = [Totals(module.METRICS) for _ in module.seeds]
    probes: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        measured = module.examine(
            {name: value.narrow(module.batch_dim, start, count) for name, value in examples.items()}
        )
        for name in [name for name in module.PROBES if name in measured]:
            weight = measured.get(f"{name}.places", torch.tensor(count)).to("cpu", torch.float64)
            part = measured[name].detach().to("cpu", torch.float64) * weight
            probes[name] = probes[name] + part if name in probes else part
            weights[name] = weights[name] + weight if name in weights else weight
        for r, total in enumerate(totals):
            total.add({name: value[r] for name, value in measured.items()} if module.REPLICAS else measured)
    means = {name: total / weights[name].clamp(min=1) for name, total in probes.items()}
    return Scores(tuple(total.values() for total in totals), module.REPLICAS is not None), means
