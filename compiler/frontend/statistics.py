"""What rules may read beside w, their states and their arguments.  How each is derived: ``derive/statistics.py``."""

from __future__ import annotations

GRADIENTS = ("grad", "grad_sum", "prior.grad")
"""Derivatives by w; under ``via`` by the free coordinate."""

MOMENTS = ("prior.mean", "prior.var", "prior.precision")
"""Of the prior as written (not of its restriction to the domain)."""

DRAWS = ("noise", "uniform", "prior.draw")
"""One keyed draw per weight and step."""

SIGN = "sign"
"""The frozen signs of a parameter in ``signed``."""

STATISTICS = (*GRADIENTS, *MOMENTS, *DRAWS, SIGN)

STATISTICS_NOT_YET = (
    "curvature",
    "hessian",
    "fisher",
    "gram",
    "pre",
    "post",
    "delta",
    "mask",
    "local_step",
    "attenuation.min",
)

SCALARS = frozenset({"t", "n", "N"})
