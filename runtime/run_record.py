"""What a run folder says about itself, read without torch: the JSON part of its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .errors import CheckpointError
from .version import CHECKPOINT

CHECKPOINT_FOLDER = "checkpoint"
STATE_FILE = "state.json"


@dataclass(frozen=True, slots=True)
class Record:
    """The spec of a run, the folder its data paths start from, the options that it was compiled with, the files it uses."""

    name: str
    text: str
    folder: Path
    options: Mapping[str, Any]
    used: Mapping[str, str]


def read_state(folder: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint folder.

    Raises:
        CheckpointError: missing, unreadable, or written by a newer version.
    """
    path = folder / STATE_FILE
    try:
        raw: object = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(f"there is no checkpoint in {folder}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"the checkpoint {path} cannot be read: {error}") from error
    state = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    version = state.get("checkpoint")
    if version != CHECKPOINT:
        fix = "; upgrade dltc" if isinstance(version, int) and version > CHECKPOINT else ""
        raise CheckpointError(f"{path} is checkpoint version {version}, this dltc reads {CHECKPOINT}{fix}")
    return state


def entry(state: Mapping[str, Any], *path: str) -> Any:
    """An entry of ``state.json`` that must be there: ``entry(state, "spec", "sha256")``.

    Raises:
        CheckpointError: it is not.
    """
    value: Any = state
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            raise CheckpointError(f"the checkpoint is damaged: {STATE_FILE} has no `{'.'.join(path)}`")
        value = cast("Mapping[str, Any]", value)[key]
    return value


def whole(state: Mapping[str, Any], *path: str) -> int:
    """An entry that must be a whole number of at least 0.

    Raises:
        CheckpointError: it is not there, or something else.
    """
    value = entry(state, *path)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise CheckpointError(f"the checkpoint is damaged: `{'.'.join(path)}` of {STATE_FILE} is no whole number")
    return value


def read_alphabet(run: Path) -> str | None:
    """The characters of the text that a run learnt from, in order; None of a run with other data.

    Raises:
        CheckpointError: see :func:`read_state`; or they are no alphabet.
    """
    found = read_state(run / CHECKPOINT_FOLDER).get("alphabet")
    if found is not None and (not isinstance(found, str) or list(found) != sorted(set(found))):
        raise CheckpointError(f"the checkpoint is damaged: `alphabet` of {STATE_FILE} is no alphabet")
    return found


def _check_options(options: Mapping[str, Any]) -> None:
    """The options of a run are texts, a whole number, a table of texts and a list of texts."""
    kinds = {"target": str, "model": str, "dtype": str, "seed": int, "set": dict, "without": list}
    wrong = [k for k, kind in kinds.items() if options.get(k) is not None and not isinstance(options[k], kind)]
    wrong += [k for k in ("seed",) if isinstance(options.get(k), bool)]
    if not wrong and not all(isinstance(name, str) for name in options.get("without") or ()):
        wrong.append("without")
    if wrong:
        raise CheckpointError(f"the checkpoint is damaged: `options.{wrong[0]}` of {STATE_FILE} has a wrong type")


def read_record(run: Path) -> Record:
    """The record of a run folder.

    Raises:
        CheckpointError: no run, a damaged one, or one of a newer version.
    """
    state = read_state(run / CHECKPOINT_FOLDER)
    options = entry(state, "options")
    if not isinstance(options, Mapping):
        raise CheckpointError(f"the checkpoint is damaged: `options` of {STATE_FILE} is no object")
    _check_options(cast("Mapping[str, Any]", options))
    name, text, folder = (entry(state, *path) for path in (("spec", "name"), ("spec", "text"), ("folder",)))
    if not all(isinstance(part, str) for part in (name, text, folder)) or "\0" in folder:
        raise CheckpointError(f"the checkpoint is damaged: `spec` and `folder` of {STATE_FILE} are texts")
    used: object = state["spec"].get("used", {})  # runs of older versions have none
    texts = cast("Mapping[object, object]", used) if isinstance(used, Mapping) else {None: None}
    if not all(isinstance(text, str) for pair in texts.items() for text in pair):
        raise CheckpointError(f"the checkpoint is damaged: `spec.used` of {STATE_FILE} are texts")
    return Record(
        name, text, Path(folder), dict(cast("Mapping[str, Any]", options)), dict(cast("Mapping[str, str]", texts))
    )
