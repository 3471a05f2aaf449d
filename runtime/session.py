"""From a compiled spec to a trained or evaluated model: the runtime's two entry points."""

from __future__ import annotations

import hashlib
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .asserts import failures
from .checkpoint import restore
from .data import DataPlan, Dataset, inputs_of, load
from .errors import AbiError, AssertFailed, CheckpointError, InputError, MissingDependency, NotTrainable
from .evaluate import evaluate, final_part, to_tensors
from .files import to_json
from .loader import load_class
from .module import Module
from .progress import Progress, make_progress
from .run_record import CHECKPOINT_FOLDER, entry, read_state, whole
from .runfolder import MANIFEST_FILE, SPEC_FILE, RunFolder, open_run
from .scores import Scores
from .sources import alphabet_of
from .teacher import drawn_columns
from .trainer import Outcome, Place, Trainer, TrainPlan
from .version import MANIFEST

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
Block = tuple[str, Mapping[str, Any]]
"""Module text and manifest."""

_LENGTH = ("train.epochs", "train.steps", "train.every")  # settings that a resumed run may change


@dataclass(frozen=True, slots=True)
class Job:
    """A compiled spec and where it came from.

    Attributes:
        source: emitted module text.
        manifest: the manifest, as in manifest.json.
        spec: text of the spec.
        folder: the spec's folder, which data paths start from.
        options: what it was compiled with (JSON-able); a resumed run must have the same.
        allow_path: accept data outside the folder.
        used: texts of the files that the spec uses, by path.
        earlier: module text and manifest of every train block before the last, which ``source`` and ``manifest`` are of.
    """

    source: str
    manifest: Mapping[str, Any]
    spec: str
    folder: Path
    options: Mapping[str, Any]
    allow_path: bool = False
    used: Mapping[str, str] = field(default_factory=dict[str, str])
    earlier: Sequence[Block] = ()

    def blocks(self) -> list[Block]:
        """Module text and manifest of every train block, in order."""
        return [*self.earlier, (self.source, self.manifest)]


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run."""

    outcome: Outcome
    module: Module
    folder: Path


def instantiate(
    source: str,
    manifest: Mapping[str, Any],
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    examples: int | None = None,
) -> Module:
    """The model of an emitted source; ``dtype`` defaults to the manifest's.

    Raises:
        AbiError: a manifest or module of another version.
        MissingDependency: the device is not there.
        NeedsExamples: never here, but when N is read and ``examples`` was not given.
    """
    version = manifest.get("manifest")
    if version != MANIFEST:
        raise AbiError(f"the manifest has version {version}, this runtime reads {MANIFEST}")
    model = load_class(source, manifest["model"])
    return model(seed=seed, device=find_device(device), dtype=dtype or _DTYPES[manifest["dtype"]], examples=examples)


def find_device(name: torch.device | str) -> torch.device:
    """The device of a name such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        InputError: no such kind of device.
        MissingDependency: there is none on this machine, or torch was built without it.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"`{name}` is not a device: use cpu, cuda or cuda:1") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise MissingDependency(f"there is no device `{name}`: this torch sees {count} CUDA devices")
    return device


def train(
    job: Job,
    out: Path | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> RunResult:
    """Train a compiled spec in a run folder.

    Args:
        job: what to train.
        out: the run folder; None for the next ``runs/<model>-<n>``.
        resume: go on from the folder's checkpoint.
        force: drop the run in the folder and start over.
        device: where to train.
        progress: where progress goes; by default standard error.

    Raises:
        NotTrainable: no learn step, no data or no train block.
        DataError, DataFileMissing: the data do not fit, or are not there.
        RunFolderError, CheckpointError: the folder is refused, or holds another run.
        Diverged, RunFailed, Interrupted: see :meth:`.trainer.Trainer.fit`.
        AssertFailed: an `assert` does not hold; the run is complete and saved.
    """
    start = time.monotonic()
    plan = _plan(job.manifest)
    dataset = load_data(job)
    _check_trainable(job)
    identity = _identity(job, plan, dataset)
    with open_run(out, _stem(job), resume=resume, force=force) as run:
        state = read_state(run.checkpoint) if resume else None
        if state is not None:
            _check_same(state, identity)
        else:
            _write_artefacts(run, job)
        run.log(", ".join(f"{name} {version}" for name, version in identity["versions"].items()))
        trainer = _blocks_in_order(job, dataset, run, identity, state, device, progress or make_progress())
        outcome = trainer.measure(time.monotonic() - start)
    if outcome.failed:
        raise AssertFailed("\n".join(outcome.failed), outcome.part, outcome.scores)
    return RunResult(outcome, trainer.module, run.path)


def _blocks_in_order(
    job: Job,
    dataset: Dataset,
    run: RunFolder,
    identity: Mapping[str, Any],
    state: Mapping[str, Any] | None,
    device: str,
    progress: Progress,
) -> Trainer:
    """Run the train blocks, from the one that the checkpoint ``state`` is of; the last one's trainer, at its end."""
    blocks = job.blocks()
    first = _block_of(job, state) if state is not None else 0
    done = whole(state, "steps_before") if state is not None and first else 0
    trainer: Trainer | None = None
    for index in range(first, len(blocks)):
        place = Place(index, len(blocks), done)
        plan = _plan(blocks[index][1])
        module = _begun(blocks[index], plan, place, None if trainer is None else trainer.module, device)
        trainer = Trainer(module, dataset, plan, run, identity, progress, place)
        if state is not None and index == first:
            trainer.resume(restore(run.checkpoint, module))
        trainer.fit()
        done += module.t
    assert trainer is not None
    return trainer


def _begun(block: Block, plan: TrainPlan, place: Place, before: Module | None, device: str) -> Module:
    """The module of a train block as it begins."""
    key = place.key(plan.seed)
    module = instantiate(*block, seed=key if plan.begin == "redraw" else plan.seed, device=device)
    module.seed = key
    if before is not None and plan.begin == "on":
        with torch.no_grad():
            for slot in module.STATE:
                if slot.role != "rule":
                    module.state(slot.path).copy_(before.state(slot.path))
    return module


def _check_trainable(job: Job) -> None:
    """Refuse a block without a learn step, before anything is written.

    Raises:
        NotTrainable: there is one.
    """
    for source, manifest in job.blocks():
        if not load_class(source, manifest["model"]).TRAINABLE:
            raise NotTrainable(f"{manifest['model']} has no learn step: add a `learn` block to the spec")


def _block_of(job: Job, state: Mapping[str, Any]) -> int:
    """The train block that a checkpoint is of.

    Raises:
        CheckpointError: the spec has no such block.
    """
    index = whole(state, "block") if "block" in state else 0
    if index >= len(job.blocks()):
        raise CheckpointError(f"the checkpoint is of train block {index + 1}, the spec has {len(job.blocks())}")
    return index


def trained(job: Job, folder: Path, *, device: str) -> Module:
    """The model of a run as its checkpoint has it.

    Raises:
        CheckpointError: damaged, or of another model.
    """
    state = read_state(folder / CHECKPOINT_FOLDER)
    block = job.blocks()[_block_of(job, state)]
    module = instantiate(*block, seed=whole(state, "seed"), device=device, examples=whole(state, "examples"))
    restore(folder / CHECKPOINT_FOLDER, module, best=True)
    return module


def evaluate_run(job: Job, folder: Path, *, device: str = "cpu", part: str | None = None) -> tuple[str, Scores]:
    """Metrics of a run's checkpoint on a part of its data.

    Args:
        job: the run's spec, compiled again.
        folder: the run folder.
        device: where to compute.
        part: train, valid or test; by default test, or train when there is no test part.

    Returns:
        The part, and the scores on it.

    Raises:
        CheckpointError: damaged, or of another model or other data.
        InputError: the data have no such part.
        AssertFailed: an `assert` does not hold on this part.
    """
    state = read_state(folder / CHECKPOINT_FOLDER)
    dataset = load_data(job)
    if entry(state, "hashes", "data") != dataset.sha256():
        raise CheckpointError("the data have changed since this run was trained: its test part would not be the same")
    chosen = part or final_part(dataset)
    if chosen not in dataset.parts:
        raise InputError(f"the data have no part `{chosen}`: there are {', '.join(sorted(dataset.parts))}")
    module = trained(job, folder, device=device)
    rows = to_tensors(module, dataset.part(chosen))
    scores, _ = evaluate(module, rows)
    failed = failures(module, rows, chosen)
    if failed:
        raise AssertFailed("\n".join(failed), chosen, scores)
    return chosen, scores


def load_data(job: Job) -> Dataset:
    """The job's data, checked and split.

    Raises:
        NotTrainable: the spec has no data block.
        DataError, DataFileMissing, MissingDependency: see :func:`.data.load`.
    """
    plan = data_plan(job)
    if plan is None:
        raise NotTrainable(f"{job.manifest['model']} has no data: add a `data` block to the spec")
    block = job.manifest.get("train")
    seed = int(block["seed"]) if block is not None else 0
    replicas = job.manifest.get("replicas")
    return load(plan, inputs_of(job.manifest), job.folder, seed, allow_path=job.allow_path, replicas=replicas)


def data_plan(job: Job) -> DataPlan | None:
    """The job's ``data`` block, None when the spec has none."""
    return DataPlan.from_manifest(job.manifest, partial(drawn_columns, job.source))


def letters_of(job: Job) -> str | None:
    """The characters of the text that the data are, in order, None of other data; a run keeps them, since any other text
    that it sees is read in them too.

    Raises:
        DataError, DataFileMissing: it cannot be read, or is not there.
    """
    plan = data_plan(job)
    return None if plan is None else alphabet_of(plan.source, job.folder, allow_path=job.allow_path)


def _plan(manifest: Mapping[str, Any]) -> TrainPlan:
    block = manifest.get("train")
    if block is None:
        raise NotTrainable(f"{manifest['model']} has no train block: add `train {{ epochs 20 }}` to the spec")
    return TrainPlan.from_manifest(block)


def _stem(job: Job) -> str:
    """The model's file name without suffix, from the manifest but checked."""
    stem = str(job.manifest["module"]).removesuffix(".py")
    if not re.fullmatch(r"\w+", stem, flags=re.ASCII):
        raise AbiError(f"the manifest names the module {job.manifest['module']!r}, which is no plain file name")
    return stem


def _identity(job: Job, plan: TrainPlan, dataset: Dataset) -> dict[str, Any]:
    """What a run is: everything that must not change when it is resumed, and the versions that made it."""
    spec = {"name": job.manifest["spec"]["name"], "text": job.spec, "used": dict(job.used)}
    digest = hashlib.sha256("\0".join([job.spec, *(f"{k}\0{v}" for k, v in sorted(job.used.items()))]).encode())
    modules = [hashlib.sha256(source.encode()).hexdigest() for source, _ in job.blocks()]
    return {
        "model": job.manifest["model"],
        "seed": plan.seed,
        "dtype": job.manifest["dtype"],
        "batch": plan.batch,
        "examples": dataset.count("train"),
        "spec": {**spec, "sha256": digest.hexdigest()},
        "folder": str(job.folder.resolve()),
        **({"alphabet": letters} if (letters := letters_of(job)) is not None else {}),
        "options": dict(job.options),
        "hashes": {"module": modules[-1], "earlier": modules[:-1], "data": dataset.sha256()},
        "versions": {
            "dltc": job.manifest["compiler"],
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _check_same(state: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Refuse to resume another run: same spec text, overrides, seed, dtype, batch size and data; it may get longer."""
    for key, what in (("seed", "seed"), ("dtype", "dtype"), ("batch", "batch size")):
        if state.get(key) != identity[key]:
            raise CheckpointError(f"this run was started with the {what} {state.get(key)}, not {identity[key]}")
    before, now = _fixed(entry(state, "options")), _fixed(identity["options"])
    if before != now:
        odd = ", ".join(sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)))
        raise CheckpointError(f"this run was started with other options: they differ in {odd}")
    if entry(state, "spec", "sha256") != identity["spec"]["sha256"]:
        raise CheckpointError("the spec has changed since this run was started: train into a new folder")
    if entry(state, "hashes", "data") != identity["hashes"]["data"]:
        raise CheckpointError("the data have changed since this run was started: train into a new folder")


def _fixed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a resumed run may not change, flat."""
    overrides: Mapping[str, Any] = options.get("set") or {}
    flat = {f"--set {key}": value for key, value in overrides.items() if key not in _LENGTH}
    return flat | {f"--{key}": value for key, value in options.items() if key not in ("set", "seed", "dtype")}


def _write_artefacts(run: RunFolder, job: Job) -> None:
    run.write(SPEC_FILE, job.spec)
    run.write(f"{_stem(job)}.py", job.source)
    for k, (source, _) in enumerate(job.earlier):
        run.write(f"{_stem(job)}_block{k + 1}.py", source)
    run.write(MANIFEST_FILE, to_json(job.manifest, indent=1) + "\n")
