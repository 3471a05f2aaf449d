"""What a trained model says of new data: the outputs that the given columns determine."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .data import inputs_of, load_new
from .errors import InputError
from .evaluate import CHUNK
from .files import to_json
from .module import Module
from .progress import Progress
from .run_record import read_alphabet
from .session import Job, data_plan, instantiate, trained

Array = NDArray[Any]


def predict_run(job: Job, folder: Path, data: Path, *, device: str, progress: Progress) -> dict[str, Array]:
    """The outputs of a run's model on a data file, rows first (of replicas: [replica, rows, ..]).

    Args:
        job: the run's spec, compiled again.
        folder: the run folder.
        data: an .npz, .csv or .parquet file with columns as in the spec; those of inputs that no wanted output needs, the
            target among them, may be missing.
        device: where to compute.
        progress: told of every chunk.

    Raises:
        InputError: the file is of no known kind, or its columns determine no output.
        DataError: columns that do not fit their inputs.
        CheckpointError: damaged, or of another model.
    """
    given = read_given(job, data, read_alphabet(folder))
    return predict(trained(job, folder, device=device), given, progress)


def read_given(job: Job, data: Path, letters: str | None = None) -> dict[str, Array]:
    """The inputs that a data file has the columns of.

    Args:
        job: the spec, compiled.
        data: the file.
        letters: the alphabet that a text is read in; that of the spec's own text by default.

    Raises:
        InputError: the file is of no known kind, or the spec has no data block.
        DataError: columns that do not fit their inputs.
    """
    plan = data_plan(job)
    if plan is None:
        raise InputError(f"{job.manifest['model']} has no data block, so nothing says which column is which input")
    return load_new(
        plan, inputs_of(job.manifest), data, job.folder, seed_of(job), allow_path=job.allow_path, letters=letters
    )


def drawn(job: Job, *, device: str) -> Module:
    """The model as it starts."""
    return instantiate(job.source, job.manifest, seed=seed_of(job), device=device, examples=1)


def seed_of(job: Job) -> int:
    """The seed of the train block, 0 without one."""
    block = job.manifest.get("train")
    return int(block["seed"]) if block is not None else 0


def predict(module: Module, given: Mapping[str, Array], progress: Progress) -> dict[str, Array]:
    """Every output that the given inputs determine, computed chunk by chunk with ``training`` = 0."""
    module.eval()
    examples = dict(_tensors(module, given))
    rows = next(iter(examples.values())).shape[module.batch_dim]
    parts: dict[str, list[Array]] = {}
    progress.start("predict", rows, 0)
    try:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            chunk = {name: value.narrow(module.batch_dim, start, count) for name, value in examples.items()}
            with torch.no_grad():
                for name, value in module(**chunk).items():
                    parts.setdefault(name, []).append(value.cpu().numpy())
            progress.step(start + count, "")
    finally:
        progress.stop()
    return {name: np.concatenate(values, axis=module.batch_dim) for name, values in parts.items()}


def _tensors(module: Module, given: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """Checked tensors; every replica sees the same rows."""
    if module.REPLICAS is not None:
        given = {name: np.broadcast_to(value, (module.REPLICAS, *value.shape)) for name, value in given.items()}
    return module.checked(given)


def spelled(job: Job, values: Mapping[str, Array], letters: str | None) -> dict[str, Array]:
    """The values with text in place of the labels of its characters: of inputs that are a text's column as it stands."""
    if letters is None:
        return dict(values)
    columns: Mapping[str, Any] = job.manifest["data"]["columns"]
    known = np.array(list(letters))
    result = dict(values)
    for name, value in values.items():
        if name in columns and columns[name][0] == "column":
            flat = ["".join(row) for row in known[value.reshape(-1, value.shape[-1])]]
            result[name] = np.array(flat, dtype=np.object_).reshape(value.shape[:-1])
    return result


def as_npz(outputs: Mapping[str, Array]) -> bytes:
    """The outputs as the content of an .npz file."""
    stream = io.BytesIO()
    np.savez(stream, **outputs)  # pyright: ignore[reportArgumentType]
    return stream.getvalue()


def as_lines(outputs: Mapping[str, Array], *, replicas: bool) -> Iterator[str]:
    """The outputs as JSON lines, one example a line (of replicas a list per value)."""
    first = {name: np.moveaxis(value, 1, 0) if replicas else value for name, value in outputs.items()}
    for row in range(len(next(iter(first.values())))):
        yield to_json({name: np.asarray(value[row]).tolist() for name, value in first.items()})
