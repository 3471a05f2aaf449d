"""The training loop: steps, reports, checkpoints, and an end that leaves a usable run whatever happens.

The state of a run is the module's slots, the step counter and the sums of the current report window; everything else
(shuffles, draws, the split) is keyed by the seed.  A resumed run therefore makes the very steps the first would have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from .asserts import failures
from .batches import Batches, permutations
from .checkpoint import read_best
from .data import Dataset
from .errors import AbiError, CheckpointError, Diverged, Interrupted, RunFailed
from .evaluate import SAMPLE, evaluate, final_part, table_of, to_tensors
from .finite import which
from .module import Module
from .progress import Progress
from .runfolder import RunFolder
from .scores import Scores
from .signals import Stop
from .tasks import TaskBatches
from .watch import Watcher, WatchPlan

SAVE_SECONDS = 30.0  # time between checkpoints
_DRAIN_STEPS = 50  # steps whose results may wait on a device before they are looked at
_PROBE_NUMBERS = 64  # larger probes are logged as mean, least and greatest value


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The ``train`` block: batch size (None: all), epochs or steps, seed, steps between reports (None: a default),
    what `stop` and `keep best` look at (None: nothing), what it begins with (``on``, ``start`` or ``redraw``), whether it
    goes ``over`` tasks and the share of a batch that is a ``replay`` of earlier ones."""

    batch: int | None
    epochs: int | None
    steps: int | None
    seed: int
    every: int | None
    watch: WatchPlan | None = None
    begin: str = "on"
    over: bool = False
    replay: float = 0.0

    @classmethod
    def from_manifest(cls, block: Mapping[str, Any]) -> TrainPlan:
        """The plan of a manifest's ``train`` entry.

        Raises:
            AbiError: neither or both of epochs and steps.
        """
        batch = block["batch"]
        plan = cls(
            None if batch == "all" else int(batch),
            block["epochs"],
            block["steps"],
            block["seed"],
            block.get("every"),
            WatchPlan.from_manifest(block),
            block.get("begin", "on"),
            block.get("over") is not None,
            block.get("replay", 0.0),
        )
        if (plan.epochs is None) == (plan.steps is None):
            raise AbiError("the manifest's train block must have epochs or steps, one of them")
        return plan

    def total(self, per_epoch: int) -> int:
        """Steps of the whole run."""
        return self.steps if self.steps is not None else (self.epochs or 0) * per_epoch

    def interval(self, per_epoch: int) -> int:
        """Steps between reports: as written, else an epoch, else a twentieth of the run."""
        if self.every is not None:
            return max(1, self.every)
        return per_epoch if self.steps is None else max(1, self.steps // 20)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run measured: scores on ``part``, steps done in all, seconds of this process."""

    scores: Scores
    part: str
    steps: int
    seconds: float
    failed: tuple[str, ...] = ()  # assertions that do not hold
    tasks: tuple[Scores, ...] = ()  # of `train over`: the scores on the examples of each task

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics; of replicas, their means."""
        return self.scores.mean


@dataclass(slots=True)
class _Window:
    """Sums of per-step numbers since the last report, weighted by batch size."""

    sums: dict[str, float] = field(default_factory=dict[str, float])
    count: int = 0

    def add(self, values: Mapping[str, float], count: int) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * count
        self.count += count

    def means(self) -> dict[str, float]:
        return {name: total / self.count for name, total in self.sums.items()} if self.count else {}


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the spec's train blocks is run: its number from 0, how many there are, the steps of those before."""

    index: int = 0
    count: int = 1
    done: int = 0

    def key(self, seed: int) -> int:
        """The seed of this block's draws and shuffles: the run's in the first block, another one in each later one."""
        if not self.index:
            return seed
        return int.from_bytes(blake2b(f"{seed}/{self.index}".encode(), digest_size=7).digest(), "little")

    def facts(self) -> dict[str, int]:
        """What a row of metrics says of it."""
        return {"block": self.index + 1} if self.count > 1 else {}

    def named(self, model: str) -> str:
        """The model's name in a message."""
        return f"{model} {self.index + 1}/{self.count}" if self.count > 1 else model


class Trainer:
    """One train block: one module on one data set, written to one folder.

    Args:
        module: a trainable module; its ``examples`` is set to the number of training rows.
        dataset: checked data.
        plan: batch size, length, seed.
        run: the locked run folder.
        identity: entries for ``state.json`` that say what this run is (spec text, hashes, options, versions).
        progress: where progress goes.
        place: which of several train blocks this is.
    """

    def __init__(
        self,
        module: Module,
        dataset: Dataset,
        plan: TrainPlan,
        run: RunFolder,
        identity: Mapping[str, Any],
        progress: Progress,
        place: Place | None = None,
    ) -> None:
        self.module, self.plan, self.run, self.progress = module, plan, run, progress
        self.place = place or Place()
        self._identity = identity
        self._dataset = dataset
        key = self.place.key(plan.seed)
        self._tasks: TaskBatches | None = None
        self._batches: Batches | TaskBatches
        if plan.over:
            self._batches = self._tasks = self._over_tasks(key)
            self._total = self._tasks.total
        else:
            self._batches = Batches(table_of(module, dataset), plan.batch, key, dataset.parts["train"])
            self._total = plan.total(self._batches.per_epoch)
        module.examples = self._batches.rows
        self._interval = plan.interval(self._batches.per_epoch)
        self._report_part, self._report_rows = self._report_examples()
        self._window = _Window()
        self._pending: list[tuple[int, dict[str, Tensor]]] = []  # (batch size, statistics)
        self._saved_at = time.monotonic()
        self._saved_step = -1
        self._text = ""
        self._watchers = [Watcher(plan.watch) for _ in module.seeds] if plan.watch is not None else []  # one a replica
        self._best: dict[str, Tensor] | None = None  # every slot as it would be if the run ended, where that is not now

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take up the report window and the best report of a restored checkpoint.

        Raises:
            CheckpointError: when the run in the checkpoint is longer than this plan.
        """
        if self.module.t > self._total:
            raise CheckpointError(
                f"the checkpoint is at step {self.module.t}, this plan ends at step {self._total}: ask for more epochs"
            )
        window: Mapping[str, Any] = state.get("window") or {}
        self._window = _Window(dict(window.get("sums", {})), int(window.get("count", 0)))
        if self._watchers and state.get("watch") is not None:
            each = state["watch"] if self.module.REPLICAS else [state["watch"]]
            for watcher, seen in zip(self._watchers, each, strict=True):
                watcher.restore(seen)
            self._best = read_best(self.run.checkpoint, self.module)
        self._saved_step = self.module.t
        self.run.metrics({"step": self._step_number, "event": "resume"})

    @property
    def _step_number(self) -> int:
        """Steps done in the whole run."""
        return self.place.done + self.module.t

    def fit(self) -> None:
        """Train to the end of the plan; the module is then what the plan leaves (`keep best`: the best report's state).

        Raises:
            Diverged: the objective, a parameter or a state is not finite; the last good checkpoint stays.
            Interrupted: SIGINT or SIGTERM; the state was saved.
            RunFailed: out of memory, or the folder cannot be written.
        """
        module = self.module
        if self._saved_step < 0:
            self._save()
        name = self.place.named(type(module).__name__)
        self.run.log(f"{name}: training from step {module.t} to {self._total}, {self._batches.rows} examples")
        self.progress.start(name, self._total, module.t)
        try:
            with Stop() as stop:
                while not self._done() and stop.received is None:
                    self._step()
                if stop.received is not None and not self._done():
                    self._interrupt(stop.received)
        except torch.OutOfMemoryError as error:
            raise RunFailed(f"out of memory at step {module.t + 1}: ask for a smaller batch ({error})") from error
        finally:
            self.progress.stop()
        self._drain()
        self._save()
        self._take_best()

    def _done(self) -> bool:
        """Is the plan made, or has the watched metric not got better for too long (in any replica)?"""
        return self.module.t >= self._total or (bool(self._watchers) and all(w.done for w in self._watchers))

    def _step(self) -> None:
        """One learn step and whatever is due after it."""
        module = self.module
        batch = self._batches.at(module.t)
        if self._tasks is not None:
            module.examples = self._tasks.examples_of(self._tasks.task(module.t))
        try:
            stats = module.advance(batch)
        except Diverged as error:
            raise self._refused(error) from None
        self._pending.append((next(iter(batch.values())).shape[module.batch_dim], stats))
        due = module.t % self._interval == 0 or (self._tasks is not None and module.t in self._tasks.ends)
        save = time.monotonic() - self._saved_at > SAVE_SECONDS
        if due or save or module.device.type == "cpu" or len(self._pending) >= _DRAIN_STEPS:
            self._drain()
        if due:
            self._report()
        if save:
            self._save()
        self.progress.step(module.t, self._text)

    def _drain(self) -> None:
        """Add the results of the steps since the last time to the report's window."""
        for count, stats in self._pending:
            values = {name: float(value.mean() if value.ndim else value) for name, value in stats.items()}
            self._window.add(values, count)
        self._pending.clear()

    def _refused(self, error: Diverged) -> Diverged:
        """A step that was stopped before it wrote: the state of the last good step is saved."""
        self._drain()
        self._save(str(error))
        return self._diverged(str(error), error.step)

    def _diverged(self, what: str, step: int) -> Diverged:
        epoch = (step - 1) // self._batches.per_epoch + 1
        message = (
            f"the run diverged: {what} (epoch {epoch}); the last good checkpoint, of step "
            f"{max(self._saved_step, 0)}, is in {self.run.checkpoint}; a smaller learning rate usually helps"
        )
        self.run.log(message)
        return Diverged(message, step)

    def _report(self) -> None:
        """Measure the report part; one line in metrics.jsonl and in the log."""
        scores, probes = evaluate(self.module, self._rows_so_far())
        row: dict[str, Any] = {
            "step": self._step_number,
            **self.place.facts(),
            "epoch": self.module.t / self._batches.per_epoch,
            "part": self._report_part,
            **scores.row(),
            "train": self._window.means(),
        }
        if self._tasks is not None:
            row |= {
                "task": self._tasks.task(self.module.t - 1),
                "tasks": [s.mean for s in self._of_tasks(self._report_part)],
            }
        if probes:
            row["probes"] = {name: _probe(value) for name, value in probes.items()}
        self.run.metrics(row)
        self._text = scores.text()
        self.run.log(f"step {self.module.t}  {self._report_part}: {self._text}")
        self._window = _Window()
        self._watch(scores)

    def _watch(self, scores: Scores) -> None:
        """Let the watcher of each replica see a report, and remember the state of one that is at its best or stops: the
        others go on, and its result is that of a run of its own."""
        for r, (watcher, metrics) in enumerate(zip(self._watchers, scores.each, strict=False)):
            if watcher.done:
                continue
            better = watcher.see(metrics[watcher.plan.metric], self.module.t)
            if better if watcher.plan.keep else watcher.done and self.module.REPLICAS:
                self._remember(r)
            if watcher.done:
                which = f"replica {r} (seed {self.module.seeds[r]}) " if self.module.REPLICAS else ""
                self.run.log(f"{which}stopped: {watcher.waited} reports without a better {watcher.text()}")

    def _remember(self, replica: int) -> None:
        """Let the result of a replica (of a single run: its own) be the state as it is now."""
        states = {slot.path: self.module.state(slot.path).detach() for slot in self.module.STATE}
        if self._best is None or self.module.REPLICAS is None:
            self._best = {path: value.clone() for path, value in states.items()}
            return
        for path, value in states.items():
            self._best[path][replica] = value[replica]

    def _follow(self) -> None:
        """Replicas that have nothing remembered: their result would be the state as it is now."""
        if self._best is not None and self.module.REPLICAS is not None:
            for r, watcher in enumerate(self._watchers):
                if watcher.best is None if watcher.plan.keep else not watcher.done:
                    self._remember(r)

    def _save(self, why: str | None = None) -> None:
        """Write a checkpoint, unless a number in it is not finite; ``why`` it is looked at, where that is known."""
        module = self.module
        for slot in module.STATE:
            value = module.state(slot.path)
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                what = why or f"`{slot.path}` is not finite after step {module.t}{which(module, value)}"
                raise self._diverged(what, module.t + bool(why))
        self._follow()
        window = {"sums": self._window.sums, "count": self._window.count}
        epoch, position = divmod(module.t, self._batches.per_epoch)
        watch = self._watched(lambda watcher: watcher.state())
        block = {"block": self.place.index, "steps_before": self.place.done}
        entries = {**self._identity, **block, "epoch": epoch, "position": position, "window": window, "watch": watch}
        self.run.save(module, entries, self._best)
        self._saved_at, self._saved_step = time.monotonic(), module.t

    def _interrupt(self, number: int) -> None:
        self._drain()
        self._save()
        message = f"interrupted at step {self.module.t} of {self._total}; saved in {self.run.path}, go on with --resume"
        self.run.log(message)
        raise Interrupted(message, number, self.module.t)

    def measure(self, seconds: float) -> Outcome:
        """Scores on the final part, after the last block; ``seconds`` is how long the run took."""
        part = final_part(self._dataset)
        examples = to_tensors(self.module, self._dataset.part(part))
        scores, _ = evaluate(self.module, examples)
        each = self._of_tasks(part) if self._tasks is not None else []
        failed = failures(self.module, examples, part)
        steps = self._step_number
        row: dict[str, Any] = {"step": steps, **self.place.facts(), "part": part, **scores.row(), "final": True}
        if self._watchers:
            row["best"] = self._watched(lambda w: {k: v for k, v in w.state().items() if k != "waited"})
        if each:
            row["tasks"] = [one.mean for one in each]
        if self.module.ASSERTS:
            row["failed"] = list(failed)
        self.run.metrics(row)
        for line in failed:
            self.run.log(line)
        self.run.log(f"done after {steps} steps, {seconds:.1f} s  {part}: {scores.text()}")
        return Outcome(scores, part, steps, seconds, failed, tuple(each))

    def _watched(self, state: Callable[[Watcher], dict[str, Any]]) -> list[dict[str, Any]] | dict[str, Any] | None:
        """What the watchers know: a list for replicas, of a single run its own, None when nothing is watched."""
        each = [state(watcher) for watcher in self._watchers]
        return each if self.module.REPLICAS else next(iter(each), None)

    def _take_best(self) -> None:
        """`keep best`: the result is the state of the best report.  The checkpoint holds the last state beside it."""
        if self._best is None:
            return
        with torch.no_grad():
            for path, value in self._best.items():
                self.module.state(path).copy_(value)
        texts = [watcher.text() for watcher in self._watchers if watcher.plan.keep]
        if texts:
            self.run.log(f"kept the best report: {', '.join(texts)}")

    def _over_tasks(self, key: int) -> TaskBatches:
        plan, examples = self.plan, table_of(self.module, self._dataset)
        rows = self._dataset.by_task("train")
        return TaskBatches(examples, plan.batch, key, rows, replay=plan.replay, epochs=plan.epochs, steps=plan.steps)

    def _of_tasks(self, part: str) -> list[Scores]:
        """The scores on a part, task by task, of the tasks so far; of training data on a sample of each task's."""
        assert self._tasks is not None
        so_far = self._tasks.task(self.module.t - 1) + 1
        each = (self._dataset.rows(rows[..., :SAMPLE]) for rows in self._dataset.by_task(part)[:so_far])
        return [evaluate(self.module, to_tensors(self.module, rows))[0] for rows in each]

    def _rows_so_far(self) -> dict[str, Tensor]:
        """What reports are of; with tasks, the examples of those that were begun."""
        if self._tasks is None:
            return self._report_rows
        so_far = self._tasks.task(self.module.t - 1) + 1
        known = [rows[..., :SAMPLE] for rows in self._dataset.by_task(self._report_part)[:so_far]]
        return to_tensors(self.module, self._dataset.rows(np.concatenate(known, axis=-1)))

    def _report_examples(self) -> tuple[str, dict[str, Tensor]]:
        """The part that reports are of: valid, else up to 2,048 training examples, the same ones each time."""
        if "valid" in self._dataset.parts:
            return "valid", to_tensors(self.module, self._dataset.part("valid"))
        train = self._dataset.parts["train"]
        chosen = permutations(self.plan.seed, "train.report", train.shape)[..., :SAMPLE]
        return "train", to_tensors(self.module, self._dataset.rows(np.take_along_axis(train, chosen, -1)))


def _probe(value: Tensor) -> object:
    """A probe for the log: its numbers, or a summary of many."""
    if value.numel() <= _PROBE_NUMBERS:
        return cast("object", value.tolist())  # pyright: ignore[reportUnknownMemberType]
    return {
        "mean": float(value.mean()),
        "min": float(value.min()),
        "max": float(value.max()),
        "shape": list(value.shape),
    }
