"""Data sets made by formula, from a seed.  NumPy alone, without torch.

What each takes and holds is declared once more where specs are checked (`compiler/frontend/datasets.py`); a test compares
the two.  Rows come first; labels are int64, everything else float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sklearn_source import photographs

Array = NDArray[Any]
Columns = dict[str, Array]
Generator = np.random.Generator


def generated(name: str, arguments: Mapping[str, Any], seed: int) -> Columns:
    """The columns of a generator.

    Args:
        name: one of ``GENERATORS``.
        arguments: its arguments; a ``seed`` of its own among them comes before ``seed``.
        seed: that of the run.

    Raises:
        MissingDependency: photographs need packages that are not installed.
    """
    given = dict(arguments)
    own = given.pop("seed", None)
    return GENERATORS[name](np.random.default_rng(seed if own is None else own), **given)


def mixture(rng: Generator, *, n: int, k: int, dim: int, spread: float, std: float) -> Columns:
    """A mixture of k round Gaussians with equal shares: centres ~ Normal(0, spread^2 I), ``x`` [dim] ~ Normal(centre, std^2 I);
    ``component`` is the one it came from."""
    centres = spread * rng.normal(size=(k, dim))
    component = rng.integers(k, size=n)
    return {"x": centres[component] + std * rng.normal(size=(n, dim)), "component": component}


def parity(rng: Generator, *, n: int, bits: int, k: int) -> Columns:
    """k-sparse parity (Barak et al. 2022, "Hidden progress in deep learning", section 2): ``x`` [bits] of fair signs -1 and 1;
    ``y`` is 1 where an odd number of the k relevant ones, chosen by the seed, is -1."""
    relevant = rng.choice(bits, size=k, replace=False)
    x = rng.choice([-1.0, 1.0], size=(n, bits))
    return {"x": x, "y": (x[:, relevant] < 0).sum(axis=1) % 2}


def sparse_linear(rng: Generator, *, n: int, dim: int, nonzero: int, noise: float) -> Columns:
    """A sparse linear target: ``x`` [dim] ~ Normal(0, 1), ``signal`` = w . x with ``nonzero`` weights ~ Normal(0, 1) and all
    others 0, ``y`` = signal + Normal(0, noise^2)."""
    weights = np.zeros(dim)
    weights[rng.choice(dim, size=nonzero, replace=False)] = rng.normal(size=nonzero)
    x = rng.normal(size=(n, dim))
    signal = x @ weights
    return {"x": x, "signal": signal, "y": signal + noise * rng.normal(size=n)}


def hierarchy(rng: Generator, *, levels: int, branch: int) -> Columns:
    """Items at the leaves of a tree and a property at every node (Saxe, McClelland & Ganguli 2019, PNAS 116:11537, fig. 3):
    row ``item`` has the ``properties`` [nodes, from the root down] of the nodes that it descends from.

    Nothing is random; items that part later share more, so singular values fall level by level.
    """
    items: NDArray[np.int64] = np.arange(int(branch**levels), dtype=np.int64)
    owned = [np.eye(branch**level)[items // branch ** (levels - level)] for level in range(levels + 1)]
    return {"item": items, "properties": np.concatenate(owned, axis=1)}


def dynamics(
    rng: Generator, *, n: int, length: int, dim: int, observed: int, decay: float, noise: float, observation: float
) -> Columns:
    """Sequences of a linear dynamical system: z[0] ~ Normal(0, I), z[t] = A z[t-1] + Normal(0, noise^2 I), x[t] = C z[t] +
    Normal(0, observation^2 I); A is ``decay`` times a random rotation, C is Normal(0, 1/dim).  ``x`` [length, observed],
    ``z`` [length, dim]; the system is one for all sequences."""
    rotation, upper = np.linalg.qr(rng.normal(size=(dim, dim)))
    transition = decay * rotation * np.sign(np.diag(upper))
    loading = rng.normal(size=(observed, dim)) / np.sqrt(dim)
    z = np.empty((n, length, dim))
    z[:, 0] = rng.normal(size=(n, dim))
    for t in range(1, length):
        z[:, t] = z[:, t - 1] @ transition.T + noise * rng.normal(size=(n, dim))
    return {"x": z @ loading.T + observation * rng.normal(size=(n, length, observed)), "z": z}


def moons(rng: Generator, *, n: int, noise: float) -> Columns:
    """Two half circles of radius 1 that reach into each other: ``x`` [2] with Normal(0, noise^2) on top, ``y`` the moon (0 the
    upper one, around (0, 0); 1 the lower one, around (1, 1/2))."""
    y = rng.integers(2, size=n)
    angle = np.pi * rng.random(n)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(y[:, None] == 0, circle, np.array([1.0, 0.5]) - circle)
    return {"x": x + noise * rng.normal(size=(n, 2)), "y": y}


def patches(rng: Generator, *, n: int, size: int, whiten: int) -> Columns:
    """Square pieces of scikit-learn's two photographs, in grey: ``x`` [size, size], each with mean 0, all together with
    variance 1; with ``whiten`` from images filtered by f exp(-(f / f0)^4), f0 = 0.4 cycles a pixel (Olshausen & Field 1997,
    Vision Research 37:3311, appendix)."""
    images: list[Array] = [_whitened(image) if whiten else image for image in photographs()]
    chosen: Array = rng.integers(len(images), size=n)
    corner: Array = rng.random((n, 2))
    x: Array = np.empty((n, size, size))
    for row in range(n):
        image: Array = images[int(chosen[row])]
        top, left = (int(place * (side - size + 1)) for place, side in zip(corner[row], image.shape, strict=True))
        x[row] = image[top : top + size, left : left + size]
    x -= x.mean(axis=(1, 2), keepdims=True)
    return {"x": x / x.std()}


def _whitened(image: Array) -> Array:
    """The image through a filter that flattens a natural spectrum and stops before the corners of the frequency plane."""
    rows, columns = (np.fft.fftfreq(size) for size in image.shape)
    frequency = np.hypot(rows[:, None], columns)
    return np.real(np.fft.ifft2(np.fft.fft2(image) * frequency * np.exp(-((frequency / 0.4) ** 4))))


GENERATORS: dict[str, Callable[..., Columns]] = {
    make.__name__: make for make in (mixture, parity, sparse_linear, hierarchy, dynamics, moons, patches)
}
"""Generators by name."""
