"""Philox against published vectors, the keying, and the distributions drawn from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dltc.compiler.graph import philox as reference
from dltc.runtime import Draw
from dltc.runtime.philox import key_words, mantissa, permutation, philox, uniforms

FF = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((FF, FF, FF, FF), (FF, FF), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["int", "numpy", "torch"])
def test_published_vectors(counter, key, expected, kind):
    wrap = {"int": int, "numpy": lambda c: np.array(c), "torch": lambda c: torch.tensor(c)}[kind]
    words = philox(tuple(wrap(c) for c in counter), key)
    assert tuple(int(w) for w in words) == expected


def test_mantissa_has_53_bits_and_uniforms_stay_below_one():
    assert mantissa(FF, FF) == 2**53 - 1
    assert mantissa(0, 0) == 0
    values = uniforms(3, "x", 10_000)
    assert values.min() > 0
    assert values.max() < 1


def test_key_depends_on_path_and_on_both_halves_of_the_seed():
    keys = {key_words(seed, path) for seed in (0, 1, 1 << 32, -1) for path in ("W", "h.W")}
    assert len(keys) == 8
    a, b = key_words(0, "W"), key_words((5 << 32) | 7, "W")
    assert (a[0] ^ b[0], a[1] ^ b[1]) == (7, 5)


@pytest.mark.parametrize("seed", [0, 12345678901, -3])
@pytest.mark.parametrize("step", [0, 17])
def test_agrees_with_the_compilers_generator(seed, step):
    draw = Draw(seed, step)
    assert np.array_equal(draw.uniform("h.W", (7, 5)).numpy().ravel(), reference.uniform(seed, "h.W", 35, step))
    ours = draw.normal("h.W", (7, 5)).numpy().ravel()
    np.testing.assert_allclose(ours, reference.normal(seed, "h.W", 35, step), rtol=1e-13)


def test_torch_and_numpy_give_the_same_uniforms():
    assert np.array_equal(Draw(9, 4).uniform("p", (1000,)).numpy(), uniforms(9, "p", 1000, step=4))


def test_a_draw_depends_only_on_seed_path_element_and_step():
    small, large = Draw(1).normal("W", (4,)), Draw(1).normal("W", (9, 9))
    assert torch.equal(small, large.reshape(-1)[:4])
    assert not torch.equal(small, Draw(2).normal("W", (4,)))
    assert not torch.equal(small, Draw(1).normal("V", (4,)))
    assert not torch.equal(small, Draw(1, step=1).normal("W", (4,)))
    assert Draw(1).normal("W").shape == ()


def test_normal_moments():
    values = Draw(0).normal("n", (200_000,))
    assert values.dtype == torch.float64
    assert abs(values.mean()) < 0.01
    assert abs(values.var() - 1) < 0.02
    assert abs((values**4).mean() - 3) < 0.1


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.5])
def test_gamma_moments(alpha):
    values = Draw(0).gamma("g", torch.full((100_000,), alpha))
    error = 5 * math.sqrt(alpha / 100_000)
    assert values.min() > 0
    assert abs(values.mean() - alpha) < error
    assert abs(values.var() - alpha) < 0.05 * alpha + error
    log_mean = torch.digamma(torch.tensor(alpha, dtype=torch.float64))
    assert abs(torch.log(values).mean() - log_mean) < 0.05


def test_gamma_elements_do_not_depend_on_each_other():
    alpha = torch.tensor([0.5, 2.0, 30.0, 0.01])
    together = Draw(3).gamma("g", alpha)
    assert torch.equal(together[:2], Draw(3).gamma("g", alpha[:2]))
    assert torch.equal(Draw(3).gamma("g", 2.0, (5,)).shape and together[1], Draw(3).gamma("g", 2.0, (5,))[1])


def test_gamma_follows_the_documented_lanes():
    """One accepted first attempt, recomputed by hand from lanes 1 and 2."""
    alpha = 3.0
    u1, u2 = reference.uniforms(8, "g", 50, 0, lane=1)
    x = np.sqrt(-2 * np.log(u1)) * np.cos(2 * np.pi * u2)
    u = reference.uniforms(8, "g", 50, 0, lane=2)[0]
    d = alpha - 1 / 3
    v = (1 + x / math.sqrt(9 * d)) ** 3
    accepted = (v > 0) & (np.log(u) < 0.5 * x * x + d - d * v + d * np.log(np.where(v > 0, v, 1)))
    assert accepted.sum() > 40
    drawn = Draw(8).gamma("g", torch.full((50,), alpha)).numpy()
    np.testing.assert_allclose(drawn[accepted], (d * v)[accepted], rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 77])
def test_gamma_agrees_with_the_compilers_generator(seed):
    alpha = np.array([0.05, 0.4, 1.0, 2.5, 70.0] * 20)
    ours = Draw(seed, step=3).gamma("p", torch.tensor(alpha)).numpy()
    np.testing.assert_allclose(ours, reference.gamma(seed, "p", alpha, 3), rtol=1e-12)


def test_gamma_of_an_illegal_shape_is_nan_and_leaves_the_others_alone():
    alpha = torch.tensor([0.0, -1.0, math.nan, math.inf, 2.0], dtype=torch.float64)
    drawn = Draw(0).gamma("g", alpha)
    assert torch.isnan(drawn).tolist() == [True] * 4 + [False]
    assert drawn[4] == Draw(0).gamma("g", 2.0, (5,))[4]


def test_permutation_is_one_and_is_keyed():
    order = permutation(0, "train.shuffle", 100, step=3)
    assert sorted(order) == list(range(100))
    assert not np.array_equal(order, permutation(0, "train.shuffle", 100, step=4))
    assert np.array_equal(order, permutation(0, "train.shuffle", 100, step=3))
