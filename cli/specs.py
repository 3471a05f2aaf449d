"""Reading specs and handing them to the compiler: the one place that knows both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ..compiler.diagnostics import Diagnostic, Source, Span, SpecError, did_you_mean
from ..runtime.errors import DataError, DataFileMissing
from ..runtime.run_record import read_record

if TYPE_CHECKING:
    from ..compiler.diff import Diff
    from ..compiler.pipeline import Artefact, Checked, Options

TARGETS = ("torch", "cpu", "cuda")
"""All that the language knows; `pipeline.TARGETS` are those that are compiled today."""

PASSES = ("constants", "stable", "sums", "share", "contraction", "dead")
"""What `--without` switches off: each of `pipeline.PASSES` once."""

_LIMIT = 4_000_000  # bytes read of a spec; the compiler refuses smaller ones already, with a code
_AUTOMOTIVE = b"DLT\x01"


class Unreadable(click.ClickException):
    """An argument that cannot be read; exits with 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class SpecText:
    """A spec as text: the name that diagnostics show, and the folder that its data paths start from."""

    name: str
    text: str
    folder: Path
    used: Mapping[str, str] | None = None
    """Texts of the files that it uses, where they are not in the folder."""
    revision: str = ""
    """The git revision that they are in."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line or a caller chose for a compilation; texts as on the command line."""

    target: str = "torch"
    set: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str | None = None
    seed: int | None = None
    dtype: str | None = None
    allow_extern: bool = False
    allow_path: bool = False
    without: tuple[str, ...] = ()
    cached: bool = True
    """Whether a compilation may be taken from the compile cache, and is kept there; no part of what is compiled."""

    def identity(self) -> dict[str, Any]:
        """What a run records of them: all that changes meaning."""
        off = {"without": list(self.without)} if self.without else {}  # runs of older versions know no such option
        return {
            "target": self.target,
            "set": dict(self.set),
            "model": self.model,
            "seed": self.seed,
            "dtype": self.dtype,
            "allow_extern": self.allow_extern,
            **off,
        }

    @classmethod
    def of_identity(cls, record: Mapping[str, Any]) -> Choices:
        """The choices that a run recorded; permissions are not taken from a run folder."""
        overrides: Mapping[str, Any] = record.get("set") or {}
        return cls(
            str(record.get("target", "torch")),
            {str(name): str(value) for name, value in overrides.items()},
            record.get("model"),
            record.get("seed"),
            record.get("dtype"),
            without=tuple(record.get("without") or ()),
        )


def read_spec(path: str) -> SpecText:
    """A spec from a file, or from standard input for ``-``.

    Raises:
        Unreadable: the file cannot be read.
        SpecError: E0104 for bytes that are not UTF-8.
    """
    if path == "-":
        return SpecText("<stdin>", _decode(sys.stdin.buffer.read(_LIMIT), "<stdin>"), Path())
    try:
        with open(path, "rb") as stream:
            content = stream.read(_LIMIT)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    return SpecText(path, _decode(content, path), Path(path).parent)


def _decode(content: bytes, name: str) -> str:
    if content.startswith(_AUTOMOTIVE):
        return content[:80].decode("latin-1")  # the compiler says what this is
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(content) == _LIMIT and error.start >= _LIMIT - 4:
            return content[: error.start].decode("utf-8")
        text = content[: error.start].decode("utf-8") + "\ufffd"
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8 text"
        finding = Diagnostic("E0104", message, Span(name, len(text) - 1, len(text)), help="save the file as UTF-8")
        raise SpecError([finding], {name: Source(name, text)}) from error


def check_spec(spec: SpecText, choices: Choices) -> Checked:
    """All diagnostics of a spec and, when there are no errors, its typed model."""
    from ..compiler import pipeline

    return pipeline.check(spec.text, spec.name, _options(spec, choices, "check"))


def compile_spec(spec: SpecText, choices: Choices, verb: str) -> Artefact:
    """The compiled spec; ``verb`` names the command in the emitted header.

    Raises:
        SpecError: with every finding.
    """
    from ..compiler import pipeline

    return pipeline.compile_spec(spec.text, spec.name, _options(spec, choices, verb))


def compare(before: Artefact, after: Artefact, level: str) -> Diff:
    """What differs in meaning between two compiled specs.

    Raises:
        ValueError: there is no such level.
    """
    from ..compiler.diff import Artefact as Comparable
    from ..compiler.diff import diff_artefacts

    # the casts are for pyright, which takes no cached_property for the property that the protocol asks for
    return diff_artefacts(cast(Comparable, before), cast(Comparable, after), level=level)


def _options(spec: SpecText, choices: Choices, verb: str) -> Options:
    from ..compiler import pipeline

    if choices.target not in TARGETS:
        hint = did_you_mean(choices.target, TARGETS) or f"there are {', '.join(TARGETS)}"
        raise SpecError([Diagnostic("E0702", f"unknown target `{choices.target}`", help=hint)], {})
    if choices.target not in pipeline.TARGETS:
        message = f"the target `{choices.target}` is not compiled yet"
        raise SpecError([Diagnostic("E0901", message, help=f"use --target {pipeline.TARGETS[0]}")], {})
    unknown = [name for name in choices.without if name not in PASSES]
    if unknown:
        raise SpecError([Diagnostic("E0702", f"unknown pass `{unknown[0]}`", help=pass_hint(unknown[0]))], {})
    return pipeline.Options(
        target=choices.target,
        set=with_sizes_of_text(spec, choices).set,
        model=choices.model,
        seed=choices.seed,
        dtype=choices.dtype,
        allow_extern=choices.allow_extern,
        allow_path=choices.allow_path,
        command=command_text(spec, choices, verb),
        without=choices.without,
        read=lambda path: used_text(spec, path, allow_path=choices.allow_path),
    )


def with_sizes_of_text(spec: SpecText, choices: Choices) -> Choices:
    """The choices with the sizes of axes that a text sizes by its alphabet, as `--set` would; those of a text that cannot be
    read stay open."""
    if "text" not in spec.text:
        return choices
    from ..compiler.frontend.alphabet import axes_of_text
    from ..runtime.sources import alphabet_of

    sizes: dict[str, str] = {}
    for axis, path in axes_of_text(spec.text, spec.name, choices.model, choices.set).items():
        try:
            letters = alphabet_of({"kind": "text", "path": path}, spec.folder, allow_path=choices.allow_path)
        except (DataError, DataFileMissing):
            continue
        sizes[axis] = str(len(letters or ""))
    return replace(choices, set={**sizes, **choices.set})


def used_text(spec: SpecText, path: str, *, allow_path: bool) -> str:
    """The text of a file that a spec uses, by its path from the spec's folder.

    Raises:
        OSError: it cannot be read; PermissionError when it lies outside and ``allow_path`` is not given.
    """
    if spec.used is not None:
        if path not in spec.used:
            raise FileNotFoundError(2, "the run does not hold it")
        return spec.used[path]
    if not allow_path and not (spec.folder / path).resolve().is_relative_to(spec.folder.resolve()):
        raise PermissionError(1, "it lies outside the folder")
    if spec.revision:
        try:
            return _decode(_git_show(f"{spec.revision}:{(spec.folder / path).as_posix()}"), path)
        except Unreadable as problem:
            raise FileNotFoundError(2, problem.message) from problem
    with open(spec.folder / path, "rb") as stream:
        return _decode(stream.read(_LIMIT), path)


def pass_hint(name: str) -> str:
    """What a pass that there is not may have meant, and all that there are."""
    known = f"the passes are {', '.join(PASSES)}"
    meant = did_you_mean(name, PASSES)
    return f"{meant} ({known})" if meant else known


def command_text(spec: SpecText, choices: Choices, verb: str) -> str:
    """The command for headers and manifests: the same on every machine and in every folder."""
    parts = ["dltc", verb, os.path.basename(spec.name)]
    if choices.target != "torch":
        parts.append(f"--target {choices.target}")
    parts += [f"--set {name}={value}" for name, value in sorted(choices.set.items())]
    named = (("model", choices.model), ("seed", choices.seed), ("dtype", choices.dtype))
    parts += [f"--{name} {value}" for name, value in named if value is not None]
    parts += [f"--without {name}" for name in choices.without]
    return " ".join(parts + (["--allow-extern"] if choices.allow_extern else []))


# what a run folder or a git revision holds


def read_run(folder: Path, given: Choices) -> tuple[SpecText, Choices]:
    """The spec that a run was trained from and the choices that it was compiled with.

    Args:
        folder: the run folder.
        given: permissions given now; everything else comes from the run.

    Raises:
        CheckpointError: there is no run, or its record is damaged.
    """
    record = read_record(folder)
    choices = Choices.of_identity(record.options)
    allowed = replace(choices, allow_path=given.allow_path, allow_extern=given.allow_extern, cached=given.cached)
    return SpecText(record.name, record.text, record.folder, record.used), allowed


def read_side(argument: str, choices: Choices) -> tuple[SpecText, Choices]:
    """One side of a diff: a spec file, a run folder, or ``REV:path`` of git.

    Raises:
        Unreadable: none of these.
    """
    path = Path(argument)
    if path.is_dir():
        return read_run(path, choices)
    revision, colon, inside = argument.partition(":")
    if colon and not path.exists() and revision and inside and not argument.startswith("-"):
        text = _decode(_git_show(argument), argument)
        return SpecText(argument, text, Path(inside).parent, revision=revision), choices
    return read_spec(argument), choices


def _git_show(argument: str) -> bytes:
    try:
        done = subprocess.run(["git", "show", "--end-of-options", argument], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise Unreadable(f"{argument} cannot be read: git is not installed") from error
    if done.returncode:
        raise Unreadable(f"{argument} cannot be read: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout[:_LIMIT]
