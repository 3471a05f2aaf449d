"""The constructors by which every stage makes nodes: ``from ..graph import expr as e; e.add(pool, x, y)``.

Operands are nodes or Python numbers; axes are one name or several.  Here are the ops that are built from others; the
primitive ones come from :mod:`.construct`, :mod:`.over_axes` and :mod:`.guard`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import construct as c
from . import over_axes as o
from .construct import abs_ as abs_
from .construct import add as add
from .construct import const as const
from .construct import constant as constant
from .construct import contract as contract
from .construct import cos as cos
from .construct import digamma as digamma
from .construct import div as div
from .construct import eq as eq
from .construct import erf as erf
from .construct import exp as exp
from .construct import expm1 as expm1
from .construct import floordiv as floordiv
from .construct import fresh as fresh
from .construct import ge as ge
from .construct import gelu as gelu
from .construct import gt as gt
from .construct import in_order as in_order
from .construct import label as label
from .construct import le as le
from .construct import lgamma as lgamma
from .construct import log as log
from .construct import log1p as log1p
from .construct import logical_not as logical_not
from .construct import lt as lt
from .construct import maximum as maximum
from .construct import mean as mean
from .construct import minimum as minimum
from .construct import mod as mod
from .construct import mul as mul
from .construct import ne as ne
from .construct import neg as neg
from .construct import node_of as node_of
from .construct import origin_of as origin_of
from .construct import pow as pow
from .construct import real as real
from .construct import recip as recip
from .construct import reduce_sum as reduce_sum
from .construct import relu as relu
from .construct import scan as scan
from .construct import select as select
from .construct import sigmoid as sigmoid
from .construct import sign as sign
from .construct import sin as sin
from .construct import size as size
from .construct import softplus as softplus
from .construct import sqrt as sqrt
from .construct import stop as stop
from .construct import sub as sub
from .construct import tanh as tanh
from .construct import trigamma as trigamma
from .construct import truth as truth
from .construct import unary as unary
from .construct import xlogy as xlogy
from .construct import zeros as zeros
from .guard import where as where
from .node import Node, Pool
from .over_axes import argmax as argmax
from .over_axes import carrying as carrying
from .over_axes import cholesky as cholesky
from .over_axes import cumsum as cumsum
from .over_axes import eigvals as eigvals
from .over_axes import eigvecs as eigvecs
from .over_axes import fold as fold
from .over_axes import gather as gather
from .over_axes import inverse as inverse
from .over_axes import log_softmax as log_softmax
from .over_axes import logdet as logdet
from .over_axes import logsumexp as logsumexp
from .over_axes import matpow as matpow
from .over_axes import max as max
from .over_axes import min as min
from .over_axes import one_hot as one_hot
from .over_axes import polar as polar
from .over_axes import position as position
from .over_axes import prod as prod
from .over_axes import rank as rank
from .over_axes import rename as rename
from .over_axes import revcumsum as revcumsum
from .over_axes import scatter as scatter
from .over_axes import softmax as softmax
from .over_axes import solve_triangular as solve_triangular
from .over_axes import window as window

Operand = c.Operand
Axes = c.Axes


# leaves


def param(pool: Pool, path: str, axes: Sequence[str], dtype: str = "real") -> Node:
    """A parameter: identity is its path."""
    if dtype == "real":
        return pool.node("param", path=path, axes=tuple(axes))
    return pool.node("param", path=path, axes=tuple(axes), dtype=dtype)


def state(pool: Pool, path: str, axes: Sequence[str]) -> Node:
    """A persistent value of a rule or model: identity is its path."""
    return pool.node("state", path=path, axes=tuple(axes))


def input(pool: Pool, name: str, axes: Sequence[str], dtype: str = "real") -> Node:
    """A column of the data: its declared axes, and the batch."""
    return pool.node("input", name=name, axes=tuple(axes), dtype=dtype)


def sample(pool: Pool, kind: str, path: str, axes: Sequence[str]) -> Node:
    """One keyed draw per element and step: ``uniform`` in (0, 1) or standard ``normal``."""
    return pool.node("sample", kind=kind, path=path, axes=tuple(axes))


def gamma_draw(pool: Pool, path: str, axes: Sequence[str], concentration: Operand) -> Node:
    """One keyed gamma draw per element (rate 1)."""
    return pool.node("gamma", c.node_of(pool, concentration), path=path, axes=tuple(axes))


def poisson_draw(pool: Pool, path: str, axes: Sequence[str], rate: Operand) -> Node:
    """One keyed Poisson draw per element (int)."""
    return pool.node("poisson", c.node_of(pool, rate), path=path, axes=tuple(axes))


def table(
    pool: Pool, axes: Sequence[str], values: Sequence[bool | int | float], shape: Sequence[int], dtype: str
) -> Node:
    """A constant tensor, its values row-major over ``axes``."""
    return pool.node("table", axes=tuple(axes), values=tuple(values), shape=tuple(shape), dtype=dtype)


def hole(pool: Pool, name: str, axes: Sequence[str], dtype: str = "real") -> Node:
    """What a scan's body reads."""
    return pool.node("hole", name=name, axes=tuple(axes), dtype=dtype)


def step(pool: Pool) -> Node:
    """t, from 1."""
    return pool.node("step")


def examples(pool: Pool) -> Node:
    """N, the number of training examples."""
    return pool.node("examples")


def training(pool: Pool) -> Node:
    """1 in training, 0 in evaluation."""
    return pool.node("training")


# built from other ops


def clip(pool: Pool, x: Operand, low: Operand | None = None, high: Operand | None = None) -> Node:
    """x between low and high; at a limit the derivative is 1."""
    x = c.node_of(pool, x)
    x = x if low is None else c.maximum(pool, x, low)
    return x if high is None else c.minimum(pool, x, high)


def shrink(pool: Pool, u: Operand, t: Operand) -> Node:
    """Soft threshold: sign(u) * relu(|u| - t)."""
    return c.mul(pool, c.sign(pool, u), c.relu(pool, c.sub(pool, c.abs_(pool, u), t)))


def kmax(pool: Pool, u: Operand, axes: Sequence[str], k: Operand) -> Node:
    """u where it is among the k largest over ``axes`` (ties by lowest label), else 0."""
    return where(pool, c.lt(pool, o.rank(pool, u, axes), k), u, c.const(pool, 0.0))


def var(pool: Pool, x: Operand, axes: Axes) -> Node:
    """The variance over ``axes`` (of a population: divided by n)."""
    centred = c.sub(pool, x, c.mean(pool, x, axes))
    return c.mean(pool, c.mul(pool, centred, centred), axes)


def norm(pool: Pool, x: Operand, axes: Axes) -> Node:
    """The Euclidean norm over ``axes``; its gradient at 0 is 0."""
    square = c.contract(pool, [x, x], axes)
    return where(pool, c.lt(pool, 0, square), c.sqrt(pool, square), c.const(pool, 0.0))


def normalize(pool: Pool, x: Operand, axes: Axes) -> Node:
    """x divided by its sum over ``axes``."""
    return c.div(pool, x, c.reduce_sum(pool, x, axes))


_MAKERS: dict[str, Callable[..., Node]] = {
    "add": c.add,
    "pow": c.pow,
    "minimum": c.minimum,
    "maximum": c.maximum,
    "floordiv": c.floordiv,
    "mod": c.mod,
    "lt": c.lt,
    "le": c.le,
    "eq": c.eq,
    "ne": c.ne,
    "where": c.select,  # what needed a guard has it
    "logical_not": c.logical_not,
    "stop": c.stop,
    "max": o.max,
    "min": o.min,
    "prod": o.prod,
    "logsumexp": o.logsumexp,
    "softmax": o.softmax,
    "log_softmax": o.log_softmax,
    "argmax": o.argmax,
    "rank": o.rank,
    "matpow": o.matpow,
    "logdet": o.logdet,
    "cholesky": o.cholesky,
    "solve_triangular": o.solve_triangular,
    "inverse": o.inverse,
    "eigvals": o.eigvals,
    "eigvecs": o.eigvecs,
    "polar": o.polar,
    "cumsum": o.cumsum,
    "revcumsum": o.revcumsum,
    "gather": o.gather,
    "window": o.window,
    "fold": o.fold,
    "scatter": o.scatter,
}


def remake(pool: Pool, node: Node, inputs: Sequence[Node]) -> Node:
    """The node on new inputs, through its constructor: for rewrites after which an input may no longer carry an axis
    (which the bare op could refuse), or that want the local algebra."""
    return node if tuple(inputs) == node.inputs else anew(pool, node, inputs)


def anew(pool: Pool, node: Node, inputs: Sequence[Node]) -> Node:
    """The node on these inputs, through its constructor even where they are its own."""
    if node.op == "contract":
        return c.contract(pool, inputs, node.attr("sum"))
    if node.op == "rename":
        return o.rename(pool, inputs[0], dict(node.attr("map")))
    maker = _MAKERS.get(node.op)
    if maker is not None:
        return maker(pool, *inputs, **dict(node.attrs))
    if len(inputs) == 1 and not node.attrs:
        return c.unary(pool, node.op, inputs[0])
    return pool.node(node.op, *inputs, **dict(node.attrs))
