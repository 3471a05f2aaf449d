"""Everything the runtime refuses, each refusal with its reason and one fix.  Importable without torch.

``exit_code`` is what the command line exits with (0 ok, 1 findings, 2 usage or unreadable input, 3 something
optional is missing, 4 the run diverged or failed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .scores import Scores


class RuntimeFault(Exception):
    """Base of all errors of the runtime; the message is meant for the user."""

    exit_code: ClassVar[int] = 4

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would print its repr


class InputError(RuntimeFault, ValueError):
    """An input with an unknown name, a wrong shape, a wrong kind or labels outside their axis."""

    exit_code = 2


class MissingInput(RuntimeFault, KeyError):
    """A value was asked for that needs an input which was not given; ``name`` is that input."""

    exit_code = 2

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class OutsideAxis(RuntimeFault, IndexError):
    """A computed index that is no label of its axis; the message names the line of the spec."""


class ExternFailed(RuntimeFault):
    """Python that a spec calls is not there, raised, or gave something else than declared; the message names the line."""


class UnknownValue(RuntimeFault, KeyError):
    """A name that the model does not compute."""

    exit_code = 2


class NeedsExamples(RuntimeFault):
    """The number of training examples N is read, but was not given."""

    exit_code = 2


class NotTrainable(RuntimeFault):
    """The model has no learn step, or nothing to train on."""

    exit_code = 2


class AbiError(RuntimeFault):
    """An emitted module that this runtime cannot run: another ABI, or another shape than its own tables say."""

    exit_code = 2


class CacheError(RuntimeFault):
    """The private cache cannot be used."""

    exit_code = 2


class CheckpointError(RuntimeFault):
    """A checkpoint that is missing, damaged, of a newer version, or of another model."""

    exit_code = 2


class RunFolderError(RuntimeFault):
    """A run folder that is not empty, is locked by another writer, or cannot be written."""

    exit_code = 2


class MissingDependency(RuntimeFault):
    """An optional package or a device that is not there."""

    exit_code = 3


class DataFileMissing(RuntimeFault, FileNotFoundError):
    """The data file of a spec is not there."""

    exit_code = 2


class Diverged(RuntimeFault):
    """The objective or a parameter stopped being a finite number at ``step`` (counted from 1)."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class AssertFailed(RuntimeFault):
    """An `assert` of the spec does not hold; the run is complete, its metrics are ``scores`` on ``part``."""

    def __init__(self, message: str, part: str, scores: Scores) -> None:
        super().__init__(message)
        self.part = part
        self.scores = scores


class RunFailed(RuntimeFault):
    """The run could not go on (out of memory, a disk that is full)."""


class Interrupted(RuntimeFault):
    """The run was interrupted by a signal, after its state was saved; exits with 128 + the signal's number."""

    def __init__(self, message: str, signal_number: int, step: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.step = step


@dataclass(frozen=True, slots=True)
class DataProblem:
    """One finding about data: a registered code, the input and column it concerns, sizes in the message, one fix."""

    code: str
    message: str
    help: str | None = None
    input: str | None = None
    column: str | None = None
    severity: str = "error"


class DataError(RuntimeFault):
    """The data do not fit the spec; ``problems`` holds every finding."""

    exit_code = 1

    def __init__(self, problems: Sequence[DataProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(f"{p.code}: {p.message}" + (f" (help: {p.help})" if p.help else "") for p in problems)
        )
