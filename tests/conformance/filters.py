"""What a learned feature of an image looks like, in numbers: oriented, in one place, like a Gabor function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Array = NDArray[np.float64]
FINE = 64
"""Points of the padded spectrum along each direction."""


def features(weights: Any) -> Array:
    """A dictionary [side * side, atom] as square images [atom, side, side]."""
    dictionary = np.asarray(weights, dtype=np.float64)
    side = round(dictionary.shape[0] ** 0.5)
    return dictionary.reshape(side, side, -1).transpose(2, 0, 1)


def _spectrum(atom: Array) -> tuple[Array, Array, Array]:
    """Power, and the two frequencies in cycles a pixel."""
    frequency = np.fft.fftfreq(FINE)
    return np.abs(np.fft.fft2(atom, (FINE, FINE))) ** 2, frequency[:, None], frequency[None, :]


def orientation(atom: Array) -> float:
    """1 when all power lies along one direction, about 0 for noise: |sum P exp(2 i angle)| / sum P."""
    power, down, across = _spectrum(atom)
    return float(np.abs((power * np.exp(2j * np.arctan2(across, down))).sum()) / power.sum())


def localisation(atom: Array, window: int) -> float:
    """The largest share of the energy that a square window holds."""
    energy = np.lib.stride_tricks.sliding_window_view(atom**2, (window, window)).sum((2, 3))
    return float(energy.max() / (atom**2).sum())


def _gabor(p: Array, rows: Array, columns: Array) -> Array:
    row, column, angle, frequency, phase, along, across, size = p
    u = (rows - row) * np.cos(angle) + (columns - column) * np.sin(angle)
    v = (columns - column) * np.cos(angle) - (rows - row) * np.sin(angle)
    return size * np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2)) * np.cos(2 * np.pi * frequency * u + phase)


def gabor_share(atom: Array) -> float:
    """The share of the energy that the best of some fitted Gabor functions explains (Jones and Palmer 1987)."""
    rows, columns = np.mgrid[: atom.shape[0], : atom.shape[1]].astype(float)
    power, down, across = _spectrum(atom)
    i, j = np.unravel_index(int(power.argmax()), power.shape)
    angle, frequency = np.arctan2(across[0, j], down[i, 0]), np.hypot(down[i, 0], across[0, j])
    energy = atom**2 / (atom**2).sum()
    centre = [(energy * rows).sum(), (energy * columns).sum()]
    left = [
        least_squares(
            lambda p: (_gabor(p, rows, columns) - atom).ravel(),
            [*centre, angle, frequency, phase, width, width, np.abs(atom).max()],
            max_nfev=80,
        ).cost
        for phase in (0, np.pi / 2)
        for width in (1.5, 3.0)
    ]
    return float(1 - 2 * min(left) / (atom**2).sum())


def excess_kurtosis(values: Any) -> float:
    """0 for a normal distribution, 3 for a Laplace distribution, more for what is mostly 0."""
    centred = np.asarray(values, dtype=np.float64).ravel()
    centred = centred - centred.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2 - 3)
