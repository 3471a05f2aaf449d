"""Generated specs with `seeds K`: every replica is the run with its own seed, whatever the spec is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spec_check import setting_of
from spec_oracle import Array, Oracle, Setting, assert_close, put, slots
from spec_strategy import Spec, corpus
from tolerances import REPLICA

from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import REPLICA as AXIS
from dltc.compiler.pipeline import Artefact, Options, compile_spec
from dltc.runtime.loader import load_class
from dltc.runtime.module import Module

STEPS = 2


@pytest.mark.parametrize("chunk", [1, pytest.param(5, marks=pytest.mark.slow), pytest.param(6, marks=pytest.mark.slow)])
def test_replicas_are_separate_modules(chunk: int) -> None:
    """Initial values, named values, densities, measures and learning steps, on data of each replica's own."""
    for k, spec in enumerate(corpus(chunk, 26)[:: 2 if chunk == 1 else 1]):
        try:
            check_folded(spec, 2 + k % 2)
        except Exception as problem:
            problem.add_note(f"in the spec\n{spec}")
            raise


def check_folded(spec: Spec, count: int) -> None:
    """A spec folded ``count`` times beside its separate modules."""
    oracle = Oracle(spec.text)
    settings = [_varied(setting_of(spec, oracle), r) for r in range(count)]
    if spec.batch > 2:
        assert any((s.inputs[n] != v).any() for s in settings for n, v in settings[0].inputs.items()), "equal data"
    artefact = folded(spec.text, count)
    module = load_class(artefact.source, oracle.model.name)(seed=spec.seed, dtype=torch.float64, examples=spec.examples)
    singles = [oracle.module(setting) for setting in settings]
    inputs = {name: np.stack([s.inputs[name] for s in settings]) for name in settings[0].inputs}
    compare_slots(module, singles, "initial value of")
    _check_initial(artefact, module, spec)
    _scatter(oracle, module, singles, spec.text)
    _compare_functions(oracle, module, singles, inputs, settings)
    for step in range(STEPS if oracle.model.rules else 0):
        reports = [single.step(**s.inputs) for single, s in zip(singles, settings, strict=True)]
        if any(not np.isfinite(value).all() for single in singles for value in slots(single).values()):
            return  # the rule itself diverged
        for key, value in module.step(**inputs).items():
            _compare(value, [report[key] for report in reports], f"step {step} {key}")
        compare_slots(module, singles, f"step {step}")
        _scatter(oracle, module, singles, f"{step}")


def folded(text: str, count: int) -> Artefact:
    """The spec with `seeds`."""
    return compile_spec(text, "generated.dlt", Options(set={"train.seeds": str(count)}))


def _varied(setting: Setting, r: int) -> Setting:
    """The same kinds of data in another order, and the seed of a replica."""
    order = np.random.default_rng(r).permutation(len(next(iter(setting.inputs.values()))))
    inputs = {name: value[order] for name, value in setting.inputs.items()}
    return Setting(inputs, setting.examples, setting.seed + r, setting.sizes)


def _check_initial(artefact: Artefact, module: Module, spec: Spec) -> None:
    """The interpreter draws for replicas as the emitted module does."""
    inputs = [n for n in artefact.functions.topological() if n.op == "input"]
    graph = type(artefact.functions)(
        artefact.functions.pool, {k: n for k, n in artefact.functions.roots.items() if k.startswith("init ")}
    )
    found = interpret(graph, Env(sizes={"batch": spec.batch, **spec.sizes}, seed=spec.seed, step=0))
    assert all(AXIS in n.axes for n in inputs)
    for path, value in slots(module).items():
        init = found[f"init {path}"]
        ordered = np.sort(init.data.ravel())
        wanted = np.repeat(ordered, value.size // max(ordered.size, 1))  # constant along the axes that it lacks
        assert_close(np.sort(value.ravel()), wanted.astype(value.dtype), REPLICA, f"interpreted initial {path}")


def _scatter(oracle: Oracle, module: Module, singles: list[Module], key: str) -> None:
    """Each replica at a place of its own inside the domains, the singles at the same."""
    states: list[dict[str, Array]] = []
    for r, single in enumerate(singles):
        states.append(oracle.scattered(slots(single), f"{key} {r}"))
        put(single, states[-1])
    put(module, {path: np.stack([state[path] for state in states]) for path in states[0]})


def _compare_functions(
    oracle: Oracle, module: Module, singles: list[Module], inputs: dict[str, Array], settings: list[Setting]
) -> None:
    outs = [single(**s.inputs) for single, s in zip(singles, settings, strict=True)]
    out = module(**inputs)
    for name in oracle.model.values:
        _compare(out[name], [one[name] for one in outs], name)
    for name in ("log_prob", "log_joint"):
        each = [getattr(single, name)(**s.inputs) for single, s in zip(singles, settings, strict=True)]
        _compare(getattr(module, name)(**inputs), each, name)
    _compare(module.log_prior(), [single.log_prior() for single in singles], "log_prior")
    measured = [single.measure(**s.inputs) for single, s in zip(singles, settings, strict=True)]
    for key, value in module.measure(**inputs).items():
        if not key.startswith("accuracy"):  # a near tie of two scores is decided by rounding
            _compare(value, [one[key] for one in measured], f"measure {key}")


def compare_slots(module: Module, singles: list[Module], what: str) -> None:
    """Every persistent tensor."""
    for slot in singles[0].STATE:
        _compare(module.state(slot.path), [single.state(slot.path) for single in singles], f"{what} {slot.path}")


def _compare(value: torch.Tensor, each: list[torch.Tensor], what: str) -> None:
    wanted = np.stack([one.detach().numpy() for one in each])
    assert_close(value.detach().numpy(), wanted, REPLICA, what)
