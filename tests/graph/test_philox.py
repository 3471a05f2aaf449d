"""Random123's known answers, and the fixed layout of keys and counters."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pytest
import torch

from dltc.compiler.graph import philox
from dltc.runtime.random import Draw

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ONES,) * 4, (ONES,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_known_answers(counter, key, expected):
    assert " ".join(f"{int(w):08x}" for w in philox.philox4x32(counter, key)) == expected


def test_layout():
    """Element 5 of step 9, recomputed from the words."""
    seed, path = (7 << 32) | 11, "h.W"
    digest = blake2b(path.encode(), digest_size=8).digest()
    key = (int.from_bytes(digest[:4], "little") ^ 11, int.from_bytes(digest[4:], "little") ^ 7)
    w = [int(v) for v in philox.philox4x32((5, 0, 9, 0), key)]
    u1 = ((w[0] >> 5) * 2**26 + (w[1] >> 6) + 0.5) / 2**53
    u2 = ((w[2] >> 5) * 2**26 + (w[3] >> 6) + 0.5) / 2**53
    assert philox.uniform(seed, path, 6, 9)[5] == u1
    np.testing.assert_allclose(philox.normal(seed, path, 6, 9)[5], np.sqrt(-2 * np.log(u1)) * np.cos(2 * np.pi * u2))


def test_draws_depend_on_every_part_of_the_key():
    first = philox.uniform(0, "a", 4, 1)
    for other in ((1, "a", 4, 1), (1 << 32, "a", 4, 1), (0, "b", 4, 1), (0, "a", 4, 2)):
        assert not np.any(philox.uniform(*other) == first)
    np.testing.assert_array_equal(philox.uniform(0, "a", 2, 1), first[:2])  # an element's draw ignores the others


def test_moments():
    u, z = philox.uniform(2, "u", 100_000, 1), philox.normal(2, "z", 100_000, 1)
    assert 0 < u.min() < u.max() < 1
    np.testing.assert_allclose((u.mean(), u.var()), (1 / 2, 1 / 12), rtol=0.01)
    np.testing.assert_allclose((z.mean(), z.var(), (z**4).mean()), (0, 1, 3), atol=0.06)


def test_uniforms_stay_below_one():
    top = philox._unit(np.array([ONES], dtype=np.uint64), np.array([ONES], dtype=np.uint64))
    assert top[0] == 1 - 2.0**-53


@pytest.mark.parametrize("step", [0, 3])
def test_the_runtime_draws_the_same_numbers(step):
    draw = Draw(seed=(9 << 40) | 5, step=step)
    key = ((9 << 40) | 5, "enc.W", 64, step)
    np.testing.assert_array_equal(draw.uniform("enc.W", (64,)).numpy(), philox.uniform(*key))
    np.testing.assert_allclose(
        draw.normal("enc.W", (8, 8)).numpy().ravel(), philox.normal(*key), rtol=1e-14, atol=1e-16
    )
    shapes = np.linspace(0.2, 4, 64)
    own = philox.gamma(key[0], "enc.W", shapes, step)
    np.testing.assert_allclose(draw.gamma("enc.W", torch.tensor(shapes)).numpy(), own, rtol=1e-12)
