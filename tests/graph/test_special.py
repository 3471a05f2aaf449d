"""Special functions against torch, the standard library and identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dltc.compiler.graph import special

POSITIVE = np.concatenate([np.linspace(0.01, 30, 3001), [1e-8, 1e5, 1e15]])
NEGATIVE = np.linspace(-5.95, -0.05, 777)
EULER = 0.57721566490153286061


@pytest.mark.parametrize("name", ["digamma", "erf", "lgamma"])
def test_agrees_with_torch(name):
    own, other = getattr(special, name), getattr(torch, name)
    np.testing.assert_allclose(own(POSITIVE), other(torch.tensor(POSITIVE)).numpy(), rtol=2e-14, atol=1e-14)
    np.testing.assert_allclose(own(NEGATIVE), other(torch.tensor(NEGATIVE)).numpy(), rtol=2e-11, atol=2e-13)


@pytest.mark.parametrize(
    ("x", "digamma", "trigamma"),
    [
        (1.0, -EULER, math.pi**2 / 6),
        (0.5, -EULER - 2 * math.log(2), math.pi**2 / 2),
        (2.0, 1 - EULER, math.pi**2 / 6 - 1),
        (0.25, -EULER - math.pi / 2 - 3 * math.log(2), math.pi**2 + 8 * 0.91596559417721901505),
        (-0.5, 2 - EULER - 2 * math.log(2), math.pi**2 / 2 + 4),
    ],
)
def test_known_values(x, digamma, trigamma):
    np.testing.assert_allclose(special.digamma(np.array(x)), digamma, rtol=1e-14)
    np.testing.assert_allclose(special.trigamma(np.array(x)), trigamma, rtol=1e-14)


def test_recurrence_and_duplication():
    x = POSITIVE[POSITIVE < 1e4]
    np.testing.assert_allclose(special.trigamma(x + 1) + 1 / x**2, special.trigamma(x), rtol=3e-15)
    doubled = (special.trigamma(x) + special.trigamma(x + 0.5)) / 4
    np.testing.assert_allclose(special.trigamma(2 * x), doubled, rtol=3e-15)


def test_poles():
    poles = np.array([0.0, -1.0, -2.0])
    np.testing.assert_array_equal(special.digamma(poles), [-np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(special.trigamma(poles), [np.inf] * 3)
    np.testing.assert_array_equal(special.lgamma(poles), [np.inf] * 3)
    assert special.digamma(np.array(np.inf)) == np.inf
    assert special.trigamma(np.array(np.inf)) == 0
