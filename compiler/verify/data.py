"""Small random data for a model, the same for the same key: inputs, parameters on their domains, states in use.

What the data decides is small: 4 examples, axes of 3.  Where a graph cannot be interpreted on that (it reads ``x[9]``, or
a whole number is an index), larger axes and smaller numbers are tried; if none will do, that is said.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ..frontend.distributions import DISTRIBUTIONS
from ..frontend.model import Input, Model, Param, Tensor
from ..graph.interpret import Env, Labeled, interpret
from ..graph.labeled import Array
from ..graph.node import BATCH, REPLICA, Graph, base

EXAMPLES = 4
IN_ALL = 50
"""N: small, so that priors have weight."""
MOST = 2**28
"""Entries of all values of both graphs: 2 GB of them."""
_TRIALS = [(size, below) for size in (3, 6, 12, 24) for below in (6, 2, 1)]
"""Sizes of the axes bound from data, and what whole numbers are below."""

Random = np.random.Generator


class NoDataError(Exception):
    """No random data was found that the graphs can be interpreted on; the text says what stood in the way."""


@dataclass(frozen=True)
class Data:
    """``inputs`` are [replica, batch, *leaves*], ``params`` and ``states`` [replica, *leaves*] (the first only where there
    are replicas); ``sizes`` of the axes bound from data."""

    inputs: Mapping[str, Array]
    params: Mapping[str, Array]
    states: Mapping[str, Array]
    sizes: Mapping[str, int]
    seed: int
    step: int = 2

    def env(self, *, training: bool = True) -> Env:
        """The environment for the interpreter."""
        return Env(
            self.inputs, self.params, self.states, {}, self.sizes, self.step, IN_ALL, training=training, seed=self.seed
        )


def draw_data(model: Model, functions: Graph, step: Graph, key: str) -> Data:
    """Data on which both graphs can be interpreted.

    Raises:
        NoDataError: there is none among those tried.
    """
    problem = ""
    entries = sum(_entries(graph, _TRIALS[0][0]) for graph in (functions, step))
    if entries > MOST:
        raise NoDataError(f"their values have {entries:,} entries, and no more than {MOST:,} are compared")
    for size, below in _TRIALS:
        try:
            return _Draw(model, key, size, below).data(functions, step)
        except ValueError as error:
            problem = problem or str(error)
    raise NoDataError(problem)


def _entries(graph: Graph, size: int) -> int:
    """How many numbers the values of all nodes hold."""
    known = {axis: n if isinstance(n, int) else size for axis, n in graph.pool.axes.items()}
    return sum(prod(known[base(axis)] for axis in node.axes) for node in graph.topological())


class _Draw:
    """One trial."""

    def __init__(self, model: Model, key: str, size: int, below: int) -> None:
        self.model, self.below = model, below
        self.seed = zlib.crc32(key.encode())
        self.rng = np.random.default_rng(self.seed)
        self.sizes = {name: size for name, n in model.leaf_sizes().items() if not isinstance(n, int)} | {
            BATCH: EXAMPLES
        }
        self.replicas = (REPLICA,) if model.replicas else ()

    def data(self, functions: Graph, step: Graph) -> Data:
        """Initial values scattered on their domains, and states as a step leaves them, if that is finite."""
        inputs = {name: self._column(item) for name, item in self.model.inputs.items()}
        start = Data(inputs, {}, {}, self.sizes, self.seed, step=0)
        initial = self._roots(functions, "init ", start)
        params = {p: self._scattered(param, initial[p]) for p, param in self.model.params.items()}
        states = {path: value for path, value in initial.items() if path not in params}
        first = replace(start, params=params, states=states, step=1)
        after = self._roots(step, "next ", first)
        used = {path: after[path] for path in states if path in after and np.isfinite(after[path]).all()}
        made = replace(first, states={**states, **used}, step=2)
        for training in (True, False):
            interpret(functions, made.env(training=training))
        return made

    def shape(self, leaves: Sequence[str]) -> tuple[int, ...]:
        """Sizes of leaf axes."""
        counts = [self.model.replicas if a == REPLICA else self.sizes.get(base(a)) for a in leaves]
        return tuple(
            self.model.axes[base(a)].size or 0 if n is None else n for a, n in zip(leaves, counts, strict=True)
        )

    def _roots(self, graph: Graph, prefix: str, data: Data) -> dict[str, Array]:
        """The values of some roots, in the shapes of what they are stored in."""
        wanted = {name: node for name, node in graph.roots.items() if name.startswith(prefix)}
        found = interpret(Graph(graph.pool, wanted), data.env())
        return {name.removeprefix(prefix): self._stored(name.removeprefix(prefix), x) for name, x in found.items()}

    def _stored(self, path: str, value: Labeled) -> Array:
        param = self.model.params.get(path)
        tensor: Tensor = param.tensor if param is not None else self.model.states()[path]
        order = (*self.replicas, *tensor.leaves)
        return np.array(value.expand(order, self.shape(order)))

    def _column(self, item: Input) -> Array:
        """Data of an input: on the support of its density, if it has one."""
        shape = self.shape((*self.replicas, BATCH, *item.tensor.leaves))
        match item.kind:
            case "label":
                axis = self.model.axes[item.tensor.label or ""]
                return self.rng.integers(0, prod(self.shape(axis.leaves)), shape) + axis.low
            case "length":
                return self.rng.integers(1, self.sizes[item.tensor.name] + 1, shape)
            case "int":
                return self.rng.integers(0, self.below, shape)
            case "bool":
                return self.rng.random(shape) < 0.5
            case _:
                return self._real(item.tensor.name, shape)

    def _real(self, name: str, shape: tuple[int, ...]) -> Array:
        supports = [DISTRIBUTIONS[t.dist.name].support for t in self.model.terms if t.target.tensor.name == name]
        return _ON_SUPPORT.get(supports[0] if supports else "real", _normal)(self.rng, shape)

    def _scattered(self, param: Param, value: Array) -> Array:
        """Near the initial value, inside the domain and away from ties."""
        noise = self.rng.normal(size=value.shape)
        shift = len(self.replicas)
        places = tuple(param.tensor.leaves.index(leaf) + shift for leaf in param.over)
        if param.tensor.dtype != "real":
            return value
        return _ON_DOMAIN.get(param.domain, _anywhere)(value, noise, places)


def _normal(rng: Random, shape: tuple[int, ...]) -> Array:
    return rng.normal(size=shape).clip(-3.5, 3.5)


def _positive(rng: Random, shape: tuple[int, ...]) -> Array:
    return np.exp(0.5 * rng.normal(size=shape)).clip(0.2, 5.0)


def _simplex(rng: Random, shape: tuple[int, ...]) -> Array:
    weights = rng.gamma(2.0, size=shape) + 0.05
    return weights / weights.sum(axis=-1, keepdims=True)


_ON_SUPPORT: dict[str, Callable[[Random, tuple[int, ...]], Array]] = {
    "positive": _positive,
    "unit": lambda rng, shape: rng.uniform(0.05, 0.95, shape),
    "simplex": _simplex,
    "bool": lambda rng, shape: rng.integers(0, 2, shape).astype(float),
    "count": lambda rng, shape: rng.integers(0, 6, shape).astype(float),
}

Places = tuple[int, ...]


def _anywhere(value: Array, noise: Array, places: Places) -> Array:
    return 3 * np.tanh((value + 0.3 * noise) / 3)


def _above(value: Array, noise: Array, places: Places) -> Array:
    return 0.15 + 3 * np.tanh(value * np.exp(0.3 * noise) / 3)


def _signed(value: Array, noise: Array, places: Places) -> Array:
    return np.sign(value) * _above(np.abs(value), noise, places)


def _inside(value: Array, noise: Array, places: Places) -> Array:
    return 0.05 + 0.9 / (1 + np.exp(-4 * (value - 0.5) - 0.3 * noise))


def _weights(value: Array, noise: Array, places: Places) -> Array:
    weights = (value + 0.02) * np.exp(0.4 * noise)
    return 0.6 * weights / weights.sum(axis=places, keepdims=True) + 0.4 / prod(value.shape[k] for k in places)


def _long(value: Array, noise: Array, places: Places) -> Array:
    moved = value + 0.1 * noise
    return moved / np.sqrt((moved**2).sum(axis=places, keepdims=True))


def _orthogonal(value: Array, noise: Array, places: Places) -> Array:
    u, _, vh = np.linalg.svd(np.moveaxis(value + 0.1 * noise, places, (-2, -1)), full_matrices=False)
    return np.moveaxis(u @ vh, (-2, -1), places)


_ON_DOMAIN: dict[str, Callable[[Array, Array, Places], Array]] = {
    "positive": _above,
    "simplex": _weights,
    "unit": _inside,
    "signed": _signed,
    "unit_norm": _long,
    "orthogonal": _orthogonal,
}
