"""Keyed random draws as float64 tensors: each element is a pure function of (seed, path, element, step).

Nothing here has a hidden state, so neither the order of declarations nor a resume changes any draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .philox import BELOW_ONE, MASK, key_words, mantissa, philox

_Places = tuple[Tensor, ...]
"""Element numbers and, with replicas, the replica of each: flat vectors of one length."""

_TOP_LANE = MASK  # the extra uniform of gamma draws with shape below 1
_MOST_INVERTED = 64  # at rate 10 a count beyond has probability below 1e-28


class Draw:
    """The draws of one seed at one step.  Results are float64 on ``device``; elements are numbered row-major.

    With ``replicas`` every result has them as its first axis, in front of the shape asked for: replica r holds the
    draws of seed + r.
    """

    def __init__(
        self, seed: int, step: int = 0, device: torch.device | str = "cpu", replicas: int | None = None
    ) -> None:
        self.seed = seed
        self.step = step
        self.device = torch.device(device)
        self.replicas = replicas
        self.lead: tuple[int, ...] = () if replicas is None else (replicas,)

    def uniform(self, path: str, shape: Sequence[int] = ()) -> Tensor:
        """Uniform numbers in (0, 1) of the given shape."""
        first, _ = self._pair(path, self._elements(shape), 0)
        return first.reshape((*self.lead, *shape))

    def normal(self, path: str, shape: Sequence[int] = ()) -> Tensor:
        """Standard normal numbers of the given shape (Box-Muller: sqrt(-2 ln u1) cos(2 pi u2))."""
        return self._normal(path, self._elements(shape), 0).reshape((*self.lead, *shape))

    def gamma(self, path: str, alpha: Tensor | float, shape: Sequence[int] | None = None) -> Tensor:
        """Gamma numbers with shape parameter ``alpha`` and rate 1.

        Marsaglia and Tsang's rejection method; attempt k reads lanes 2k+1 (normal) and 2k+2 (uniform) of its element,
        so a draw does not depend on the other elements.

        Args:
            path: the key.
            alpha: shape parameters, broadcast to ``shape``; a draw for one that is not positive and finite is NaN.
            shape: shape of the result, replicas among it; the shape of ``alpha`` when left out.
        """
        wanted = torch.as_tensor(alpha, dtype=torch.float64, device=self.device)
        wanted = wanted if shape is None else wanted.expand(tuple(shape))
        flat = wanted.reshape(-1)
        legal = torch.isfinite(flat) & (flat > 0)
        small = flat < 1
        result = self._marsaglia(path, torch.where(small, flat + 1, flat), legal)
        boost, _ = self._pair(path, self._places(flat.numel()), _TOP_LANE)
        return torch.where(small, result * boost ** (1 / flat), result).reshape(wanted.shape)

    def _marsaglia(self, path: str, alpha: Tensor, legal: Tensor) -> Tensor:
        """Gamma numbers for a flat vector of shape parameters of at least 1, where they are ``legal``; else NaN."""
        d = alpha - 1 / 3
        c = 1 / torch.sqrt(9 * d)
        result = torch.full_like(alpha, math.nan)
        left = torch.arange(alpha.numel(), device=self.device)[legal]
        places = self._places(alpha.numel())
        attempt = 0
        while left.numel():
            here = tuple(part[left] for part in places)
            x = self._normal(path, here, 2 * attempt + 1)
            u, _ = self._pair(path, here, 2 * attempt + 2)
            v = (1 + c[left] * x) ** 3
            log_v = torch.log(torch.where(v > 0, v, 1.0))
            accept = (v > 0) & (torch.log(u) < 0.5 * x * x + d[left] * (1 - v + log_v))
            result[left[accept]] = (d[left] * v)[accept]
            left = left[~accept]
            attempt += 1
        return result

    def poisson(self, path: str, rate: Tensor | float, shape: Sequence[int] | None = None) -> Tensor:
        """Poisson counts (int64) of mean ``rate``.

        Rates below 10 invert one uniform number; others use Hoermann's transformed rejection (PTRS, 1993), attempt k on
        lane k + 1, so a draw does not depend on the other elements.

        Args:
            path: the key.
            rate: means, broadcast to ``shape``; a draw for one that is negative, not finite or above 2^53 is -1.
            shape: shape of the result; the shape of ``rate`` when left out.
        """
        wanted = torch.as_tensor(rate, dtype=torch.float64, device=self.device)
        wanted = wanted if shape is None else wanted.expand(tuple(shape))
        flat = wanted.reshape(-1)
        legal = (flat >= 0) & (flat < 2.0**53)
        few = legal & (flat < 10)
        places = self._places(flat.numel())
        u, _ = self._pair(path, places, 0)
        result = torch.where(few, _inverted(u, torch.where(few, flat, 0.0)), -1)
        left = torch.arange(flat.numel(), device=self.device)[legal & ~few]
        attempt = 0
        while left.numel():
            count, accept = self._hoermann(path, tuple(part[left] for part in places), flat[left], attempt)
            result[left[accept]] = count[accept]
            left = left[~accept]
            attempt += 1
        return result.reshape(wanted.shape)

    def _hoermann(self, path: str, places: _Places, mean: Tensor, attempt: int) -> tuple[Tensor, Tensor]:
        """One attempt: proposed counts, and which of them are taken."""
        u, v = self._pair(path, places, attempt + 1)
        u = u - 0.5
        edge = 0.5 - u.abs()
        b = 0.931 + 2.53 * torch.sqrt(mean)
        a = -0.059 + 0.02483 * b
        peak = 1.1239 + 1.1328 / (b - 3.4)
        count = torch.floor((2 * a / edge + b) * u + mean + 0.43)
        quick = (edge >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
        height = torch.log(v) + torch.log(peak) - torch.log(a / (edge * edge) + b)
        under = height <= count * torch.log(mean) - mean - torch.lgamma(count + 1)
        return count.to(torch.int64), quick | ((count >= 0) & ((edge >= 0.013) | (v <= edge)) & under)

    def _elements(self, shape: Sequence[int]) -> _Places:
        """All elements of a shape, of every replica."""
        return self._places(math.prod((*self.lead, *shape)))

    def _places(self, count: int) -> _Places:
        """Replica and element number within it for ``count`` flat positions (replicas first)."""
        flat = torch.arange(count, device=self.device)
        if not self.lead or not count:
            return (flat,)
        each = count // self.lead[0]
        return flat % each, flat // each

    def _normal(self, path: str, places: _Places, lane: int) -> Tensor:
        u1, u2 = self._pair(path, places, lane)
        return torch.sqrt(-2 * torch.log(u1)) * torch.cos(2 * math.pi * u2)

    def _pair(self, path: str, places: _Places, lane: int) -> tuple[Tensor, Tensor]:
        """Two uniform vectors for flat element numbers on one lane."""
        element, *replica = places
        zero = torch.zeros_like(element)
        counter = (element & MASK, element >> 32, zero + (self.step & MASK), zero + lane)
        w0, w1, w2, w3 = philox(counter, self._key(path, *replica))
        return _unit(mantissa(w0, w1)), _unit(mantissa(w2, w3))

    def _key(self, path: str, replica: Tensor | None = None) -> tuple[Tensor | int, Tensor | int]:
        """The key words of a path: one pair, or one a place when its replica is given."""
        if replica is None:
            return key_words(self.seed, path)
        words = torch.tensor([key_words(self.seed + r, path) for r in range(self.replicas or 1)], device=self.device)
        return words[replica, 0], words[replica, 1]


def _inverted(u: Tensor, rate: Tensor) -> Tensor:
    """The least count whose distribution function reaches u."""
    count = torch.zeros_like(u, dtype=torch.int64)
    term = torch.exp(-rate)
    reached = term.clone()
    for k in range(1, _MOST_INVERTED):
        count = torch.where(u > reached, k, count)
        term = term * rate / k
        reached = reached + term
    return count


def _unit(bits: Tensor) -> Tensor:
    return ((bits.to(torch.float64) + 0.5) / 2.0**53).clamp(max=BELOW_ONE)
