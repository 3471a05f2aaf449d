"""The oracle: one spec, evaluated by the interpreter, by the emitted module, by torch.autograd and by differences.

The interpreter runs the *unoptimized* graphs; the emitted module is planned from the optimized ones and, a second time,
from the unoptimized ones.  Everything happens at parameter values away from ties, on data made from the spec's own hash.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dltc.compiler.derive.gradient import gradient
from dltc.compiler.frontend.model import Param, Tensor
from dltc.compiler.graph.interpret import Env, Labeled, interpret
from dltc.compiler.graph.labeled import DTYPES
from dltc.compiler.graph.node import BATCH, Graph, Node
from dltc.compiler.pipeline import Artefact, compile_spec
from dltc.compiler.plan.module import Planner
from dltc.compiler.render.render import Header, render
from dltc.compiler.version import MODULE_ABI
from dltc.runtime.loader import load_class
from dltc.runtime.module import Module

Array = np.ndarray[Any, Any]


def error(actual: Any, expected: Any) -> float:
    """The largest difference, relative to the largest finite expected entry (at least 1); NaN equals NaN, inf equals inf.

    Shapes and kinds (whole numbers, truth values) must be the same, or the error is infinite.
    """
    a, b = np.asarray(actual), np.asarray(expected)
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return np.inf
    if b.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else np.inf
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return np.inf
    scale = max(1.0, float(np.max(np.abs(b[finite]), initial=0.0)))
    return float(np.max(np.abs(a[finite] - b[finite]), initial=0.0)) / scale


def assert_close(actual: Any, expected: Any, tolerance: float, what: str) -> None:
    """The error is within the tolerance; the message shows both arrays."""
    found = error(actual, expected)
    assert found <= tolerance, (
        f"{what}: error {found:.3g} > {tolerance:g}\n  is       {actual!r}\n  expected {expected!r}"
    )


@dataclass(frozen=True)
class Setting:
    """What a spec is run on: data by input name, number of examples N, seed, sizes bound by the data."""

    inputs: dict[str, Array]
    examples: int
    seed: int
    sizes: dict[str, int]


class Oracle:
    """A compiled spec with its evaluations."""

    def __init__(self, text: str, name: str = "generated.dlt") -> None:
        self.artefact: Artefact = compile_spec(text, name)
        self.model = self.artefact.model

    # ------------------------------------------------------------ modules

    def source(self, *, optimized: bool) -> str:
        """The emitted text, from the optimized or the unoptimized graphs."""
        a = self.artefact
        if optimized:
            return a.source
        plan = Planner.of(a.planned, a.functions, a.step, a.place).plan()
        return render([plan], Header(a.name, "0" * 64, "unoptimized", "none", MODULE_ABI))

    def module(self, setting: Setting, *, optimized: bool = True) -> Module:
        """The emitted module in float64, as initialised."""
        made = load_class(self.source(optimized=optimized), self.model.name)
        return made(seed=setting.seed, dtype=torch.float64, examples=setting.examples)

    def searches(self) -> bool:
        """Whether a latent is searched for and then held constant: a difference would move it along, the gradient does not."""
        ways = [latent.inference for latent in self.model.latents.values() if latent.inference is not None]
        return any(way.how in ("rule", "ista", "fista", "newton") and not way.through for way in ways)

    # ------------------------------------------------------------ the interpreter

    def interpreted(
        self,
        graph: Graph,
        prefixes: Iterable[str],
        setting: Setting,
        state: Mapping[str, Array],
        *,
        step: int = 1,
        training: bool = True,
    ) -> dict[str, Labeled]:
        """The roots whose names begin with one of the prefixes.  ``state`` holds parameters and rule states by path."""
        leaves = {path: self._taken_apart(path, value, setting.sizes) for path, value in state.items()}
        inputs = {
            name: self._split(self.model.inputs[name].tensor, value, setting.sizes, batched=True)
            for name, value in setting.inputs.items()
        }
        env = Env(
            inputs=inputs,
            params={k: v for k, v in leaves.items() if k in self.model.params},
            states={k: v for k, v in leaves.items() if k not in self.model.params},
            sizes={BATCH: len(next(iter(setting.inputs.values()))), **setting.sizes},
            step=step,
            examples=setting.examples,
            training=training,
            seed=setting.seed,
        )
        wanted = tuple(prefixes)
        return interpret(Graph(graph.pool, {k: n for k, n in graph.roots.items() if k.startswith(wanted)}), env)

    def declared(
        self, value: Labeled, tensor: Tensor, setting: Setting, *, batched: bool, dtype: str | None = None
    ) -> Array:
        """An interpreted value in its declared shape: batch first, axes as declared, product axes merged."""
        order = ((BATCH,) if batched else ()) + tensor.leaves
        sizes = [self.size(i, setting) for i in order]
        whole = value.expand(order, sizes).astype(DTYPES[dtype or tensor.dtype])
        shape = [self.size(BATCH, setting)] * batched + [self._extent(d, setting.sizes) for d in tensor.declared]
        return whole.reshape(shape)

    def there(self, tensor: Tensor, setting: Setting) -> Array:
        """Which entries of a tensor's declared shape exist: all but those beyond the end of their example (of a value
        without examples, beyond the end of all)."""
        order = ((BATCH,) if tensor.batched else ()) + tensor.leaves
        sizes = [self.size(i, setting) for i in order]
        exists = np.ones(sizes, dtype=bool)
        for k, index in enumerate(order):
            if index.rstrip("'") in self.model.ragged():
                lengths = setting.inputs[index.rstrip("'")]
                shape = [1] * len(order)
                shape[k] = sizes[k]
                if tensor.batched:
                    shape[0] = sizes[0]
                ends = lengths[:, None] if tensor.batched else np.max(lengths)
                exists &= (np.arange(sizes[k]) < ends).reshape(shape)
        return exists.reshape([self.size(BATCH, setting)] * tensor.batched + self._extents(tensor, setting))

    def _extents(self, tensor: Tensor, setting: Setting) -> list[int]:
        return [self._extent(d, setting.sizes) for d in tensor.declared]

    def spoilt(self, setting: Setting) -> dict[str, Array]:
        """The inputs with what may not be read beyond the ends: NaN, and labels that there are not."""
        result: dict[str, Array] = {}
        for name, value in setting.inputs.items():
            tensor = self.model.inputs[name].tensor
            wrong = {"f": np.nan, "i": -7, "b": True}[value.dtype.kind]
            result[name] = np.where(self.there(tensor, setting), value, np.asarray(wrong, value.dtype))
        return result

    def cut(self, setting: Setting, k: int) -> Setting:
        """Example k alone, its arrays cut to its own lengths."""
        sizes = {a: int(setting.inputs[a][k]) if a in self.model.ragged() else n for a, n in setting.sizes.items()}
        inputs: dict[str, Array] = {}
        for name, value in setting.inputs.items():
            tensor = self.model.inputs[name].tensor
            parts = self._split(tensor, value[k : k + 1], setting.sizes, batched=True)
            parts = parts[(slice(None), *(slice(self._extent(leaf, sizes)) for leaf in tensor.leaves))]
            inputs[name] = parts.reshape([1, *(self._extent(d, sizes) for d in tensor.declared)])
        return Setting(inputs, setting.examples, setting.seed, sizes)

    def path_tensor(self, path: str) -> Tensor:
        """The tensor of a slot: a parameter, or a rule's state (over its parameter's axes or none)."""
        param = self.model.params.get(path)
        return param.tensor if param is not None else self.model.states()[path]

    def size(self, index: str, setting: Setting) -> int:
        if index == BATCH:
            return len(next(iter(setting.inputs.values())))
        size = self.model.axes[index.rstrip("'")].size
        return setting.sizes[index.rstrip("'")] if size is None else size

    def _extent(self, declared: str, sizes: Mapping[str, int]) -> int:
        axis = self.model.axes[declared.rstrip("'")]
        return int(np.prod([self.model.axes[p].size or sizes[p] for p in axis.leaves]))

    def _taken_apart(self, path: str, value: Array, sizes: Mapping[str, int]) -> Array:
        return self._split(self.path_tensor(path), value, sizes, batched=False)

    def _split(self, tensor: Tensor, value: Array, sizes: Mapping[str, int], *, batched: bool) -> Array:
        """A declared shape with product axes taken apart into their leaves."""
        leaves = [self._extent(leaf, sizes) for leaf in tensor.leaves]
        return np.reshape(value, [*np.shape(value)[: int(batched)], *leaves])

    # ------------------------------------------------------------ gradients

    @cached_property
    def objective(self) -> Node:
        """What a step descends on, as a node of the step graph."""
        return self.artefact.step.roots["report objective"]

    @cached_property
    def moving(self) -> dict[str, Param]:
        """The parameters of real numbers: the others have no gradient."""
        return {path: p for path, p in self.model.params.items() if p.tensor.dtype == "real"}

    @cached_property
    def gradients(self) -> Graph:
        """The derived gradient of the objective by every parameter (roots ``grad PATH``)."""
        pool = self.artefact.step.pool
        leaves = {p: pool.node("param", path=p, axes=q.tensor.leaves) for p, q in self.moving.items()}
        found = gradient(pool, self.objective, list(leaves.values()))
        return Graph(pool, {f"grad {path}": found[leaf] for path, leaf in leaves.items()})

    def derived(self, setting: Setting, state: Mapping[str, Array], *, step: int = 1) -> dict[str, Array]:
        """The derived gradients, interpreted, in their parameters' shapes."""
        found = self.interpreted(self.gradients, ["grad "], setting, state, step=step)
        tensors = {path: self.path_tensor(path) for path in self.moving}
        return {p: self.declared(found[f"grad {p}"], t, setting, batched=False) for p, t in tensors.items()}

    def autograd(self, module: Module, setting: Setting) -> dict[str, Array]:
        """torch.autograd of the emitted densities, put together to the objective by hand."""
        params = {path: module.state(path).requires_grad_() for path in self.moving}
        total = -module.log_joint(**setting.inputs).mean() - module.log_prior() / setting.examples
        if not total.requires_grad:
            return {path: np.zeros(tuple(p.shape)) for path, p in params.items()}
        found = torch.autograd.grad(total, list(params.values()), allow_unused=True)
        zeros = [torch.zeros_like(p) if g is None else g for g, p in zip(found, params.values(), strict=True)]
        return {path: g.numpy() for path, g in zip(params, zeros, strict=True)}

    def difference(
        self, setting: Setting, state: Mapping[str, Array], path: str, place: tuple[int, ...], h: float
    ) -> float:
        """The central difference of the interpreted objective along one entry of a parameter."""
        ends: list[float] = []
        for sign in (1, -1):
            moved = np.array(state[path])
            moved[place] += sign * h
            found = self.interpreted(self.artefact.step, ["report objective"], setting, {**state, path: moved})
            ends.append(float(found["report objective"].data))
        return (ends[0] - ends[1]) / (2 * h)

    # ------------------------------------------------------------ places to evaluate at

    def scattered(self, initial: Mapping[str, Array], key: str) -> dict[str, Array]:
        """Parameters near their initial values, inside their domains and away from ties; rule states as they are."""
        rng = np.random.default_rng(zlib.crc32(key.encode()))
        result = dict(initial)
        for path, param in self.model.params.items():
            value = np.asarray(initial[path])
            noise = rng.normal(size=value.shape)
            match param.domain:
                case "positive":
                    result[path] = 0.15 + 3 * np.tanh(value * np.exp(0.3 * noise) / 3)
                case "simplex":
                    result[path] = self._on_simplex(path, (value + 0.02) * np.exp(0.4 * noise))
                case "unit":
                    result[path] = 0.05 + 0.9 / (1 + np.exp(-4 * (value - 0.5) - 0.3 * noise))
                case "signed":
                    result[path] = np.sign(value) * (0.15 + 3 * np.tanh(np.abs(value) * np.exp(0.3 * noise) / 3))
                case "unit_norm":
                    result[path] = self._parted(path, value + 0.1 * noise, self._to_length_one)
                case "orthogonal":
                    result[path] = self._parted(path, value + 0.1 * noise, self._to_polar)
                case "label" | "bool" | "count":
                    pass
                case _:
                    result[path] = 3 * np.tanh((value + 0.3 * noise) / 3)
        return result

    def _parted(self, path: str, value: Array, change: Callable[[Array, tuple[int, ...]], Array]) -> Array:
        """A change of the value with its product axes taken apart; the places of the domain's axes go along."""
        tensor, over = self.path_tensor(path), self.model.params[path].over
        parts = value.reshape([self.model.axes[leaf.rstrip("'")].size for leaf in tensor.leaves])
        return change(parts, tuple(tensor.leaves.index(leaf) for leaf in over)).reshape(value.shape)

    def _on_simplex(self, path: str, weights: Array) -> Array:
        def inside(parts: Array, axes: tuple[int, ...]) -> Array:
            entries = np.prod([parts.shape[k] for k in axes])
            return 0.6 * parts / parts.sum(axis=axes, keepdims=True) + 0.4 / entries

        return self._parted(path, weights, inside)

    def _to_length_one(self, parts: Array, axes: tuple[int, ...]) -> Array:
        return parts / np.sqrt((parts**2).sum(axis=axes, keepdims=True))

    def _to_polar(self, parts: Array, axes: tuple[int, ...]) -> Array:
        u, _, vh = np.linalg.svd(np.moveaxis(parts, axes, (-2, -1)), full_matrices=False)
        return np.moveaxis(u @ vh, (-2, -1), axes)


def slots(module: Module) -> dict[str, Array]:
    """Every persistent tensor of a module, copied."""
    return {slot.path: module.state(slot.path).detach().numpy().copy() for slot in module.STATE}


def put(module: Module, state: Mapping[str, Array]) -> None:
    """Set a module's persistent tensors."""
    with torch.no_grad():
        for path, value in state.items():
            module.state(path).copy_(torch.as_tensor(np.asarray(value)))


def column(kind: str, shape: tuple[int, ...], labels: int, rng: np.random.Generator) -> Array:
    """Data of a kind (see ``spec_parts.Column``), the batch first."""
    match kind:
        case "label":
            return rng.integers(0, labels, shape)
        case "length":
            return rng.integers(1, labels + 1, shape)
        case "count":
            return rng.integers(0, 6, shape)
        case "bool":
            return rng.random(shape) < 0.5
        case "positive":
            return np.exp(0.5 * rng.normal(size=shape)).clip(0.2, 5.0)
        case "simplex":
            weights = rng.gamma(2.0, size=shape) + 0.05
            return weights / weights.sum(axis=-1, keepdims=True)
        case _:
            return rng.normal(size=shape).clip(-3.5, 3.5)
