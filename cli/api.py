"""The Python door: compile, load, train and compare from a program or a notebook.

Importing it is light: the compiler is imported when something is compiled, torch when something is loaded or trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compiled import Program as Compiled
from .compiled import program
from .specs import Choices, SpecText, Unreadable, compare, compile_spec, read_side, read_spec

if TYPE_CHECKING:
    import torch

    from ..compiler.diff import Diff
    from ..compiler.graph.node import Graph
    from ..runtime.module import Module

PathText = str | PathLike[str]


class Program:
    """A compiled spec.

    Attributes:
        source: text of the emitted module.
        manifest: its facts, as in manifest.json.
    """

    def __init__(self, compiled: Compiled, seed: int | None = None) -> None:
        self._compiled = compiled
        self._seed = seed
        self.source: str = compiled.source
        self.manifest: dict[str, Any] = {**compiled.manifest}

    def graph(self, level: str = "optimized") -> Graph:
        """The graph at a level: ``graph`` (the circuit), ``step`` or ``optimized``; ``.to_networkx()`` of it is public.

        Raises:
            ValueError: there is no such level.
        """
        return self._compiled.artefact.graph(level)

    def load(
        self,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        examples: int | None = None,
    ) -> Module:
        """The model: an ordinary ``torch.nn.Module`` with freshly drawn parameters.

        Args:
            seed: key of all random draws; 0, or the seed given to :func:`compile`.
            device: where its tensors live.
            dtype: dtype of real tensors; the spec's (float32 unless it says otherwise) when left out.
            examples: N, the number of training examples; needed only when a rule or the objective reads it.

        Raises:
            InputError: no such kind of device, or a dtype that is not real.
            MissingDependency: the device is not there.
        """
        from ..runtime.session import instantiate

        key = seed if seed is not None else self._seed or 0
        return instantiate(self.source, self.manifest, seed=key, device=device, dtype=dtype, examples=examples)

    def __repr__(self) -> str:
        return f"Program({self.manifest['model']}, target={self.manifest['target']!r})"


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        metrics: final values keyed by the report expression as written, plus ``nll``.
        part: the part of the data that they are of: ``test``, or ``train`` when there is no test part.
        model: the trained module.
        folder: the run folder.
        steps: learn steps done in all.
        seconds: duration of this call's training.
        spread: with `seeds K` the standard deviation of each metric over the replicas (``metrics`` are their means).
        replicas: with `seeds K` the metrics of every replica, in the order of the seeds.
        tasks: with `train over` the metrics on the examples of each task, in order.
    """

    metrics: dict[str, float]
    part: str
    model: Module
    folder: Path
    steps: int
    seconds: float
    spread: dict[str, float] | None = None
    replicas: dict[str, list[float]] | None = None
    tasks: list[dict[str, float]] | None = None


def compile(
    path: PathText | None = None,
    *,
    text: str | None = None,
    target: str = "torch",
    set: Mapping[str, object] | None = None,
    model: str | None = None,
    seed: int | None = None,
    dtype: str | None = None,
    allow_extern: bool = False,
    allow_path: bool = False,
    without: Sequence[str] = (),
) -> Program:
    """Compile a spec from a file or a text.

    Args:
        path: the spec file; leave it out to give ``text``.
        text: the spec itself.
        target: what to emit: ``torch``.
        set: overrides of axes, lets and settings, for instance ``{"hid": 64, "train.epochs": 3}``.
        model: which model of the file; else the one that trains, or the last.
        seed: seed of every draw, split and shuffle.
        dtype: ``float32`` or ``float64``.
        allow_extern: allow ``extern`` operations, which run Python code.
        allow_path: allow files outside the spec's folder.
        without: optimizer passes to switch off, for instance ``("share",)``; the module computes the same without them.

    Raises:
        SpecError: the spec has mistakes; ``.diagnostics`` holds them.
        OSError: the file cannot be read.
        TypeError: neither or both of ``path`` and ``text``.
    """
    choices = Choices(target, _texts(set), model, seed, dtype, allow_extern, allow_path, _names(without))
    return Program(program(_spec(path, text), choices, "compile"), seed)


def train(
    path: PathText | None = None,
    out: PathText | None = None,
    *,
    text: str | None = None,
    target: str = "torch",
    set: Mapping[str, object] | None = None,
    model: str | None = None,
    seed: int | None = None,
    dtype: str | None = None,
    device: str = "cpu",
    resume: bool = False,
    force: bool = False,
    quiet: bool = False,
    allow_extern: bool = False,
    allow_path: bool = False,
    without: Sequence[str] = (),
) -> Run:
    """Train a spec in a run folder, as ``dltc train`` does; see :func:`compile` for the shared arguments.

    Args:
        path: the spec file.
        out: the run folder; the next ``runs/<model>-<n>`` when left out.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        resume: go on from the folder's checkpoint.
        force: drop the run in the folder and start over.
        quiet: show no progress.

    Raises:
        SpecError: mistakes in the spec, or data that do not fit it.
        RuntimeFault: the run folder is refused, the run diverged or was interrupted (each its own subclass).
    """
    from ..runtime.progress import make_progress
    from .running import train_spec

    choices = Choices(target, _texts(set), model, seed, dtype, allow_extern, allow_path, _names(without))
    folder = fspath(out) if out is not None else None
    progress = make_progress(quiet=quiet)
    result = train_spec(
        _spec(path, text), choices, folder, resume=resume, force=force, device=device, progress=progress
    )
    done = result.outcome
    scores = done.scores
    return Run(
        scores.mean,
        done.part,
        result.module,
        result.folder,
        done.steps,
        done.seconds,
        scores.spread,
        scores.replicas,
        [one.mean for one in done.tasks] or None,
    )


def diff(before: PathText, after: PathText, *, level: str = "graph", set: Mapping[str, object] | None = None) -> Diff:
    """Compare the meaning of two specs: each a file, a run folder or ``REV:path`` of git.

    Args:
        before: one side.
        after: the other.
        level: what is compared: ``graph``.
        set: overrides for both sides; a run folder keeps its own.

    Returns:
        An object with ``.same``, ``.changes`` and ``.to_json()``; ``str()`` of it is the report.

    Raises:
        SpecError: one of them has mistakes.
        OSError: one of them cannot be read.
        ValueError: there is no such level.
    """
    choices = Choices(set=_texts(set))
    try:
        sides = [compile_spec(*read_side(fspath(side), choices), "diff") for side in (before, after)]
    except Unreadable as error:
        raise OSError(error.message) from error
    return compare(sides[0], sides[1], level)


def _texts(overrides: Mapping[str, object] | None) -> dict[str, str]:
    """Overrides as they would stand on the command line."""
    return {name: str(value) for name, value in (overrides or {}).items()}


def _names(without: Sequence[str]) -> tuple[str, ...]:
    """The passes switched off, each once and sorted; a lone string is one name, not its letters."""
    return tuple(sorted({without} if isinstance(without, str) else {*without}))


def _spec(path: PathText | None, text: str | None) -> SpecText:
    if (path is None) == (text is None):
        raise TypeError("give the path of a spec, or text=...: one of them")
    if text is not None:
        return SpecText("<text>", text, Path())
    name = fspath(path or "")
    with open(name, "rb"):  # a missing file is an ordinary OSError here, not a message for the terminal
        return read_spec(name)
