"""Special functions in float64 without SciPy, accurate to about 1e-14."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SHIFT = 12  # from here on the asymptotic series below is accurate to the last bits


def _vectorised(f: Callable[[float], float]) -> Callable[[Array], Array]:
    def run(x: Array) -> Array:
        return np.array([f(v) for v in x.ravel().tolist()], dtype=np.float64).reshape(x.shape)

    return run


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole (0, -1, ...) or beyond the range
        return math.inf


erf = _vectorised(math.erf)
lgamma = _vectorised(_lgamma)

# B_2k / 2k, and B_2k, for k = 1, 2, ...
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
_TRIGAMMA = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


def digamma(x: Array) -> Array:
    """d/dx log Gamma(x); -inf at 0 and NaN at the other poles (as torch)."""
    x = np.asarray(x, dtype=np.float64)
    low = x < 0.5
    with np.errstate(all="ignore"):
        y = np.where(low, 1 - x, x)
        total = np.zeros_like(y)
        for _ in range(_SHIFT):
            small = y < _SHIFT
            total -= np.where(small, 1 / y, 0.0)
            y = y + small
        total += np.log(y) - 0.5 / y - _series(_DIGAMMA, y) / (y * y)
        reflected = np.where(low, total - np.pi / _tan(x), total)
        return np.where(x == 0, np.copysign(np.inf, -x), np.where((x < 0) & (x == np.floor(x)), np.nan, reflected))


def trigamma(x: Array) -> Array:
    """d/dx digamma(x); inf at the poles."""
    x = np.asarray(x, dtype=np.float64)
    low = x < 0.5
    with np.errstate(all="ignore"):
        y = np.where(low, 1 - x, x)
        total = np.zeros_like(y)
        for _ in range(_SHIFT):
            small = y < _SHIFT
            total += np.where(small, 1 / (y * y), 0.0)
            y = y + small
        total += 1 / y + 0.5 / (y * y) + _series(_TRIGAMMA, y) / (y * y * y)
        sine = np.sin(np.pi * (x - np.round(x)))
        return np.where(low, np.pi**2 / (sine * sine) - total, total)


def _tan(x: Array) -> Array:
    """tan(pi x), reduced first: pi x has no exact multiples."""
    return np.tan(np.pi * (x - np.round(x)))


def _series(coefficients: tuple[float, ...], y: Array) -> Array:
    """The sum of coefficients[k] * y^(-2k)."""
    total = np.zeros_like(y)
    for value in reversed(coefficients):
        total = total / (y * y) + value
    return total
