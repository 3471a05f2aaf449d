"""What torch itself counts and allocates when an emitted module runs: the oracle of the cost model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

_aten = torch.ops.aten
_OVERLOOKED = {
    _aten.addmm_: lambda target, a, b, **_: 2 * a[0] * a[1] * b[1],
    _aten.baddbmm_: lambda target, a, b, **_: 2 * a[0] * a[1] * a[2] * b[2],
    _aten.mv: lambda a, b, **_: 2 * a[0] * a[1],
    _aten.dot: lambda a, b, **_: 2 * a[0],
}
"""Products that torch's counter leaves out, by their shapes."""


def flops(run: Callable[[], Any], *, everything: bool = False) -> int:
    """The floating-point operations that torch's counter sees; ``everything``: with the products that it overlooks."""
    with FlopCounterMode(display=False, custom_mapping=_OVERLOOKED if everything else {}) as counter:
        run()
    return counter.get_total_flops()


def peak_bytes(run: Callable[[], Any]) -> int:
    """The most bytes that were allocated at one time on top of what was before: every block of torch's CPU allocator, those
    inside its operations too."""
    kept = []
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept.append(run())
    live = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak
