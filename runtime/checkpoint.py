"""Checkpoints: tensors as safetensors, everything else as JSON.  Never pickle.

A checkpoint folder holds ``state.json`` and the tensor file that it names, with that file's SHA-256.  The tensor file is
written first, under a name of its own, and ``state.json`` is then replaced: a crash at any moment leaves one whole
checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from .errors import CheckpointError
from .files import to_json, write_atomic
from .module import Module
from .run_record import STATE_FILE, entry, read_state
from .version import CHECKPOINT

BEST = "best/"
"""Before the path of a tensor: its value at the best report (`keep best`)."""


def save(folder: Path, module: Module, extra: Mapping[str, Any], best: Mapping[str, Tensor] | None = None) -> None:
    """Write parameters, states and the step counter of a module.

    Args:
        folder: the checkpoint folder; made when missing.
        module: what to save.
        extra: further JSON-able entries of ``state.json`` (spec, seed, hashes, versions, ...).
        best: every slot's value at the best report, when the run keeps it.

    Raises:
        OSError: when the folder cannot be written; an earlier checkpoint is then still whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {slot.path: module.state(slot.path).detach().cpu().contiguous() for slot in module.STATE}
    content = safetensors.torch.save(tensors | {BEST + path: value.cpu() for path, value in (best or {}).items()})
    name = f"step-{module.t}.safetensors"
    write_atomic(folder / name, content)
    slots = [
        {
            "path": s.path,
            "role": s.role,
            "shape": list(s.shape),
            "dtype": str(tensors[s.path].dtype).removeprefix("torch."),
        }
        for s in module.STATE
    ]
    state = {
        "checkpoint": CHECKPOINT,
        "step": module.t,
        "tensors": {"file": name, "sha256": hashlib.sha256(content).hexdigest()},
        "slots": slots,
        **extra,
    }
    write_atomic(folder / STATE_FILE, (to_json(state, indent=1) + "\n").encode())
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def restore(folder: Path, module: Module, *, best: bool = False) -> dict[str, Any]:
    """Load a checkpoint into a module of the same model; returns its JSON part.

    Args:
        folder: the checkpoint folder.
        module: where the values go.
        best: take the values of the best report where the run kept them, else those of the last step.

    Raises:
        CheckpointError: damaged (checksum), or its paths, shapes or dtypes are not the module's.
    """
    state = read_state(folder)
    stored = _read_tensors(folder, state)
    tensors = {path: value for path, value in stored.items() if not path.startswith(BEST)}
    step = entry(state, "step")
    if not isinstance(step, int) or step < 0:
        raise CheckpointError(f"the checkpoint is damaged: its step is {step!r}")
    paths = [slot.path for slot in module.STATE]
    odd = sorted(set(tensors) ^ set(paths))
    if odd:
        raise CheckpointError(f"the checkpoint in {folder} is of another model: they differ in {', '.join(odd)}")
    for path in paths:
        _check_fit(path, tensors[path], module.state(path))
    if best:
        tensors |= _best(stored, module)
    with torch.no_grad():
        for path in paths:
            module.state(path).copy_(tensors[path])
    module.set_extra_state(torch.tensor(step))  # not by `t`: a parameter may have that name
    return state


def read_best(folder: Path, module: Module) -> dict[str, Tensor] | None:
    """Every slot's value at the best report, on the module's device; None when the checkpoint holds none.

    Raises:
        CheckpointError: damaged, or of another model.
    """
    found = _best(_read_tensors(folder, read_state(folder)), module)
    return {path: value.to(module.device) for path, value in found.items()} or None


def _best(stored: Mapping[str, Tensor], module: Module) -> dict[str, Tensor]:
    """The kept values of a tensor file: of every slot of the module, or none."""
    found = {path.removeprefix(BEST): value for path, value in stored.items() if path.startswith(BEST)}
    if found and found.keys() != {slot.path for slot in module.STATE}:
        raise CheckpointError("the checkpoint is damaged: the values of its best report are not whole")
    for path, value in found.items():
        _check_fit(path, value, module.state(path))
    return found


def _read_tensors(folder: Path, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensor file named by ``state.json``, verified; its name may not lead out of the folder."""
    name = str(entry(state, "tensors", "file"))
    if Path(name).name != name:
        raise CheckpointError(f"the checkpoint in {folder} names a file outside its folder: {name!r}")
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise CheckpointError(f"the checkpoint's tensors cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != entry(state, "tensors", "sha256"):
        raise CheckpointError(f"{folder / name} is damaged: its SHA-256 is not the one in {STATE_FILE}")
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise CheckpointError(f"{folder / name} is no safetensors file: {error}") from error


def _check_fit(path: str, saved: Tensor, here: Tensor) -> None:
    if saved.shape != here.shape:
        message = f"`{path}` has shape {list(saved.shape)} in the checkpoint, {list(here.shape)} in the model"
        raise CheckpointError(message)
    if saved.dtype != here.dtype:
        raise CheckpointError(f"`{path}` is {saved.dtype} in the checkpoint, {here.dtype} in the model: pass --dtype")
