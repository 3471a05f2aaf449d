"""Keyed randomness: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011).

A draw is a pure function of (seed, path, element, step).  This page fixes the numbers for every implementation:

- key words: the first two little-endian 32-bit words of ``blake2b(path in UTF-8, digest_size=8)``, xor'ed with the low
  and the high 32 bits of the seed;
- counter words: element low 32, element high 32, step low 32, lane.  The element is the row-major position in the
  draw's array, the step counts from 1 (draws at initialisation are step 0), the lane is 0 except where one element
  needs more than one block (a rejection's attempt);
- of the output words w0..w3, the first uniform is ``((w0 >> 5) * 2^26 + (w1 >> 6) + 0.5) / 2^53``, the second the same
  of w2 and w3, rounded to the nearest double and at most 1 - 2^-53: both lie in (0, 1);
- a normal is ``sqrt(-2 ln u1) * cos(2 pi u2)`` (Box and Muller) of the two uniforms of its own block;
- a gamma draw of concentration a follows Marsaglia and Tsang (A simple method for generating gamma variables; 2000)
  with d = (a, or a + 1 if a < 1) - 1/3 and c = 1 / sqrt(9 d): attempt j = 0, 1, ... takes its normal z from lane
  2j + 1 and u, the first uniform, from lane 2j + 2; with v = (1 + c z)^3 the draw is d v, if v > 0 and
  ln u < z^2 / 2 + d - d v + d ln v.
  For a < 1 the result is multiplied by w^(1/a), w the first uniform of the last lane, 2^32 - 1.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import special

Words = NDArray[np.uint64]

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF
_BELOW_ONE = 1 - 2.0**-53
_MOST_INVERTED = 64  # at rate 10 a count beyond has probability below 1e-28


def philox4x32(counter: tuple[Any, Any, Any, Any], key: tuple[int, int], rounds: int = 10) -> tuple[Words, ...]:
    """Four words of 32 bits (held in uint64) per counter; counter words broadcast against each other."""
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(c, dtype=np.uint64) for c in counter))
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = c0 * np.uint64(_M0), c2 * np.uint64(_M1)
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        low0, low1 = p0 & np.uint64(_LOW), p1 & np.uint64(_LOW)
        c0, c1, c2, c3 = high1 ^ c1 ^ np.uint64(k0), low1, high0 ^ c3 ^ np.uint64(k1), low0
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


def key_of(seed: int, path: str) -> tuple[int, int]:
    """The key of a path's stream."""
    digest = blake2b(path.encode(), digest_size=8).digest()
    k0, k1 = int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
    return k0 ^ (seed & _LOW), k1 ^ ((seed >> 32) & _LOW)


def _unit(high: Words, low: Words) -> NDArray[np.float64]:
    """53 bits as a double in (0, 1)."""
    bits = (high >> np.uint64(5)) * np.uint64(1 << 26) + (low >> np.uint64(6))
    value = (bits.astype(np.float64) + 0.5) / 2.0**53
    return np.minimum(value, _BELOW_ONE)  # the last odd multiple rounds up to 1


def uniforms(
    seed: int, path: str, count: int, step: int, lane: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both uniforms of the blocks of elements 0..count-1."""
    element = np.arange(count, dtype=np.uint64)
    counter = (element & np.uint64(_LOW), element >> np.uint64(32), step & _LOW, lane)
    w0, w1, w2, w3 = philox4x32(counter, key_of(seed, path))
    return _unit(w0, w1), _unit(w2, w3)


def uniform(seed: int, path: str, count: int, step: int) -> NDArray[np.float64]:
    """One uniform in (0, 1) per element."""
    return uniforms(seed, path, count, step)[0]


def normal(seed: int, path: str, count: int, step: int) -> NDArray[np.float64]:
    """One standard normal per element."""
    u1, u2 = uniforms(seed, path, count, step)
    return np.sqrt(-2 * np.log(u1)) * np.cos(2 * np.pi * u2)


def gamma(seed: int, path: str, concentration: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """One gamma draw (rate 1) per entry of a flat array of concentrations."""
    small = concentration < 1
    d = np.where(small, concentration + 1, concentration) - 1 / 3
    c = 1 / np.sqrt(9 * d)
    out = np.full(concentration.shape, np.nan)
    waiting = np.isfinite(d) & (d > 0)
    attempt = 0
    while waiting.any():
        u1, u2 = uniforms(seed, path, concentration.size, step, 2 * attempt + 1)
        z = np.sqrt(-2 * np.log(u1)) * np.cos(2 * np.pi * u2)
        u = uniforms(seed, path, concentration.size, step, 2 * attempt + 2)[0]
        v = (1 + c * z) ** 3
        with np.errstate(all="ignore"):
            taken = waiting & (v > 0) & (np.log(u) < z * z / 2 + d - d * v + d * np.log(v))
        out[taken] = (d * v)[taken]
        waiting &= ~taken
        attempt += 1
    boost = uniforms(seed, path, concentration.size, step, _LOW)[0]
    return np.where(small, out * boost ** (1 / concentration), out)


def poisson(seed: int, path: str, rate: NDArray[np.float64], step: int) -> NDArray[np.int64]:
    """One Poisson draw per entry of a flat array of rates; -1 where that is no rate.

    Below 10 by inversion of one uniform (lane 0), else by transformed rejection (Hoermann, 1993: PTRS), attempt k on
    lane k + 1.
    """
    legal = (rate >= 0) & (rate < 2.0**53)
    few = legal & (rate < 10)
    out = np.full(rate.shape, -1, dtype=np.int64)
    out[few] = _inverted(uniform(seed, path, rate.size, step)[few], rate[few])
    mean = np.where(legal & ~few, rate, 10.0)
    b = 0.931 + 2.53 * np.sqrt(mean)
    a = -0.059 + 0.02483 * b
    peak = 1.1239 + 1.1328 / (b - 3.4)
    waiting = legal & ~few
    attempt = 0
    while waiting.any():
        u, v = uniforms(seed, path, rate.size, step, attempt + 1)
        u = u - 0.5
        edge = 0.5 - np.abs(u)
        count = np.floor((2 * a / edge + b) * u + mean + 0.43)
        quick = (edge >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
        with np.errstate(all="ignore"):
            height = np.log(v) + np.log(peak) - np.log(a / (edge * edge) + b)
            under = height <= count * np.log(mean) - mean - special.lgamma(count + 1)
        taken = waiting & (quick | ((count >= 0) & ((edge >= 0.013) | (v <= edge)) & under))
        out[taken] = count[taken].astype(np.int64)
        waiting &= ~taken
        attempt += 1
    return out


def _inverted(u: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """The least count whose distribution function reaches u."""
    count = np.zeros(u.shape, dtype=np.int64)
    term = np.exp(-rate)
    reached = term.copy()
    for k in range(1, _MOST_INVERTED):
        beyond = u > reached
        count[beyond] = k
        term = term * rate / k
        reached = reached + term
    return count
