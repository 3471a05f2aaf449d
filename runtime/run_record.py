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
    """The spec of a run, the folder its data paths start from, and the options that it was compiled with."""

    name: str
    text: str
    folder: Path
    options: Mapping[str, Any]


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
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the checkpoint {path} cannot be read: {error}") from error
    state = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    version = state.get("checkpoint")
    if version != CHECKPOINT:
        fix = "; upgrade dltc" if isinstance(version, int) and version > CHECKPOINT else ""
        raise CheckpointError(f"{path} is checkpoint version {version}, this dltc reads {CHECKPOINT}{fix}")
    return state


def read_record(run: Path) -> Record:
    """The record of a run folder.

    Raises:
        CheckpointError: no run, a damaged one, or one of a newer version.
    """
    state = read_state(run / CHECKPOINT_FOLDER)
    try:
        spec, options = state["spec"], state["options"]
        return Record(str(spec["name"]), str(spec["text"]), Path(str(state["folder"])), dict(options))
    except (KeyError, TypeError, ValueError) as error:
        path = run / CHECKPOINT_FOLDER / STATE_FILE
        raise CheckpointError(f"the checkpoint {path} does not say what was trained: {error!r}") from error
