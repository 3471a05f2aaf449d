"""Numbers that stop being finite: a step refuses them before it writes, and is then replayed to say where they began.

A step computes its objective before it updates anything and passes it to :func:`check_finite`.  The replay makes the
same step again (draws are keyed, nothing was written) with every torch operation watched.
"""

from __future__ import annotations

import inspect
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from .errors import Diverged
from .values import Values

if TYPE_CHECKING:
    from .module import Module


class NotFinite(Exception):
    """Raised inside a step, before anything was written."""

    def __init__(self, objective: Tensor | float) -> None:
        super().__init__()
        self.objective = torch.as_tensor(objective)


def check_finite(objective: Tensor | float) -> None:
    """Stop a step whose objective (of replicas: of any of them) is NaN or infinite.

    Raises:
        NotFinite: it is.
    """
    if isinstance(objective, Tensor) and objective.ndim:
        fine = bool(torch.isfinite(objective).all())
    else:
        fine = math.isfinite(objective)
    if not fine:
        raise NotFinite(objective)


def diverged(module: Module, batch: Mapping[str, Tensor], stopped: NotFinite) -> Diverged:
    """The error of a step that :func:`check_finite` stopped: the step (from 1), the density terms that are not finite,
    and the first operations whose result is not, each with its line of the spec."""
    step = module.t + 1
    parts = _states(module) or [*_terms(module, batch), *_operations(module, batch)]
    head = f"the objective is {_kind(stopped.objective)}{which(module, stopped.objective)} at step {step}"
    return Diverged("; ".join([head, *parts]), step)


def which(module: Module, values: Tensor) -> str:
    """`` in replica 3 (seed 7)``: where values [replica, ..] are not finite; nothing for a single run."""
    if module.REPLICAS is None or values.ndim == 0:
        return ""
    rows = torch.isfinite(values).flatten(1).all(1) if values.ndim > 1 else torch.isfinite(values)
    bad = [f"{r} (seed {seed})" for r, seed in enumerate(module.seeds) if not rows[r]]
    return f" in replica{'s' * (len(bad) > 1)} {', '.join(bad)}"


def _states(module: Module) -> list[str]:
    """Parameters and states that went wrong in an earlier update: everything after follows from them."""
    bad = [f"`{slot.path}` holds {what}" for slot in module.STATE if (what := _described(module.state(slot.path)))]
    return bad and [", ".join(bad) + " since the step before: its update was not finite"]


def _terms(module: Module, batch: Mapping[str, Tensor]) -> list[str]:
    """Every density term and prior that is not finite, as written in the spec."""
    with torch.no_grad():
        terms = module.terms(Values(module, batch))
    return [
        f"the term {' '.join(text.split())} is {what}" for text, value in terms.items() if (what := _described(value))
    ]


def _operations(module: Module, batch: Mapping[str, Tensor]) -> list[str]:
    """The first operation that makes an infinity of finite numbers, and the first that makes a NaN."""
    watch = _Watch(module)
    with torch.no_grad(), watch, suppress(NotFinite):
        module._step(*(batch[spec.name] for spec in module.INPUTS))  # pyright: ignore[reportPrivateUsage]
    return [f"`{op}` first gives {what} at {place}" for what, (op, place) in watch.found.items()]


class _Watch(TorchFunctionMode):
    """Looks at the result of every torch function that a module's step calls."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.found: dict[str, tuple[str, str]] = {}  # what: NaN or infinity -> (operation, place in the spec)
        self._file = type(module)._step.__code__.co_filename  # pyright: ignore[reportPrivateUsage]
        self._lines = sorted(module.LINES)
        self._places = module.LINES

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        kind = _kind(result)
        if kind is not None and kind not in self.found and kind not in map(_kind, pytree.tree_leaves((args, kwargs))):
            self.found[kind] = getattr(func, "__name__", str(func)).strip("_"), self._place()
        return result

    def _place(self) -> str:
        """The line of the spec that the running statement of the step belongs to."""
        frame = inspect.currentframe()
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back
        at = bisect_right(self._lines, frame.f_lineno) if frame is not None else 0
        return self._places[self._lines[at - 1]] if at else "an unknown line"


def _kind(value: object) -> str | None:
    """``NaN`` or ``infinity``: the worse that a tensor holds; None of anything finite and of everything else."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or bool(torch.isfinite(value).all()):
        return None
    return "NaN" if bool(torch.isnan(value).any()) else "infinity"


def _described(value: Tensor) -> str:
    """``NaN in 3 of 32 entries``; empty when all are finite."""
    kind = _kind(value)
    if kind is None:
        return ""
    bad = int((~torch.isfinite(value)).sum())
    return kind if value.ndim == 0 else f"{kind} in {bad} of {value.numel()} entries"
