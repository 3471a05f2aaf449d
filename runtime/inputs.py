"""Checking and converting what a caller hands to a module: arrays, lists or tensors in, tensors of one kind out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import InputError, MissingInput
from .tables import Input, did_you_mean

_WANTED = {
    "real": "numbers",
    "bool": "true or false (0 or 1)",
    "int": "whole numbers",
    "label": "whole numbers",
    "length": "whole numbers",
}


def check_inputs(
    table: Sequence[Input],
    given: Mapping[str, object],
    dtype: torch.dtype,
    device: torch.device,
    *,
    every: bool,
    replicas: int | None = None,
) -> dict[str, Tensor]:
    """The given inputs as tensors, in the order of the table; beyond the end of an example they are 0.

    Args:
        table: the model's inputs.
        given: name to array, list or tensor, batch first.
        dtype: dtype of real inputs.
        device: where the tensors shall be.
        every: whether an input that was not given is an error.
        replicas: how many replicas the model has: an input may then have them as its first axis; one that has not is
            the same for all of them.

    Raises:
        InputError: unknown name, wrong number of axes or size, wrong kind, labels out of range, unequal batches.
        MissingInput: an input was not given although ``every`` is set, or the lengths of one that was given.
    """
    names = [spec.name for spec in table]
    for name in given:
        if name not in names:
            listing = ", ".join(spec.declared() for spec in table)
            raise InputError(f"there is no input `{name}`{did_you_mean(name, names)} (inputs: {listing})")
    result: dict[str, Tensor] = {}
    sizes: dict[str, tuple[int, str]] = {}
    for spec in table:
        if spec.name in given:
            value = _tensor(spec, given[spec.name], dtype, device)
            many = replicas is not None and value.dim() == 2 + len(spec.axes)
            if many and value.shape[0] != replicas:
                wanted = f"{replicas} replicas: the input is {spec.declared()}, the same for all, or one a replica"
                raise InputError(f"the model has {wanted}; got {value.shape[0]} of `{spec.name}`")
            _check_shape(spec, list(value.shape[int(many) :]), sizes)
            result[spec.name] = value if many or replicas is None else value.expand(replicas, *value.shape)
        elif every:
            raise MissingInput(
                f"the input `{spec.name}` is missing: pass {spec.name}=... as {spec.declared()}", spec.name
            )
    for spec in table:
        value = result.get(spec.name)
        if value is not None:
            beyond = _beyond(spec, value, result)
            _check_range(spec, value if beyond is None else value.masked_fill(beyond, spec.first))
            result[spec.name] = value if beyond is None else value.masked_fill(beyond, 0)
    return result


def _beyond(spec: Input, value: Tensor, given: Mapping[str, Tensor]) -> Tensor | None:
    """Which entries lie beyond the end of their example, broadcast-ready; None when the input has no such axis."""
    beyond: Tensor | None = None
    for end in spec.ends:
        lengths = given.get(end.axis)
        if lengths is None:
            raise MissingInput(
                f"`{end.axis}` ends per example: pass {end.axis}=... with {spec.name}=..., the length of each example",
                end.axis,
            )
        dim = lengths.dim() + end.dim
        size = value.shape[dim]
        most = size // (end.before * end.after)
        _check_lengths(end.axis, lengths, most, spec.name)
        place = torch.arange(size, device=value.device) // end.after % max(most, 1)
        shape = [1] * value.dim()
        shape[: lengths.dim()], shape[dim] = lengths.shape, size
        here = (place >= lengths[..., None]).reshape(shape)
        beyond = here if beyond is None else beyond | here
    return beyond


def _check_lengths(axis: str, lengths: Tensor, most: int, owner: str) -> None:
    """Every example has at least one label, and no more than the array; checked where it costs no synchronisation."""
    if not lengths.numel() or lengths.device.type != "cpu":
        return
    low, high = (int(bound) for bound in torch.aminmax(lengths))
    if low < 1 or high > most:
        bad = low if low < 1 else high
        raise InputError(f"`{axis}` holds the length {bad}; `{owner}` has {most} along `{axis}`: lengths are 1..{most}")


def _tensor(spec: Input, value: object, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The value in the kind of the input; a tensor that fits already is returned as it is."""
    raw = value if isinstance(value, Tensor) else _from_array(spec, value)
    if spec.kind == "real":
        if raw.is_complex():
            raise InputError(_kind_message(spec, raw.dtype))
        return raw.to(device=device, dtype=dtype)
    if spec.kind == "bool":
        if raw.dtype != torch.bool and not bool(((raw == 0) | (raw == 1)).all()):
            raise InputError(_kind_message(spec, raw.dtype))
        return raw.to(device=device, dtype=torch.bool)
    if raw.is_floating_point() or raw.is_complex():
        raise InputError(_kind_message(spec, raw.dtype))
    return raw.to(device=device, dtype=torch.int64)


def _from_array(spec: Input, value: object) -> Tensor:
    """A list, number or NumPy array as a tensor (copied; unsigned integers widened)."""
    try:
        array: np.ndarray[Any, np.dtype[Any]] = np.array(value)
    except ValueError as error:  # ragged lists
        raise InputError(f"the input `{spec.name}` is no regular array: {error}") from error
    if array.dtype.kind not in "biufc":
        raise InputError(_kind_message(spec, array.dtype))
    return torch.as_tensor(array.astype(np.int64) if array.dtype.kind == "u" else array)


def _kind_message(spec: Input, got: object) -> str:
    return f"the input {spec.declared()} takes {_WANTED[spec.kind]}; got {got}"


def _check_shape(spec: Input, got: list[int], sizes: dict[str, tuple[int, str]]) -> None:
    """Compare a shape with the declaration, and sizes bound by data (batch too) with the other inputs."""
    if len(got) != 1 + len(spec.axes):
        help = " (add a batch axis: value[None])" if len(got) == len(spec.axes) else ""
        raise InputError(f"the input is declared {spec.declared()}; got the shape {got}{help}")
    for axis, wanted, size in zip(spec.axes, spec.shape, got[1:], strict=True):
        if wanted is not None and size != wanted:
            raise InputError(f"the input is declared {spec.declared()}; got {size} along `{axis}` (shape {got})")
    free = [("batch", got[0])] + [(a, n) for a, w, n in zip(spec.axes, spec.shape, got[1:], strict=True) if w is None]
    for axis, size in free:
        known, owner = sizes.setdefault(axis, (size, spec.name))
        if known != size:
            raise InputError(f"`{spec.name}` has {size} along `{axis}`, but `{owner}` has {known}")


def _check_range(spec: Input, value: Tensor) -> None:
    """Labels must lie on their axis; checked where it costs no device synchronisation."""
    if spec.labels is None or not value.numel() or value.device.type != "cpu":
        return
    low, high = (int(bound) for bound in torch.aminmax(value))
    last = spec.first + spec.labels - 1
    if low < spec.first or high > last:
        bad = low if low < spec.first else high
        raise InputError(f"`{spec.name}` holds the label {bad}; its labels are {spec.first}..{last}")
