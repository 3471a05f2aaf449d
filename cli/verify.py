"""`dltc build --verify`: every pass against the graph before it, and the emitted module against the optimized graphs.

A difference is a fault of the compiler: an internal error with a report, never a finding about the spec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..compiler import pipeline
from ..compiler.diagnostics import InternalError
from ..compiler.frontend.model import Tensor
from ..compiler.graph import foreign
from ..compiler.graph.interpret import Labeled, interpret
from ..compiler.graph.labeled import DTYPES
from ..compiler.graph.node import BATCH, REPLICA, Graph, Node, base
from ..compiler.graph.printer import places
from ..compiler.pipeline import Artefact
from ..compiler.verify.data import IN_ALL, Data, NoDataError, draw_data
from ..compiler.verify.passes import Checked, PassCheck
from ..compiler.verify.views import TOLERANCE, Field, Floats, difference
from ..runtime.errors import RuntimeFault
from ..runtime.externs import function
from ..runtime.loader import load_class
from ..runtime.module import Module

Array = NDArray[Any]

_TRIALS = 3
"""So often other data is drawn when something cannot be compared on the first."""


class EmittedFault(InternalError):
    """The emitted module computes something else than the graphs that it was made from."""


def verify(artefact: Artefact) -> list[Checked]:
    """What was compared: of the functions graph, the step graph, the emitted module.

    Raises:
        InternalError: something differs.
        NoDataError: nothing could be compared, since the graphs cannot be interpreted on small random data.
    """
    key = hashlib.sha256(artefact.text.encode()).hexdigest()
    foreign.use(function)
    best: list[Checked] = []
    for trial in range(_TRIALS):
        done = _verify(artefact, f"{key} {trial}")
        if not best or _unclear(done) < _unclear(best):
            best = done
        if not _unclear(done):
            break
    return best


def _unclear(done: list[Checked]) -> int:
    return sum(len(checked.unclear) for checked in done)


def _verify(artefact: Artefact, key: str) -> list[Checked]:
    """On the data that the key names."""
    data = draw_data(artefact.model, artefact.functions, artefact.step, key)
    passes = pipeline.load_passes(without=artefact.options.without)
    graphs = {"functions graph": artefact.functions, "step graph": artefact.step}
    done: list[Checked] = []
    for (name, graph), optimized in zip(graphs.items(), artefact.optimized, strict=True):
        floats = [Floats(data, training) for training in ((True, False) if _trains(graph) else (True,))]
        check = PassCheck(name, floats, Field(data.sizes, data.seed), lambda g, node: _lines(artefact, g, node))
        after, checked = check.run(graph, passes)
        if after.digest() != optimized.digest():
            raise InternalError(f"the passes make two different graphs of the {name}")
        done.append(checked)
    return [*done, _Emitted.of(artefact, data).check()]


def _trains(graph: Graph) -> bool:
    """Does anything depend on whether the model is trained or evaluated?"""
    return any(node.op == "training" for node in graph.topological())


def _lines(artefact: Artefact, graph: Graph, node: Node) -> str:
    return places(graph.pool.origins(node), artefact.sources) or "nowhere in the spec"


@dataclass(frozen=True)
class Pair:
    """An output of the module beside what the graph says; ``there``: where it exists."""

    name: str
    actual: Array
    expected: Array
    there: Array | None = None

    @property
    def error(self) -> float:
        """How far they are apart where the output exists; inf where shapes differ."""
        if self.actual.shape != self.expected.shape:
            return np.inf
        there = self.there if self.there is not None else np.ones(self.expected.shape, dtype=bool)
        return difference(self.expected[there], self.actual[there])


@dataclass(frozen=True)
class _Emitted:
    """The emitted module in float64 beside the interpreted graphs that it was planned from."""

    artefact: Artefact
    data: Data
    module: Module
    checked: Checked

    @classmethod
    def of(cls, artefact: Artefact, data: Data) -> _Emitted:
        """The module, as initialised."""
        made = load_class(artefact.source, artefact.model.name)
        module = made(seed=data.seed, dtype=torch.float64, examples=IN_ALL)
        return cls(artefact, data, module, Checked("emitted module"))

    def check(self) -> Checked:
        """Initial values, named values, densities, measures, what assertions compare, and a learning step.

        Raises:
            EmittedFault: an output differs.
        """
        functions, step = self.artefact.optimized
        start = replace(self.data, step=0)
        self._compare(functions, start, True, self._initial(interpret(_part(functions, "init "), start.env())))
        self._put()
        inputs = {name: self._given(name) for name in self.data.inputs}
        for training in (True, False) if _trains(functions) else (True,):
            found = interpret(functions, self.data.env(training=training))
            self.module.train(training)
            self._compare(functions, self.data, training, self._functions(found, inputs))
        found = interpret(functions, self.data.env(training=False))
        self._compare(functions, self.data, False, self._measures(found, inputs))
        if self.artefact.model.learns:
            self._compare(step, self.data, True, self._step(interpret(step, self.data.env()), inputs))
        return self.checked

    def _compare(self, graph: Graph, data: Data, training: bool, pairs: Iterator[Pair]) -> None:
        for pair in pairs:
            self.checked.outputs += 1
            error, fits = pair.error, pair.actual.shape == pair.expected.shape
            if error <= TOLERANCE:
                self.checked.largest = max(self.checked.largest, error)
            elif fits and Floats(data, training).sensitivity(graph, pair.name) >= error:
                self.checked.unclear.append(
                    f"{pair.name} is too sensitive to rounding on the random data to be compared"
                )
            else:
                how = f"differs by {error:.3g} of its largest entry" if fits else f"has the shape {pair.actual.shape}"
                lines = _lines(self.artefact, graph, graph.roots[pair.name])
                raise EmittedFault(
                    f"the emitted module computes something else than the optimized graph: `{pair.name}` {how} in float64 "
                    f"on random data\n  `{pair.name}` comes from {lines}"
                )

    # ------------------------------------------------------------ what is compared

    def _initial(self, found: Mapping[str, Labeled]) -> Iterator[Pair]:
        for slot in self.module.STATE:
            expected = self._declared(found[f"init {slot.path}"], self._tensor(slot.path))
            yield Pair(f"init {slot.path}", _array(self.module.state(slot.path)), expected)

    def _functions(self, found: Mapping[str, Labeled], inputs: Mapping[str, Array]) -> Iterator[Pair]:
        module, kind = self.module, type(self.module)
        self._set_step()
        with torch.no_grad():
            values = module(**inputs)
            for value in self.artefact.model.values.values():
                tensor, name = value.tensor, f"value {value.tensor.name}"
                expected = self._declared(found[name], tensor, batched=tensor.batched)
                yield Pair(name, _array(values[tensor.name]), expected, self._there(tensor))
            for name in ("log_prob", "log_joint"):
                if getattr(kind, f"_{name}") is not getattr(Module, f"_{name}"):
                    yield Pair(name, _array(getattr(module, name)(**inputs)), self._over(found[name], (BATCH,)))
            yield Pair("log_prior", _array(module.log_prior()), self._over(found["log_prior"], ()))

    def _measures(self, found: Mapping[str, Labeled], inputs: Mapping[str, Array]) -> Iterator[Pair]:
        """Statistics lie over their axes in an order of the plan's; where the last counts places, at those that exist."""
        model, module = self.artefact.model, self.module
        actual = {key: _array(value) for key, value in module.measure(**inputs).items()}
        for key, probe in model.probes.items():
            there = found.get(f"measure {key}.places")
            expected = self._declared(found[f"measure {key}"], replace(probe.tensor, dtype="real"))
            places = self._declared(there, probe.tensor) > 0 if there is not None else None
            yield Pair(f"measure {key}", actual[key], expected, places)
        metrics = model.train.metrics if model.train is not None else ()
        for stats in [("nll",), *(tuple(stat for stat, _ in metric.stats) for metric in metrics)]:
            if stats:  # `nll` among the metrics has none of its own
                yield from self._arranged({f"measure {key}": actual[key] for key in stats}, found)
        compared = {k: _array(v) for k, v in module.compared(module.checked(inputs, every=True)).items()}
        for k, assertion in enumerate(module.ASSERTS):
            axes = (BATCH,) * assertion.batched + tuple(axis for axis, _ in assertion.axes)
            mask = found.get(f"check {k}/places")
            there = self._over(mask, axes) > 0 if mask is not None else None
            for operand in assertion.operands:
                if isinstance(operand, str):
                    expected = self._over(found[f"check {operand}"], axes)
                    yield Pair(f"check {operand}", compared[operand], expected, there)

    def _step(self, found: Mapping[str, Labeled], inputs: Mapping[str, Array]) -> Iterator[Pair]:
        self._set_step()
        try:
            report = self.module.step(**inputs)
        except RuntimeFault as error:
            if all(np.isfinite(value.data).all() for value in found.values()):
                raise EmittedFault(f"the emitted step stops where the step graph is finite: {error}") from error
            self.checked.unclear.append("the step is not finite on the random data")
            return
        for key, value in report.items():
            yield Pair(f"report {key}", _array(value), self._over(found[f"report {key}"], ()))
        for slot in self.module.STATE:
            if f"next {slot.path}" in found:
                expected = self._declared(found[f"next {slot.path}"], self._tensor(slot.path))
                yield Pair(f"next {slot.path}", _array(self.module.state(slot.path)), expected)

    # ------------------------------------------------------------ layouts

    @property
    def _replicas(self) -> tuple[str, ...]:
        return (REPLICA,) if self.artefact.model.replicas else ()

    def _size(self, index: str) -> int:
        model = self.artefact.model
        if index == REPLICA:
            return model.replicas or 1
        if base(index) in self.data.sizes:
            return self.data.sizes[base(index)]
        leaves = model.axes[base(index)].leaves
        return prod(model.axes[leaf].size or self.data.sizes[leaf] for leaf in leaves)

    def _tensor(self, path: str) -> Tensor:
        param = self.artefact.model.params.get(path)
        return param.tensor if param is not None else self.artefact.model.states()[path]

    def _over(self, value: Labeled, axes: tuple[str, ...]) -> Array:
        order = (*self._replicas, *axes)
        return value.expand(order, [self._size(a) for a in order])

    def _declared(self, value: Labeled, tensor: Tensor, *, batched: bool = False) -> Array:
        """In the declared shape: product axes whole."""
        lead = (BATCH,) if batched else ()
        whole = self._over(value, (*lead, *tensor.leaves)).astype(DTYPES[tensor.dtype])
        return whole.reshape([self._size(a) for a in (*self._replicas, *lead, *tensor.declared)])

    def _arranged(self, actual: Mapping[str, Array], found: Mapping[str, Labeled]) -> list[Pair]:
        """The statistics of a metric, whose axes are in one order, the plan's: the one in which they are closest."""
        rest = sorted({a for name in actual for a in found[name].axes} - {REPLICA, BATCH})
        *_, last = actual
        there = actual[last] > 0 if last.endswith(".places") else None

        def arranged(order: tuple[str, ...]) -> list[Pair]:
            pairs: list[Pair] = []
            for name, value in actual.items():
                expected = self._over(found[name], (BATCH, *order)).astype(float)
                if expected.size == value.size:  # else the shapes are reported
                    expected = expected.reshape(value.shape)
                pairs.append(Pair(name, value.astype(float), expected, there if name != last else None))
            return pairs

        return min(map(arranged, permutations(rest)), key=lambda pairs: max(pair.error for pair in pairs))

    def _there(self, tensor: Tensor) -> Array | None:
        """Which entries exist, where axes end per example (of a value without examples: in any of them)."""
        ragged = self.artefact.model.ragged()
        lead = (*self._replicas, *((BATCH,) if tensor.batched else ()))
        exists: Array | None = None
        for index in tensor.leaves:
            if base(index) in ragged:
                lengths = self.data.inputs[base(index)]
                ends = Labeled(lead, lengths if tensor.batched else np.max(lengths, axis=-1))
                labels = Labeled((index,), np.arange(self._size(index)))
                order = (*lead, *tensor.leaves)
                here = labels.to(order) < ends.to(order)
                exists = here if exists is None else exists & here
        if exists is None:
            return None
        order = (*lead, *tensor.leaves)
        whole = np.broadcast_to(exists, [self._size(a) for a in order])
        return whole.reshape([self._size(a) for a in (*lead, *tensor.declared)])

    def _given(self, name: str) -> Array:
        """An input in its declared shape."""
        declared = self.artefact.model.inputs[name].tensor.declared
        return self.data.inputs[name].reshape([self._size(a) for a in (*self._replicas, BATCH, *declared)])

    def _set_step(self) -> None:
        """The number of the step, past attributes: a parameter may be called t."""
        self.module.set_extra_state(torch.tensor(self.data.step - 1))

    def _put(self) -> None:
        """Parameters and states of the data into the module."""
        with torch.no_grad():
            for slot in self.module.STATE:
                held = self.data.params if slot.path in self.data.params else self.data.states
                live = self.module.state(slot.path)
                live.copy_(torch.as_tensor(held[slot.path]).reshape(live.shape))


def _part(graph: Graph, prefix: str) -> Graph:
    return Graph(graph.pool, {name: node for name, node in graph.roots.items() if name.startswith(prefix)})


def _array(value: torch.Tensor) -> Array:
    return value.detach().cpu().numpy().copy()


__all__ = ["EmittedFault", "NoDataError", "verify"]
