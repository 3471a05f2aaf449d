"""All comparisons of one generated spec."""

from __future__ import annotations

import re
import zlib
from itertools import permutations

import numpy as np
import torch
from spec_oracle import Oracle, Setting, assert_close, column, error, put, slots
from spec_strategy import Spec
from tolerances import DIFFERENCE, DIFFERENCE_STEP, EMITTED, ENDS, GRADIENT, NO_GRADIENT

from dltc.compiler.graph.labeled import Labeled
from dltc.compiler.graph.node import BATCH
from dltc.runtime.module import Module

STEPS = 2


def setting_of(spec: Spec, oracle: Oracle) -> Setting:
    """Data for the spec's inputs, keyed by its text."""
    rng = np.random.default_rng(zlib.crc32(spec.text.encode()))
    inputs = {}
    for name, made in spec.columns.items():
        shape = (spec.batch, *(oracle._extent(d, spec.sizes) for d in made.axes))
        inputs[name] = column(made.kind, shape, spec.sizes.get(name, made.labels), rng)
    return Setting(inputs, spec.examples, spec.seed, spec.sizes)


def check_spec(spec: Spec) -> Oracle:
    """Compile the spec and compare everything that can be compared."""
    oracle = Oracle(spec.text)
    check_all(oracle, setting_of(spec, oracle), differences=2 if spec.seed < 4 else 0)
    return oracle


def check_all(oracle: Oracle, setting: Setting, *, differences: int = 2) -> None:
    """All comparisons on one setting; ``differences``: along one entry of so many parameters."""
    text = oracle.artefact.text
    modules = {name: oracle.module(setting, optimized=name == "optimized") for name in ("optimized", "unoptimized")}
    initial = check_initial(oracle, setting, modules["optimized"])
    state = oracle.scattered(initial, text)
    for name, module in modules.items():
        put(module, state)
        check_functions(oracle, setting, module, state, name)
    check_ends(oracle, setting, modules["optimized"])
    check_gradients(oracle, setting, modules, state, differences)
    if oracle.model.learns:
        check_steps(oracle, setting, modules, state)


def check_initial(oracle: Oracle, setting: Setting, module: Module) -> dict[str, np.ndarray]:
    """Initial values of parameters and states: the same draws, keyed by seed and path."""
    expected = oracle.interpreted(oracle.artefact.functions, ["init "], setting, {}, step=0)
    actual = slots(module)
    assert set(actual) == {name.removeprefix("init ") for name in expected}
    for path, value in actual.items():
        wanted = oracle.declared(expected[f"init {path}"], oracle.path_tensor(path), setting, batched=False)
        assert_close(value, wanted, EMITTED, f"initial value of {path}")
    return actual


def check_functions(oracle: Oracle, setting: Setting, module: Module, state: dict[str, np.ndarray], name: str) -> None:
    """Every named value, the densities and the measures, in training (draws keyed by the step) and in evaluation."""
    functions = oracle.artefact.functions
    for training in (
        (True, False) if "training" in oracle.artefact.text or "dropout" in oracle.artefact.text else (True,)
    ):
        module.train(training)
        expected = oracle.interpreted(functions, ["value ", "log_"], setting, state, training=training)
        values = module(**setting.inputs)
        for value in oracle.model.values.values():
            tensor = value.tensor
            wanted = oracle.declared(expected[f"value {tensor.name}"], tensor, setting, batched=tensor.batched)
            there = oracle.there(tensor, setting)
            assert np.isfinite(wanted[there]).all(), f"{tensor.name} is not tame: {wanted}"
            assert_close(values[tensor.name].detach().numpy()[there], wanted[there], EMITTED, f"{name} {tensor.name}")
        for root in ("log_prob", "log_joint"):
            wanted = expected[root].expand((BATCH,), (len(next(iter(setting.inputs.values()))),))
            assert_close(getattr(module, root)(**setting.inputs).detach().numpy(), wanted, EMITTED, f"{name} {root}")
        assert_close(module.log_prior().detach().numpy(), expected["log_prior"].data, EMITTED, f"{name} log_prior")
    module.train(True)
    check_measures(oracle, setting, module, state, name)
    check_asserts(oracle, setting, module, state, name)


def check_ends(oracle: Oracle, setting: Setting, module: Module) -> None:
    """Where axes end per example: each example alone, its arrays cut to its lengths, has the same values and densities,
    and the same gradient of its density.  What lies beyond an end is not read."""
    text = oracle.artefact.text
    if not oracle.model.ragged() or "[batch]" in text or "dropout" in text:  # draws and batches are of the whole batch
        return
    spoilt = Setting(oracle.spoilt(setting), setting.examples, setting.seed, setting.sizes)
    params = [module.state(path).requires_grad_() for path in oracle.moving]
    whole, joint = module(**spoilt.inputs), module.log_joint(**spoilt.inputs)
    for k in range(len(next(iter(setting.inputs.values())))):
        cut = oracle.cut(setting, k)
        alone = module(**cut.inputs)
        for value in oracle.model.values.values():
            tensor = value.tensor
            inside = tuple(slice(n) for n in alone[tensor.name].shape)
            here = whole[tensor.name][(slice(k, k + 1), *inside[1:]) if tensor.batched else inside]
            assert_close(here.detach().numpy(), alone[tensor.name].detach().numpy(), ENDS, f"{tensor.name} of {k}")
        single = module.log_joint(**cut.inputs)
        assert_close(joint[k : k + 1].detach().numpy(), single.detach().numpy(), ENDS, f"log_joint of {k}")
        if single.requires_grad:
            pairs = zip(_slopes(joint[k], params), _slopes(single[0], params), strict=True)
            for path, (ours, theirs) in zip(oracle.moving, pairs, strict=True):
                assert_close(ours, theirs, ENDS, f"gradient of {k} by {path}")


def _slopes(y: torch.Tensor, params: list[torch.Tensor]) -> list[np.ndarray]:
    found = torch.autograd.grad(y, params, retain_graph=True, allow_unused=True)
    return [np.zeros(tuple(p.shape)) if g is None else g.numpy() for g, p in zip(found, params, strict=True)]


def check_measures(oracle: Oracle, setting: Setting, module: Module, state: dict[str, np.ndarray], name: str) -> None:
    """The metrics' statistics at every place that exists, and batch means of the probes."""
    expected = oracle.interpreted(oracle.artefact.functions, ["measure "], setting, state, training=False)
    actual = module.measure(**setting.inputs)
    assert {f"measure {key}" for key in actual} == set(expected)
    for key, value in actual.items():
        if _tied(oracle, setting, state, key):
            continue  # which of two scores is larger is then a matter of rounding
        probe = oracle.model.probes.get(key.removesuffix(".places"))
        if probe is not None:
            wanted = oracle.declared(expected[f"measure {key}"], probe.tensor, setting, batched=False, dtype="real")
            assert_close(value.numpy(), wanted, EMITTED, f"{name} measure {key}")
    metrics = [[stat for stat, _ in m.stats] for m in (oracle.model.train.metrics if oracle.model.train else ())]
    for stats in [["nll"], *(stats for stats in metrics if stats)]:
        if not any(_tied(oracle, setting, state, key) for key in stats):
            _check_statistics(oracle, setting, expected, actual, stats, f"{name} measure {stats[0]}")


def check_asserts(oracle: Oracle, setting: Setting, module: Module, state: dict[str, np.ndarray], name: str) -> None:
    """What assertions compare, at every place that exists, in the axes that their table says."""
    expected = oracle.interpreted(oracle.artefact.functions, ["check "], setting, state, training=False)
    actual = module.compared(module.checked(setting.inputs, every=True))
    assert {f"check {key}" for key in actual} == set(expected)
    for k, assertion in enumerate(module.ASSERTS):
        order = (BATCH,) * assertion.batched + tuple(axis for axis, _ in assertion.axes)
        sizes = [oracle.size(i, setting) for i in order]
        mask = expected.get(f"check {k}/places")
        exists = mask.expand(order, sizes) > 0 if mask is not None else np.ones(sizes, dtype=bool)
        for j, operand in enumerate(assertion.operands):
            if isinstance(operand, str):
                wanted = expected[f"check {operand}"].expand(order, sizes)
                assert_close(actual[operand].numpy()[exists], wanted[exists], EMITTED, f"{name} operand {j} of {k}")


def _check_statistics(
    oracle: Oracle,
    setting: Setting,
    expected: dict[str, Labeled],
    actual: dict[str, torch.Tensor],
    stats: list[str],
    name: str,
) -> None:
    """Statistics of one metric: over the same axes, in whatever order, but all in one; where the last says which places
    exist, the others matter only there."""
    found = [expected[f"measure {key}"] for key in stats]
    axes = sorted({a for value in found for a in value.axes} - {BATCH})
    ours = [actual[key].numpy() for key in stats]
    exists = ours[-1] > 0 if stats[-1].endswith(".places") else np.ones(ours[0].shape, dtype=bool)
    assert len({x.shape for x in ours}) == 1, name
    mistakes: list[AssertionError] = []
    for order in permutations(axes):
        sizes = [oracle.size(i, setting) for i in (BATCH, *order)]
        wanted = [value.expand((BATCH, *order), sizes).reshape(ours[0].shape) for value in found]
        try:
            for one, other in zip(ours, wanted, strict=True):
                assert_close(one[exists], other.astype(float)[exists], EMITTED, name)
            if stats[-1].endswith(".places"):
                assert_close(ours[-1], wanted[-1].astype(float), EMITTED, name)
            return
        except AssertionError as mistake:
            mistakes.append(mistake)
    raise mistakes[0]


def _tied(oracle: Oracle, setting: Setting, state: dict[str, np.ndarray], key: str) -> bool:
    """An accuracy whose scores have a tie, or nearly one, along some axis."""
    named = re.fullmatch(r"accuracy\(\w+, (\w+)\)", key)
    if named is None or named[1] not in oracle.model.values:
        return False
    root = f"value {named[1]}"
    scores = oracle.interpreted(oracle.artefact.functions, [root], setting, state, training=False)[root].data
    gaps = [np.diff(np.sort(scores, axis=k), axis=k) for k in range(scores.ndim) if scores.shape[k] > 1]
    return any(
        np.min(np.abs(gap).astype(float), initial=np.inf) < 1e-9 * max(1.0, np.abs(scores).max()) for gap in gaps
    )


def check_gradients(
    oracle: Oracle, setting: Setting, modules: dict[str, Module], state: dict[str, np.ndarray], differences: int
) -> None:
    """Derived gradient == autograd of the emitted densities; on some entries, == central differences."""
    derived = oracle.derived(setting, state)
    for name, module in modules.items():
        for path, found in oracle.autograd(module, setting).items():
            assert_close(derived[path], found, GRADIENT, f"gradient by {path}, autograd of the {name} module")
    text = oracle.artefact.text
    if "stop(" in text or oracle.searches():
        return
    rng = np.random.default_rng(zlib.crc32(text.encode()))
    for path in [p for p, v in state.items() if p in derived and v.size][:differences]:
        place = tuple(int(rng.integers(n)) for n in state[path].shape)
        slope = oracle.difference(setting, state, path, place, DIFFERENCE_STEP)
        scale = max(1.0, float(np.max(np.abs(derived[path]))))
        assert_close(
            derived[path][place] / scale, np.float64(slope) / scale, DIFFERENCE, f"difference along {path}{place}"
        )


def _only_rounding(oracle: Oracle, setting: Setting, now: dict[str, np.ndarray], path: str) -> bool:
    """Whether a parameter's gradient is 0 but for rounding: a rule that divides a gradient by its own size moves by noise."""
    gradient = oracle.derived(setting, now).get(path.partition("@")[0])
    return gradient is not None and float(np.max(np.abs(gradient), initial=0.0)) < NO_GRADIENT


def _chaotic(module: Module, setting: Setting, now: dict[str, np.ndarray], step: int, name: str) -> bool:
    """Whether what a step reports, or leaves, under a name itself moves by more than the tolerance when the parameters move by
    1e-15, what a sum of some hundred terms is rounded by, as it does for a long recurrence with large weights: there are no
    digits to compare then."""
    found: list[np.ndarray] = []
    for size in (0.0, 1e-15):
        rng = np.random.default_rng(step)
        moved = {p: v * (1 + size * rng.choice([-1, 1], v.shape)) if v.dtype == float else v for p, v in now.items()}
        put(module, moved)
        module.t = step - 1
        report = module.step(**setting.inputs)
        found.append(report[name].numpy() if name in report else slots(module)[name])
    return error(found[0], found[1]) > EMITTED


def check_steps(oracle: Oracle, setting: Setting, modules: dict[str, Module], state: dict[str, np.ndarray]) -> None:
    """Whole learning steps: parameters, rule states and the report, each step from the module's own state."""
    for name, module in modules.items():
        now = state
        for step in range(1, STEPS + 1):
            expected = oracle.interpreted(oracle.artefact.step, ["next ", "report "], setting, now, step=step)
            report = module.step(**setting.inputs)
            after = slots(module)
            for key, value in report.items():
                wanted = expected[f"report {key}"].data
                if error(value.numpy(), wanted) > EMITTED and _chaotic(module, setting, now, step, key):
                    return
                assert_close(value.numpy(), wanted, EMITTED, f"{name} step {step} {key}")
            for path, value in after.items():
                found = expected.get(f"next {path}")
                tensor = oracle.path_tensor(path)
                wanted = now[path] if found is None else oracle.declared(found, tensor, setting, batched=False)
                if not np.isfinite(wanted).all():
                    return  # the rule itself diverged: inf has no digits to compare
                if error(value, wanted) > EMITTED and (
                    _only_rounding(oracle, setting, now, path) or _chaotic(module, setting, now, step, path)
                ):
                    continue
                assert_close(value, wanted, EMITTED, f"{name} step {step} {path}")
            now = oracle.scattered(after, f"step {step}")
            put(module, now)
