"""The graph diff: what changed in meaning between two specs.

    compile a, compile b --> canonical terms (no names, no order) --> a pairing of names --> changes, or none

Names of values, axes, `let`s and rules, the order of statements and operands, layout and comments leave no trace in the
canonical form.  Names of parameters and inputs do: they are what checkpoints and callers know.
"""

from __future__ import annotations

from .compare import differences
from .report import CLASSES, NEUTRAL, SCHEMA, Change, Diff
from .side import Artefact

LEVELS = ("graph",)


def diff_artefacts(a: Artefact, b: Artefact, *, level: str = "graph") -> Diff:
    """Compare two compiled specs.

    Raises:
        ValueError: there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"no level is called {level!r}: choose one of {', '.join(LEVELS)}")
    return Diff(a.name, b.name, differences(a, b), level)


__all__ = ["CLASSES", "LEVELS", "NEUTRAL", "SCHEMA", "Artefact", "Change", "Diff", "diff_artefacts"]
