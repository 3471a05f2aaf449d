"""Training and evaluating from the command line and from Python: findings about data get their place in the spec."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..compiler.diagnostics import SpecError
from ..runtime.errors import DataError, RunFolderError
from ..runtime.progress import Progress
from ..runtime.run_record import read_alphabet
from ..runtime.scores import Scores
from .compiled import Program, of_artefact, program
from .console import Console
from .data_check import diagnostic_of
from .specs import Choices, SpecText, compile_spec, read_run, read_spec

if TYPE_CHECKING:
    from ..runtime.session import RunResult

DRAWN = 10
"""Examples that `sample` draws if nothing says how many."""


def train_spec(
    spec: SpecText,
    choices: Choices,
    out: str | None,
    *,
    resume: bool,
    force: bool,
    device: str,
    progress: Progress,
    console: Console | None = None,
) -> RunResult:
    """Compile and train.

    Raises:
        SpecError: mistakes in the spec, or data that do not fit it.
        RuntimeFault: see :func:`..runtime.session.train`.
    """
    compiled = _program(spec, choices, console)
    _start()
    from ..runtime import session

    folder = Path(out) if out is not None else None
    job = compiled.job()
    try:
        return session.train(job, folder, resume=resume, force=force, device=device, progress=progress)
    except DataError as error:
        raise _placed(error, compiled) from error


def evaluate_folder(
    run: Path, given: Choices, *, device: str, part: str | None, console: Console | None = None
) -> tuple[str, Scores]:
    """Compile a run's spec again and measure its checkpoint; returns the part and the scores on it.

    The module in the run folder is not executed: a run folder may come from anyone.

    Raises:
        SpecError: this compiler does not accept the spec any more.
        RuntimeFault: see :func:`..runtime.session.evaluate_run`.
    """
    spec, choices = read_run(run, given)
    compiled = _program(spec, choices, console)
    _start()
    from ..runtime import session

    try:
        return session.evaluate_run(compiled.job(), run, device=device, part=part)
    except DataError as error:
        raise _placed(error, compiled) from error


def draw_curves(run: Path) -> None:
    """The run's curves as a picture in its folder, where matplotlib is installed.

    Raises:
        RuntimeFault: the folder cannot be written any more.
    """
    from ..runtime.curves import CURVES_FILE, can_draw, draw, read_series
    from ..runtime.files import write_atomic

    if can_draw() and read_series(run):
        try:
            write_atomic(run / CURVES_FILE, draw([run]))
        except OSError as error:
            raise RunFolderError(f"{run / CURVES_FILE} cannot be written: {error.strerror}") from error


def predict_folder(
    run: Path,
    data: Path,
    given: Choices,
    *,
    device: str,
    binary: bool,
    progress: Progress,
    console: Console | None = None,
) -> tuple[bytes, int]:
    """The outputs of a run on a data file, as the content of an .npz file or as JSON lines; and the number of rows.

    Raises:
        SpecError: this compiler does not accept the spec any more, or the data do not fit it.
        RuntimeFault: see :func:`..runtime.predict.predict_run`.
    """
    spec, choices = read_run(run, given)
    compiled = _program(spec, choices, console)
    _start()
    from ..runtime import predict

    try:
        outputs = predict.predict_run(compiled.job(), run, data, device=device, progress=progress)
    except DataError as error:
        raise _placed(error, compiled) from error
    replicas = compiled.manifest["replicas"] is not None
    rows = next(iter(outputs.values())).shape[int(replicas)]
    if binary:
        return predict.as_npz(outputs), rows
    lines = predict.as_lines(outputs, replicas=replicas)
    return "".join(f"{line}\n" for line in lines).encode(), rows


def sample_from(
    source: str, count: int | None, given: Path | None, choices: Choices, *, device: str, binary: bool
) -> tuple[bytes, int]:
    """Examples drawn from a spec (parameters from their priors) or a run (the trained ones), as a file's content.

    Raises:
        SpecError: mistakes in the spec, or given data that do not fit it.
        RuntimeFault: see :func:`..runtime.sample.sample`.
    """
    run = Path(source) if Path(source).is_dir() else None
    spec, choices = read_run(run, choices) if run is not None else (read_spec(source), choices)
    artefact = compile_spec(spec, choices, "sample").sampling(priors=run is None)
    compiled = of_artefact(artefact, spec, choices, "sample")
    _start()
    from ..runtime import predict, session
    from ..runtime.sample import sample
    from ..runtime.session import letters_of

    job = compiled.job()
    try:
        letters = read_alphabet(run) if run is not None else letters_of(job)
        inputs = predict.read_given(job, given, letters) if given is not None else {}
    except DataError as error:
        raise _placed(error, compiled) from error
    rows = count or (len(next(iter(inputs.values()))) if inputs else DRAWN)
    module = session.trained(job, run, device=device) if run is not None else predict.drawn(job, device=device)
    seed = choices.seed if choices.seed is not None else predict.seed_of(job)
    values = sample(module, rows, {name: value[:rows] for name, value in inputs.items()}, seed)
    if binary:
        return predict.as_npz(values), rows
    values = predict.spelled(job, values, letters)
    lines = predict.as_lines(values, replicas=compiled.manifest["replicas"] is not None)
    return "".join(f"{line}\n" for line in lines).encode(), rows


def show_metrics(console: Console, part: str, scores: Scores) -> None:
    """``test accuracy(y, s): 0.9722``, one line each; of replicas ``0.9722 +- 0.0041 (8 seeds)``."""
    spread = scores.spread
    for key, value in scores.mean.items():
        beside = f" +- {spread[key]:.2g} ({len(scores.each)} seeds)" if spread else ""
        console.result(f"{part} {key}: {value:.6g}{beside}")


def _start() -> None:
    """Before torch is imported: garbage is collected again, and idle threads are told to sleep instead of spin.

    Small models on a busy two-core machine took 17 s with spinning threads and 2 s without; alone, both took 2 s.
    """
    gc.enable()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _program(spec: SpecText, choices: Choices, console: Console | None) -> Program:
    """What trains, measures and predicts: one program, whichever command compiled it."""
    if console is None:
        return program(spec, choices, "train")
    return program(spec, choices, "train", console.detail, console.note)


def _placed(error: DataError, compiled: Program) -> SpecError:
    """Findings about data at the column expressions that they concern."""
    artefact = compiled.artefact
    names = {problem.input for problem in error.problems if problem.input is not None}
    spans = {name: span for name in names if (span := artefact.data_span(name)) is not None}
    return SpecError([diagnostic_of(problem, spans) for problem in error.problems], artefact.sources)
