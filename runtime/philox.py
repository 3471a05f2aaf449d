"""Philox 4x32-10: the one random generator, written once for NumPy arrays and torch tensors.  Importable without torch.

A draw is a pure function of (seed, path, element, step):

- counter words: element low 32 bits, element high 32 bits, step low 32 bits, lane;
- key words: the first two little-endian 32-bit words of ``blake2b(path, digest_size=8)``, each xor'ed with the low
  and the high 32 bits of the seed;
- a uniform: ``((w0 >> 5) * 2**26 + (w1 >> 6) + 0.5) / 2**53`` in float64 from output words 0 and 1, at most
  ``1 - 2**-53``; a second one from words 2 and 3.

All arithmetic is in int64 on non-negative values below 2**49, which never overflows and which NumPy and torch do alike.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASK = 0xFFFFFFFF
ROUNDS = 10
BELOW_ONE = 1 - 2.0**-53  # the last odd multiple of 2**-54 would round up to 1
_M0, _M1 = 0xD2511F53, 0xCD9E8D57  # multipliers
_W0, _W1 = 0x9E3779B9, 0xBB67AE85  # key increments

Words = tuple[Any, Any, Any, Any]  # four int64 arrays (or tensors) of one shape, every element in [0, 2**32)


def key_words(seed: int, path: str) -> tuple[int, int]:
    """The two 32-bit key words of a path under a seed (any integer; its low 64 bits count)."""
    low, high = struct.unpack("<II", blake2b(path.encode(), digest_size=8).digest())
    return low ^ (seed & MASK), high ^ (seed >> 32 & MASK)


def philox(counter: Words, key: tuple[Any, Any]) -> Words:
    """Ten rounds of Philox 4x32 on int64 arrays (NumPy or torch) or plain integers.

    Args:
        counter: four words, broadcastable against each other, every element in [0, 2**32).
        key: two words in [0, 2**32), or two arrays of them that broadcast against the counter.

    Returns:
        Four words of the common shape.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = _multiply(_M0, c0)
        high1, low1 = _multiply(_M1, c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _W0) & MASK, (k1 + _W1) & MASK
    return c0, c1, c2, c3


def _multiply(multiplier: int, word: Any) -> tuple[Any, Any]:
    """High and low 32 bits of a 32 x 32 bit product, through 16-bit halves."""
    low = (word & 0xFFFF) * multiplier
    high = (word >> 16) * multiplier
    return (high + (low >> 16)) >> 16, (low + ((high & 0xFFFF) << 16)) & MASK


def mantissa(w0: Any, w1: Any) -> Any:
    """The 53-bit integer m of a uniform ``(m + 0.5) / 2**53``."""
    return (w0 >> 5) * (1 << 26) + (w1 >> 6)


def uniforms(seed: int, path: str, count: int, step: int = 0, lane: int = 0) -> NDArray[np.float64]:
    """``count`` uniform numbers in (0, 1) as a NumPy array: elements 0 .. count-1 of the path at a step."""
    element = np.arange(count, dtype=np.int64)
    zero = np.zeros_like(element)
    words = philox((element & MASK, element >> 32, zero + (step & MASK), zero + lane), key_words(seed, path))
    return np.minimum((mantissa(words[0], words[1]).astype(np.float64) + 0.5) / 2.0**53, BELOW_ONE)


def permutation(seed: int, path: str, count: int, step: int = 0) -> NDArray[np.int64]:
    """A permutation of 0 .. count-1 keyed by (seed, path, step): the order of the elements' uniforms, ties by index."""
    return np.argsort(uniforms(seed, path, count, step), kind="stable")
