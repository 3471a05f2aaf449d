"""What the leaves, contractions and elementwise ops mean, in NumPy.  Slow and obvious is right here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import philox, special
from .labeled import DTYPES, Array, Labeled, aligned, canonical, scalar
from .node import BATCH, REPLICA, Node, Pool, base


@dataclass(frozen=True)
class Env:
    """What a graph is evaluated on.

    ``inputs``: by name, axes (batch, *declared).  ``params``, ``states``: by path, axes as declared.  ``samples``:
    draws by path; those not given come from (seed, path, step).  The axis of replicas, where there is one, is the first
    of all of these.  ``sizes``: of axes bound from data, where no input shows them.  ``examples`` defaults to the batch
    size.
    """

    inputs: Mapping[str, ArrayLike] = field(default_factory=dict[str, ArrayLike])
    params: Mapping[str, ArrayLike] = field(default_factory=dict[str, ArrayLike])
    states: Mapping[str, ArrayLike] = field(default_factory=dict[str, ArrayLike])
    samples: Mapping[str, ArrayLike] = field(default_factory=dict[str, ArrayLike])
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    step: int = 1
    examples: float | None = None
    training: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Numbers:
    """What the numbers of an evaluation are: float64 here, the elements of a prime field in :mod:`.field`.

    ``dtypes``: how values of each dtype are held.  ``total``: the sum of arrays.  ``position``: of the entry of an index
    and the positions that it may name, the one that it names, or a negative number.
    """

    meanings: Mapping[str, Meaning]
    dtypes: Mapping[str, Any]
    total: Callable[[Sequence[Array]], Array]
    position: Callable[[Array, Sequence[int]], int]


@dataclass(frozen=True)
class Context:
    """An environment with the sizes of all axes, and the holes of the scan whose body is being evaluated."""

    pool: Pool
    env: Env
    sizes: Mapping[str, int]
    holes: Mapping[str, Labeled]
    numbers: Numbers

    def size(self, index: str) -> int:
        """The size of an index's axis.

        Raises:
            ValueError: it is bound from data, and nothing given shows it.
        """
        known = self.pool.size(index)
        if isinstance(known, int):
            return known
        if base(index) not in self.sizes:
            raise ValueError(f"the size of `{base(index)}` is not given")
        return self.sizes[base(index)]

    def shape(self, axes: Sequence[str]) -> tuple[int, ...]:
        return tuple(self.size(a) for a in axes)


Meaning = Callable[[Context, Node, list[Labeled]], Labeled]


def given(ctx: Context, what: str, values: Mapping[str, ArrayLike], name: str, axes: Sequence[str]) -> Labeled:
    """A leaf's array, its shape checked.

    Raises:
        ValueError: there is none, or its shape is another.
    """
    if name not in values:
        raise ValueError(f"no value for {what} `{name}`")
    data = np.asarray(values[name])
    if data.shape != ctx.shape(axes):
        raise ValueError(f"{what} `{name}` has shape {data.shape}, but [{', '.join(axes)}] is {ctx.shape(axes)}")
    return Labeled(tuple(axes), data)


def example_axes(node: Node) -> tuple[str, ...]:
    """The axes of an input in the order in which it is given: batch first, but for replicas."""
    axes: tuple[str, ...] = node.attr("axes")
    return tuple(sorted((BATCH, *axes), key=lambda a: (a != REPLICA, a != BATCH)))


# leaves


def _table(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    return Labeled(node.attr("axes"), np.array(node.attr("values")).reshape(node.attr("shape")))


def _label(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    index = node.attr("index")
    return Labeled((index,), np.arange(ctx.size(index)) + node.attr("low"))


def _sample(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    path, axes = node.attr("path"), node.attr("axes")
    if path in ctx.env.samples:
        return given(ctx, "sample", ctx.env.samples, path, axes)
    shape = ctx.shape([a for a in axes if a != REPLICA])
    draw = philox.normal if node.attr("kind") == "normal" else philox.uniform
    each = [draw(seed, path, int(np.prod(shape)), ctx.env.step).reshape(shape) for seed in _seeds(ctx, axes)]
    return Labeled(axes, np.stack(each) if REPLICA in axes else each[0])


def _seeds(ctx: Context, axes: Sequence[str]) -> range:
    """The seeds of a draw: one, or one a replica (the draw's first axis), each keyed as in a run of its own."""
    return range(ctx.env.seed, ctx.env.seed + (ctx.size(REPLICA) if REPLICA in axes else 1))


def _transformed(draw: Callable[[int, str, Any, int], Array]) -> Meaning:
    """Draws for a parameter (a concentration, a rate) that may lack some of their axes."""

    def meaning(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
        path, axes = node.attr("path"), node.attr("axes")
        if path in ctx.env.samples:
            return given(ctx, "sample", ctx.env.samples, path, axes)
        shape, seeds = ctx.shape(axes), _seeds(ctx, axes)
        each = xs[0].expand(axes, shape).astype(np.float64).reshape(len(seeds), -1)
        draws = [draw(seed, path, a, ctx.env.step) for seed, a in zip(seeds, each, strict=True)]
        return Labeled(axes, np.stack(draws).reshape(shape))

    return meaning


def _examples(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    return scalar(ctx.env.examples if ctx.env.examples is not None else ctx.size(BATCH))


LEAVES: dict[str, Meaning] = {
    "const": lambda ctx, node, xs: scalar(node.attr("value")),
    "table": _table,
    "input": lambda ctx, node, xs: given(ctx, "input", ctx.env.inputs, node.attr("name"), example_axes(node)),
    "param": lambda ctx, node, xs: given(ctx, "param", ctx.env.params, node.attr("path"), node.attr("axes")),
    "state": lambda ctx, node, xs: given(ctx, "state", ctx.env.states, node.attr("path"), node.attr("axes")),
    "size": lambda ctx, node, xs: scalar(ctx.size(node.attr("axis"))),
    "label": _label,
    "step": lambda ctx, node, xs: scalar(ctx.env.step),
    "examples": _examples,
    "training": lambda ctx, node, xs: scalar(int(ctx.env.training)),
    "hole": lambda ctx, node, xs: ctx.holes[node.attr("name")],
    "sample": _sample,
    "gamma": _transformed(philox.gamma),
    "poisson": _transformed(philox.poisson),
}


# contraction


def _contract(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """The sum over named axes of the product; an axis that nothing carries counts its size."""
    summed: frozenset[str] = node.attr("sum")
    carried = canonical({a for x in xs for a in x.axes})
    number = {a: k for k, a in enumerate(carried)}
    kept = tuple(a for a in carried if a not in summed)
    operands: list[Any] = []
    for x in xs:
        operands += [x.data.astype(DTYPES[node.dtype]), [number[a] for a in x.axes]]
    data = np.einsum(*operands, [number[a] for a in kept], optimize=len(xs) > 2)
    for axis in summed - set(carried):
        data = data * ctx.size(axis)
    return Labeled(kept, np.asarray(data))


# elementwise


def _sum(*xs: Array) -> Array:
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    return total


def _relu(x: Array) -> Array:
    return np.where(x > 0, x, np.where(x <= 0, x * 0, x))  # NaN stays NaN


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + special.erf(x / np.sqrt(2)))


def _xlogy(x: Array, y: Array) -> Array:
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log(y))


def _copy(x: Array) -> Array:
    return x


_REAL: dict[str, Callable[..., Array]] = {  # arguments as float64
    "recip": np.reciprocal,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "gelu": _gelu,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "softplus": _softplus,
    "sin": np.sin,
    "cos": np.cos,
    "erf": special.erf,
    "lgamma": special.lgamma,
    "digamma": special.digamma,
    "trigamma": special.trigamma,
    "xlogy": _xlogy,
    "real": _copy,
}

_LIKE_RESULT: dict[str, Callable[..., Array]] = {  # arguments in the dtype of the result
    "add": _sum,
    "pow": np.power,
    "abs": np.abs,
    "sign": np.sign,
    "relu": _relu,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "stop": _copy,
}

_AS_GIVEN: dict[str, Callable[..., Array]] = {
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "logical_not": np.logical_not,
    "where": np.where,
}


def _elementwise(function: Callable[..., Array], dtype: str | None) -> Meaning:
    """Broadcast by name; arguments cast to ``dtype`` (``result``: the node's own; None: left alone)."""

    def meaning(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
        axes, arrays = aligned(xs)
        if dtype is not None:
            arrays = [a.astype(DTYPES[node.dtype if dtype == "result" else dtype]) for a in arrays]
        return Labeled(axes, np.asarray(function(*arrays)))

    return meaning


ELEMENTWISE: dict[str, Meaning] = {
    "contract": _contract,
    **{name: _elementwise(f, "real") for name, f in _REAL.items()},
    **{name: _elementwise(f, "result") for name, f in _LIKE_RESULT.items()},
    **{name: _elementwise(f, None) for name, f in _AS_GIVEN.items()},
}
