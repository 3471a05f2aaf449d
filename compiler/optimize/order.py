"""Whether passes stand in an order in which each finds what it requires.

Properties are followed by name: what a pass establishes holds until a pass destroys it.  A pass that is switched off
takes nothing from the others but effect (``base.py``), so what it would have established is not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..diagnostics import InternalError
from .base import Pass
from .properties import PROPERTIES


class PipelineError(InternalError):
    """The passes are in no order that can work: a fault of the pipeline, not of a spec."""


def check_order(passes: Sequence[Pass], off: Sequence[Pass] = ()) -> None:
    """Follow the properties through the passes; ``off`` are those that are switched off.

    Raises:
        PipelineError: a pass names a property that there is not, or requires one that does not hold when it runs.
    """
    waived = frozenset[str]().union(*(p.establishes for p in off))
    holds: set[str] = set()
    destroyed: dict[str, str] = {}
    for p in passes:
        unknown = sorted((p.requires | p.establishes | p.destroys) - PROPERTIES.keys())
        if unknown:
            raise PipelineError(f"the pass `{p.name}` names the property `{unknown[0]}`, which there is not")
        for name in sorted(p.requires - holds - waived):
            why = (
                f"`{destroyed[name]}` destroys it first" if name in destroyed else "nothing before it establishes that"
            )
            raise PipelineError(f"the pass `{p.name}` requires {name}, but {why}")
        destroyed |= dict.fromkeys(holds & p.destroys, p.name)
        holds = (holds - p.destroys) | p.establishes
