"""Every op's gradient rule against central differences, under full, partial and scalar cotangents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dltc.compiler.derive.gradient import GRADIENTS
from dltc.compiler.derive.vjp import Constant, Refused
from dltc.compiler.graph import expr as e
from dltc.compiler.graph import foreign
from dltc.compiler.graph.node import Node, Pool

SIZES = {"i": 3, "j": 2, "k": 4, "u": 1, "m": 3}

# per op: (builder, {operand: (axes, low, high)}); operands are drawn uniformly in (low, high)
ANY, POSITIVE = (-2.0, 2.0), (0.3, 2.5)


def _unary(name, low=-2.0, high=2.0):
    return [(getattr(e, name), {"x": (("i", "u"), low, high)})]


def _binary(name, first=ANY, second=ANY):
    shapes = [(("i", "j"), ("j", "k")), (("i",), ("i",)), (("i", "u"), ("j",)), ((), ("i",))]
    return [(getattr(e, name), {"x": (a, *first), "y": (b, *second)}) for a, b in shapes]


def _with_axes(name, axes):
    return lambda p, x: getattr(e, name)(p, x, axes)


def _over(name, low=-2.0, high=2.0):
    cases = [(("i",), "i"), (("i", "j", "k"), ("i", "k")), (("i", "u"), "u"), (("j",), ("j", "k"))]
    return [(_with_axes(name, axes), {"x": (own, low, high)}) for own, axes in cases]


def _along(name):
    cases = [(("i",), "i"), (("i", "j"), "i"), (("j",), "i"), (("u", "j"), "u")]
    return [(_with_axes(name, axis), {"x": (own, *ANY)}) for own, axis in cases]


def _table(p: Pool, axes, values):
    shape = tuple(p.axes[a.rstrip("'")] for a in axes)
    return e.table(p, axes, values, shape, "int")


def _matrix(f, axes=("i", "i'"), shift=0.0):
    """A matrix made from the operand; well conditioned and, with a shift, positive definite."""

    def build(p, x):
        if not shift:
            return f(p, x)
        gram = e.contract(p, [e.rename(p, x, {"i'": "m"}), e.rename(p, x, {"i": "i'", "i'": "m"})], "m")
        eye = e.real(p, e.eq(p, e.label(p, "i"), e.label(p, "i'")))
        return f(p, e.add(p, gram, e.mul(p, shift, eye), e.mul(p, 0.1, x)))

    return (build, {"x": (axes, *ANY)})


def _solves():
    def solve(upper):
        def build(p, x, y):
            eye = e.real(p, e.eq(p, e.label(p, "i"), e.label(p, "i'")))
            return e.solve_triangular(p, e.add(p, x, e.mul(p, 4.0, eye)), y, "i", "i'", upper=upper)

        return build

    sides = [
        (("i", "i'"), ("i",)),
        (("i", "i'"), ("i", "k")),
        (("j", "i", "i'"), ("i",)),
        (("i", "i'"), ("i", "j", "k")),
    ]
    return [(solve(upper), {"x": (a, *ANY), "y": (b, *ANY)}) for upper in (False, True) for a, b in sides]


def _gathers():
    def plain(p, x):  # an index with an axis of its own
        return e.gather(p, x, _table(p, ("k",), (0, 2, 2, 1)), "i")

    def aligned(p, x):  # an index that shares an axis
        return e.gather(p, x, _table(p, ("j",), (2, 0)), "i")

    def permuted(p, x):  # over the gathered axis itself
        return e.gather(p, x, _table(p, ("i",), (2, 0, 0)), "i")

    x = {"x": (("i", "j"), *ANY)}
    return [(plain, x), (aligned, x), (permuted, x), (plain, {"x": (("i",), *ANY)})]


def _scatters():
    def plain(p, x):
        return e.scatter(p, x, _table(p, ("k",), (0, 2, 2, 1)), "i")

    def kept(p, x):
        return e.scatter(p, x, _table(p, ("k", "j"), (0, 2, 2, 1, 0, 0, 1, 2)), "i", keep="j")

    def permuted(p, x):
        return e.scatter(p, x, _table(p, ("i",), (2, 0, 0)), "i")

    return [
        (plain, {"x": (("k", "j"), *ANY)}),
        (plain, {"x": (("j",), *ANY)}),
        (plain, {"x": ((), *ANY)}),
        (kept, {"x": (("k", "j"), *ANY)}),
        (kept, {"x": (("k",), *ANY)}),
        (permuted, {"x": (("i",), *ANY)}),
    ]


def _contracts():
    def build(sum):
        return lambda p, x, y: e.contract(p, [x, y], sum)

    pairs = [
        (("i", "j"), ("j", "k"), "j"),
        (("i", "j"), ("j", "k"), ()),
        (("i", "j"), ("k",), ("i", "k")),
        (("i",), ("i",), "i"),
        (("i",), ("j",), ("k",)),
        (("u", "i"), ("i",), "u"),
    ]
    cases = [(build(s), {"x": (a, *ANY), "y": (b, *ANY)}) for a, b, s in pairs]
    cases.append((lambda p, x: e.contract(p, [x, x, x], "i"), {"x": (("i", "j"), *ANY)}))
    cases.append((lambda p, x, y: e.contract(p, [x, y, x], "j"), {"x": (("i", "j"), *ANY), "y": (("j",), *ANY)}))
    return cases


CASES = {
    "contract": _contracts(),
    "add": _binary("add"),
    "recip": _unary("recip", *POSITIVE),
    "pow": [*_binary("pow", POSITIVE), (lambda p, x: e.pow(p, x, 3), {"x": (("i",), *ANY)})],
    "exp": _unary("exp"),
    "log": _unary("log", *POSITIVE),
    "log1p": _unary("log1p", -0.5, 2),
    "expm1": _unary("expm1"),
    "sqrt": _unary("sqrt", *POSITIVE),
    "abs": _unary("abs_"),
    "relu": _unary("relu"),
    "gelu": _unary("gelu"),
    "sigmoid": _unary("sigmoid"),
    "tanh": _unary("tanh"),
    "softplus": _unary("softplus"),
    "sin": _unary("sin"),
    "cos": _unary("cos"),
    "erf": _unary("erf"),
    "lgamma": _unary("lgamma", *POSITIVE),
    "digamma": _unary("digamma", *POSITIVE),
    "minimum": _binary("minimum"),
    "maximum": _binary("maximum"),
    "mod": _binary("mod", (2.1, 2.9), (0.6, 0.69)),
    "where": [
        (
            lambda p, x, y: e.where(p, e.lt(p, e.mul(p, x, 1.0), y), e.mul(p, x, y), y),
            {"x": (("i",), *ANY), "y": (("i", "j"), *ANY)},
        ),
        (
            lambda p, x, y: e.where(p, e.lt(p, e.label(p, "k"), 2), x, y),
            {"x": ((), *ANY), "y": (("j",), *ANY)},
        ),
    ],
    "xlogy": _binary("xlogy", ANY, POSITIVE),
    "real": [(lambda p, x: p.node("real", x), {"x": (("i",), *ANY)})],
    "max": _over("max"),
    "min": _over("min"),
    "prod": _over("prod"),
    "logsumexp": _over("logsumexp"),
    "softmax": _over("softmax"),
    "log_softmax": _over("log_softmax"),
    "cumsum": _along("cumsum"),
    "revcumsum": _along("revcumsum"),
    "rename": [(lambda p, x: e.rename(p, x, {"i": "i'", "i'": "i"}), {"x": (("i", "i'", "j"), *ANY)})],
    "gather": _gathers(),
    "scatter": _scatters(),
    "window": [
        (lambda p, x: e.window(p, x, "i", (("k", 2), ("j", -1)), 1), {"x": (("i", "m"), *ANY)}),
        (lambda p, x: e.window(p, x, "i", (("k", 1),), -1), {"x": (("i",), *ANY)}),
    ],
    "fold": [
        (lambda p, x: e.fold(p, x, "m", (("k", 2), ("j", -1)), 1), {"x": (("i", "j", "k"), *ANY)}),
        (lambda p, x: e.fold(p, x, "m", (("k", 1),), 1), {"x": (("k",), *ANY)}),
    ],
    "logdet": [_matrix(lambda p, a: e.logdet(p, a, "i", "i'"), shift=1.0)],
    "inverse": [
        _matrix(lambda p, a: e.inverse(p, a, "i", "i'"), shift=1.0),
        _matrix(lambda p, a: e.inverse(p, a, "i", "i'"), ("j", "i", "i'"), shift=1.0),
        _matrix(lambda p, a: e.inverse(p, e.rename(p, a, {"i'": "m"}), "i", "m"), shift=1.0),
    ],
    "cholesky": [
        _matrix(lambda p, a: e.cholesky(p, a, "i", "i'"), shift=1.0),
        _matrix(lambda p, a: e.cholesky(p, a, "i", "i'"), ("j", "i", "i'"), shift=1.0),
    ],
    "solve_triangular": _solves(),
    "eigvals": [_matrix(lambda p, a: e.eigvals(p, a, "i", "i'")), _matrix(lambda p, a: e.eigvals(p, a, "i'", "i"))],
    "matpow": [
        _matrix(lambda p, a: e.matpow(p, a, -0.5, "i", "i'"), shift=1.0),
        _matrix(lambda p, a: e.matpow(p, a, 2, "i", "i'"), ("j", "i", "i'")),
        _matrix(lambda p, a: e.matpow(p, a, -1, "i", "i'"), shift=2.0),
    ],
    "polar": [
        _matrix(lambda p, a: e.polar(p, a, "i", "j"), ("i", "j")),
        _matrix(lambda p, a: e.polar(p, a, "j", "i"), ("i", "j")),
        _matrix(lambda p, a: e.polar(p, a, "i", "i'"), shift=1.0),
    ],
}


def _python(p: Pool, x, y):
    """A function of both: a product that sees i of x and j of y, whatever else they have."""
    given = {"own": ((("i",),), (("j",),)), "out": (("j",),), "static": ()}
    return p.node("extern", x, y, entry=("m:f", ""), **given)


@pytest.fixture(autouse=True)
def _function():
    foreign.use({"m:f:": lambda a, b: b**2 * torch.sin(a).sum(1, keepdim=True)}.__getitem__)


CASES["extern"] = [
    (_python, {"x": (("i", "k"), *ANY), "y": (("j", "u"), *ANY)}),
    (_python, {"x": (("i",), *ANY), "y": (("j", "k"), *ANY)}),
]

DRAWN = [(op, number) for op, rows in CASES.items() for number in range(len(rows))]


def test_every_rule_has_a_case():
    with_rule = {op for op, entry in GRADIENTS.items() if not isinstance(entry, Constant | Refused)}
    assert with_rule == CASES.keys()


def _objective(pool: Pool, value: Node, kept: int, leaves: dict, params: dict, rng) -> Node:
    """The sum of the value times weights over some of its axes: a cotangent with just these."""
    axes = sorted(value.axes)[: [0, 1, len(value.axes)][kept]]
    leaves["weight"] = e.param(pool, "weight", axes)
    params["weight"] = rng.uniform(0.5, 1.5, [SIZES[a.rstrip("'")] for a in axes])
    return e.contract(pool, [value, leaves["weight"]], value.axes)


@pytest.mark.parametrize("kept", [0, 1, 2], ids=["scalar", "partial", "full"])
@pytest.mark.parametrize(("op", "number"), DRAWN, ids=[f"{op}-{n}" for op, n in DRAWN])
def test_against_differences(op, number, kept, check_gradient):
    build, operands = CASES[op][number]
    rng = np.random.default_rng(number)
    pool = Pool(SIZES)
    leaves, params = {}, {}
    for name, (axes, low, high) in operands.items():
        leaves[name] = e.param(pool, name, axes)
        params[name] = rng.uniform(low, high, [SIZES[a.rstrip("'")] for a in axes])
    value = build(pool, *leaves.values())
    check_gradient(pool, _objective(pool, value, kept, leaves, params, rng), leaves, params)
