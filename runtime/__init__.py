"""The runtime of compiled models: load, train, evaluate, save.  It never imports the compiler.

Names are resolved lazily: emitted modules use ``rt.Module``, ``rt.softmax`` and friends, which import torch; reading a
data header through :mod:`dltc.runtime.data` does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import AbiError as AbiError
    from .errors import InputError as InputError
    from .errors import MissingInput as MissingInput
    from .errors import NeedsExamples as NeedsExamples
    from .errors import NotTrainable as NotTrainable
    from .errors import UnknownValue as UnknownValue
    from .externs import extern as extern
    from .externs import extern_vjp as extern_vjp
    from .finite import check_finite as check_finite
    from .module import Assert as Assert
    from .module import End as End
    from .module import Input as Input
    from .module import Metric as Metric
    from .module import Module as Module
    from .module import Slot as Slot
    from .random import Draw as Draw
    from .values import Values as Values

_OPS = (
    "add_at",
    "cholesky",
    "earlier",
    "eigvals",
    "eigvecs",
    "expand",
    "fold",
    "flatten",
    "log_softmax",
    "inside",
    "inverse",
    "logdet",
    "logsumexp",
    "matpow",
    "matpow_vjp",
    "max",
    "maximum",
    "min",
    "minimum",
    "place",
    "polar",
    "polar_vjp",
    "prod",
    "rank",
    "revcumsum",
    "scatter_add",
    "softmax",
    "softplus",
    "solve_triangular",
    "window",
    "xlogy",
)  # what emitted code calls as `rt.NAME`; a test holds the list equal to the functions of ops.py

_HOME = {
    "AbiError": ".errors",
    "Assert": ".module",
    "Draw": ".random",
    "End": ".module",
    "Input": ".module",
    "InputError": ".errors",
    "Metric": ".module",
    "MissingInput": ".errors",
    "Module": ".module",
    "NeedsExamples": ".errors",
    "NotTrainable": ".errors",
    "Slot": ".module",
    "UnknownValue": ".errors",
    "Values": ".values",
    "check_finite": ".finite",
    "extern": ".externs",
    "extern_vjp": ".externs",
} | dict.fromkeys(_OPS, ".ops")

__all__ = [
    "AbiError",
    "Assert",
    "Draw",
    "End",
    "Input",
    "InputError",
    "Metric",
    "MissingInput",
    "Module",
    "NeedsExamples",
    "NotTrainable",
    "Slot",
    "UnknownValue",
    "Values",
    "check_finite",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(home, __name__), name)
