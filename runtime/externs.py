"""Python that a spec calls (`extern op`): where the functions come from, and how emitted modules call them.

A function gets one tensor for each array input, [places, one axis per declared axis], and its further arguments by name; it
returns [places, one axis per axis of the result].  Places are the examples and everything else that a call is mapped over.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import ExternFailed

Function = Callable[..., Any]
Groups = Sequence[Sequence[int]]
"""Of each axis that a function sees or gives, the sizes of its parts."""

_SHORT = 16  # letters of a file's hash in emitted code

_functions: dict[str, Function] = {}
"""By ``module:function:hash``."""

_texts: dict[str, tuple[Path, str]] = {}
"""Path and text of Python files by their hash."""


def offer(folder: Path, texts: Mapping[str, str]) -> None:
    """Python files that emitted modules may ask for: those beside a spec, by path."""
    for path, text in texts.items():
        if path.endswith(".py"):
            _texts[_digest(text.encode())] = (folder / path, text)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_SHORT]


def function(entry: str) -> Function:
    """The function of ``module:function:hash``; without a hash, that of an installed module.

    Raises:
        ExternFailed: there is no such module or function, or its file is another one than when the spec was compiled.
    """
    if entry not in _functions:
        module, name, digest = entry.split(":")
        found: object = _module(module, digest)
        found = getattr(found, name, None)
        if not callable(found):
            raise ExternFailed(f"the Python module `{module}` has no function `{name}`")
        _functions[entry] = found
    return _functions[entry]


def _module(name: str, digest: str) -> types.ModuleType:
    qualified = f"dltc_extern_{name}_{digest}"
    if qualified in sys.modules:
        return sys.modules[qualified]
    try:
        if digest not in _texts:
            return _imported(name, digest)
        path, text = _texts[digest]
        made = types.ModuleType(qualified)
        made.__file__ = str(path)
        exec(compile(text, str(path), "exec"), made.__dict__)
    except ExternFailed:
        raise
    except Exception as error:
        raise ExternFailed(f"the Python module `{name}` cannot be loaded: {type(error).__name__}: {error}") from error
    sys.modules[qualified] = made
    return made


def _imported(name: str, digest: str) -> types.ModuleType:
    """A module by Python's own ways; the file must be the one that the spec was compiled with, where that lay beside it."""
    found = importlib.import_module(name)
    file = getattr(found, "__file__", None)
    if digest and (file is None or _digest(Path(file).read_bytes()) != digest):
        raise ExternFailed(
            f"the Python module `{name}` is not the one that the spec was compiled with: compile it again"
        )
    return found


# ---------------------------------------------------------------- calls in emitted modules


def extern(
    entry: str, place: str, args: Sequence[Tensor], lead: int, own: Sequence[Groups], out: Groups, **static: Any
) -> Tensor:
    """The value of a call, [lead.., parts of the result's axes..]; differentiable by autograd.

    Args:
        entry: ``module:function:hash``.
        place: the line of the spec, for errors.
        args: [lead.., parts of its own axes..]; along lead axes they may have length 1.
        lead: how many axes the call is mapped over.
        own: sizes of the parts of every axis of every argument.
        out: the same of the result.

    Raises:
        ExternFailed: the function raised, or gave something of another shape, or numbers that are not finite.
    """
    shape, flat = _flat(args, lead, own)
    made = _called(entry, place, flat, out, static)
    _check_finite(made, f"{place}: `{entry.split(':')[1]}`")
    return made.reshape(*shape, *(n for group in out for n in group))


def extern_vjp(
    entry: str,
    place: str,
    args: Sequence[Tensor],
    lead: int,
    own: Sequence[Groups],
    out: Groups,
    wrt: int,
    **static: Any,
) -> Tensor:
    """The gradient of a call by its argument ``wrt``, [lead.., parts of its axes..]; the last of ``args`` is the cotangent.

    Raises:
        ExternFailed: see :func:`extern`; or torch cannot differentiate the function.
    """
    shape, whole = _flat(args, lead, [*own, out])
    flat, cotangent = whole[:-1], whole[-1]

    def of_one(x: Tensor) -> Tensor:
        given = [x if k == wrt else other for k, other in enumerate(flat)]
        return _called(entry, place, given, out, static)

    try:
        slope = torch.func.vjp(of_one, flat[wrt])[1](cotangent)[0]
    except ExternFailed:
        raise
    except Exception as error:
        name = entry.split(":")[1]
        raise ExternFailed(f"{place}: `{name}` cannot be differentiated: {type(error).__name__}: {error}") from error
    _check_finite(slope, f"{place}: the gradient of `{entry.split(':')[1]}`")
    return slope.reshape(*shape, *(n for group in own[wrt] for n in group))


def _flat(args: Sequence[Tensor], lead: int, own: Sequence[Groups]) -> tuple[list[int], list[Tensor]]:
    """The lead shape that arguments have together, and each as [places, one axis per group]."""
    shape = [max(x.shape[k] for x in args) if all(x.shape[k] for x in args) else 0 for k in range(lead)]
    flat = [
        x.expand(*shape, *x.shape[lead:]).reshape(math.prod(shape), *(math.prod(group) for group in groups))
        for x, groups in zip(args, own, strict=True)
    ]
    return shape, flat


def _called(entry: str, place: str, args: list[Tensor], out: Groups, static: Mapping[str, Any]) -> Tensor:
    """The function's value: of the declared shape, of the arguments' precision."""
    name = entry.split(":")[1]
    try:
        made = function(entry)(*args, **static)
    except ExternFailed as error:
        raise ExternFailed(f"{place}: {error}") from error
    except Exception as error:
        raise ExternFailed(f"{place}: `{name}` failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, Tensor):
        raise ExternFailed(f"{place}: `{name}` gave a {type(made).__name__}: it must give a tensor")
    wanted = (args[0].shape[0], *(math.prod(group) for group in out))
    if tuple(made.shape) != wanted:
        axes = f"[{', '.join(map(str, made.shape))}]"
        raise ExternFailed(f"{place}: `{name}` gave {axes}, declared is [{', '.join(map(str, wanted))}] (places first)")
    real = [x.dtype for x in args if x.dtype.is_floating_point]
    return made.to(real[0] if real else torch.get_default_dtype())


def _check_finite(x: Tensor, what: str) -> None:
    bad = ~torch.isfinite(x)
    if bad.any():
        where = [int(k) for k in bad.nonzero()[0]]
        value = float(x[tuple(where)])
        raise ExternFailed(f"{what} gave {value} at [{', '.join(map(str, where))}] (places first)")
