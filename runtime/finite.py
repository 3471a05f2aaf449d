"""Numbers that stop being finite: a step refuses them before it writes, and is then replayed to say where they began.

A step computes its objective before it updates anything and passes it to :func:`check_finite`.  The replay makes the
same step again (draws are keyed, nothing was written) with every torch operation watched.
"""

from __future__ import annotations

import inspect
import math
import traceback
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from .errors import Diverged, RunFailed
from .values import Values

if TYPE_CHECKING:
    from .module import Module


class NotFinite(Exception):
    """Raised inside a step, before anything was written."""

    def __init__(self, value: Tensor | float, what: str) -> None:
        super().__init__()
        self.value = torch.as_tensor(value)
        self.what = what


def check_finite(value: Tensor | float, what: str = "objective") -> None:
    """Stop a step whose objective (of replicas: of any of them) is NaN or infinite, or the sum of whose gradients is.

    Raises:
        NotFinite: it is.
    """
    fine = bool(torch.isfinite(value).all()) if isinstance(value, Tensor) and value.ndim else math.isfinite(value)
    if not fine:
        raise NotFinite(value, what)


def diverged(module: Module, batch: Mapping[str, Tensor], stopped: NotFinite) -> Diverged:
    """The error of a step that :func:`check_finite` stopped: the step (from 1), the density terms that are not finite,
    and the first operations whose result is not, each with its line of the spec."""
    step = module.t + 1
    verb = "is" if stopped.what == "objective" else "hold"
    terms = _terms if stopped.what == "objective" else _slopes
    parts = _states(module) or [*terms(module, batch), *_operations(module, batch)]
    head = f"the {stopped.what} {verb} {_kind(stopped.value)}{which(module, stopped.value)} at step {step}"
    return Diverged("; ".join([head, *parts]), step)


def numbers_failed(module: Module, error: ArithmeticError | ValueError) -> RunFailed:
    """The error of a step in which plain arithmetic failed: an argument of a rule that divides by zero at this step."""
    file = _file(module)
    numbers = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    lines = sorted(module.LINES)
    at = bisect_right(lines, numbers[-1]) if numbers else 0
    place = f" ({module.LINES[lines[at - 1]]})" if at else ""
    return RunFailed(
        f"step {module.t + 1} cannot be computed{place}: {error}; look at the arguments of the rules there"
    )


def _file(module: Module) -> str:
    """The emitted file, as its frames call it."""
    return type(module)._step.__code__.co_filename  # pyright: ignore[reportPrivateUsage]


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
        terms = module.terms(Values(module, batch, module.batch_dim))
    return [
        f"the term {' '.join(text.split())} is {what}" for text, value in terms.items() if (what := _described(value))
    ]


def _slopes(module: Module, batch: Mapping[str, Tensor]) -> list[str]:
    """Every density term and prior whose gradient is not finite, and by which parameters."""
    params = dict(module.named_parameters())
    moved = {path: p for path, p in params.items() if p.requires_grad}
    with torch.enable_grad():
        terms = module.terms(Values(module, batch, module.batch_dim))
        found: list[str] = []
        for text, value in terms.items():
            if not value.requires_grad:
                continue
            slopes = torch.autograd.grad(value.sum(), list(moved.values()), retain_graph=True, materialize_grads=True)
            bad = [f"`{path}` ({what})" for path, g in zip(moved, slopes, strict=True) if (what := _described(g))]
            if bad:
                found.append(f"the term {' '.join(text.split())} has no finite gradient by {', '.join(bad)}")
    return found


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
        self._file = _file(module)
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
