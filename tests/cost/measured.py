"""What torch itself counts and allocates when an emitted module runs: the oracle of the cost model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode


def flops(run: Callable[[], Any]) -> int:
    """The floating-point operations that torch's counter sees."""
    with FlopCounterMode(display=False) as counter:
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
