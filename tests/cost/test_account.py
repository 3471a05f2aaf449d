"""Whole routines of emitted modules: counted and allocated by torch, and by hand."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from measured import flops, peak_bytes
from tolerances import PEAK, PEAK_BOUND, PEAK_SMALL

from dltc.compiler.cost.account import Account, Accountant
from dltc.compiler.pipeline import Artefact, compile_spec
from dltc.compiler.plan.module import Planner
from dltc.runtime.loader import load_class
from dltc.runtime.module import Module
from specs import SPECS

SETTINGS = ({"batch": 32, "t": 9}, {"batch": 80, "t": 14})
STORED = ("parameters", "states", "inputs")


@cache
def compiled(name: str) -> Artefact:
    return compile_spec(SPECS[name], f"{name}.dlt")


def accountant(name: str, sizes: dict[str, int]) -> Accountant:
    a = compiled(name)
    plan = Planner.of(a.model, *a.optimized, a.place, traced=True).plan()
    return Accountant(a.model, plan, sizes, "float32")


def module(name: str, source: str | None = None) -> Module:
    a = compiled(name)
    return load_class(source or a.source, a.model.name)(seed=1, examples=500)


def batch_of(name: str, sizes: dict[str, int]) -> dict[str, Any]:
    """Random inputs, examples of full length."""
    model, rng = compiled(name).model, np.random.default_rng(0)
    found: dict[str, Any] = {}
    for key, item in model.inputs.items():
        lead = [model.replicas] if model.replicas else []
        shape = [*lead, sizes["batch"], *(model.axes[a].size or sizes[a] for a in item.tensor.declared)]
        if item.kind == "length":
            found[key] = np.full(shape, sizes[key])
        elif item.tensor.label is not None:
            found[key] = rng.integers(0, model.axes[item.tensor.label].size or 1, shape)
        else:
            found[key] = rng.normal(size=shape)
    return found


def runs(made: Module, inputs: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """The forward pass, the densities and the step, on inputs that were checked before."""
    batch = made.checked(inputs, every=True)

    def lazily(run: Callable[[Any], Any]) -> Callable[[], Any]:
        def call() -> Any:
            with torch.no_grad():
                values = made._values(batch)
                return values, run(values)

        return call

    forward = lazily(lambda values: [values[n] for n in made.OUTPUTS] and None)
    return {"forward": forward, "_log_joint": lazily(made._log_joint), "_step": lambda: made.advance(batch)}


@pytest.mark.parametrize("name", SPECS)
def test_flops_are_those_that_torch_counts(name: str) -> None:
    """Not one off, at two sizes from one formula: as torch's counter sees them, and with what it overlooks."""
    accounts = {r: accountant(name, SETTINGS[0]).run(r).total for r in ("forward", "_log_joint", "_step")}
    for sizes in SETTINGS:
        for routine, run in runs(module(name), batch_of(name, sizes)).items():
            tally = accounts[routine]
            assert tally.counted.at(sizes) == flops(run), (routine, sizes)
            assert tally.flops["contraction"].at(sizes) == flops(run, everything=True), (routine, sizes)
            assert tally.counted.at(sizes) > 0


def own(account: Account, sizes: dict[str, int]) -> int:
    """Bytes at the peak beside what exists before the routine starts."""
    return account.peak - sum(account.memory[role].at(sizes) for role in STORED)


@pytest.mark.parametrize("name", SPECS)
def test_memory_is_what_torch_allocates(name: str) -> None:
    """The peak of forward, densities and step beside what is stored; what is stored exactly."""
    for sizes in SETTINGS:
        made, inputs = module(name), batch_of(name, sizes)
        for routine, run in runs(made, inputs).items():
            account = accountant(name, sizes).run(routine)
            measured = peak_bytes(run)
            above = PEAK_BOUND if name == "tree" else PEAK  # sums over readers count as if no two labels shared one
            off = own(account, sizes) - measured
            assert -PEAK * measured - PEAK_SMALL <= off <= above * measured + PEAK_SMALL, (routine, sizes)
            assert sum(p.at(sizes) for p in account.memory.values()) == account.peak
        batch = made.checked(inputs, every=True).values()
        states = [made.state(slot.path) for slot in made.STATE if slot.role != "param"]
        for role, tensors in zip(STORED, (made.parameters(), states, batch), strict=True):
            assert account.memory[role].at(sizes) == sum(t.nbytes for t in tensors)


class Tidy(ast.NodeTransformer):
    """Lets every local of `_step` go after the last statement that names it."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if node.name != "_step":
            return node
        last: dict[str, int] = {}
        for k, statement in enumerate(node.body):
            last.update({n.id: k for n in ast.walk(statement) if isinstance(n, ast.Name)})
        local = {
            n.id for s in node.body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        local |= {a.arg for a in node.args.args} - {"self"}
        body: list[ast.stmt] = []
        for k, statement in enumerate(node.body):
            body.append(statement)
            gone = sorted(n for n in local if last.get(n) == k and k < len(node.body) - 1)
            body += [ast.Delete([ast.Name(n, ast.Del()) for n in gone])] if gone else []
        node.body = body
        return node


@pytest.mark.parametrize("name", ["digits", "ragged", "embedding", "recurrence", "convolution"])
def test_memory_freed_after_the_last_reader(name: str) -> None:
    """The second number of `explain`, against the emitted step with its locals deleted so."""
    sizes = SETTINGS[1]
    source = ast.unparse(ast.fix_missing_locations(Tidy().visit(ast.parse(compiled(name).source))))
    measured = peak_bytes(runs(module(name, source), batch_of(name, sizes))["_step"])
    books = accountant(name, sizes)
    tidy, kept = own(books.run("_step", tidy=True), sizes), own(books.run("_step"), sizes)
    assert abs(tidy - measured) <= PEAK * measured + PEAK_SMALL
    assert tidy < kept


LINEAR = """dlt 1
model Linear {
  axis f = 3, out = 2
  input x[f]
  input y[out]
  param W[out, f] ~ Flat() init 0
  m[out] = W * x
  y ~ Normal(m, std = 1)
  learn { W : SGD(lr = 0.1) }
}
"""


EMITTED = """
        n = x.shape[0]
        W = self.W
        # y ~ Normal(m, std = 1) (linear.dlt:8)
        recip = 1 / n
        total = y - x @ W.T
        objective = -recip * (n * -1.8378770664093453 - 0.5 * (total.reshape(2 * n) @ total.reshape(2 * n)))
        rt.check_finite(objective, "objective")
        # SGD(lr = 0.1) (linear.dlt:9)
        W.addmm_(total.T, x, alpha=-(-0.1 * recip))
        return {"nll": objective, "objective": objective}
"""


def test_a_small_spec_by_hand() -> None:
    """Every operation of this step: FLOPs, bytes moved and where they belong; memory at the peak."""
    artefact = compile_spec(LINEAR, "linear.dlt")
    assert EMITTED in artefact.source  # what is counted below
    plan = Planner.of(artefact.model, *artefact.optimized, artefact.place, traced=True).plan()
    account = Accountant(artefact.model, plan, {"batch": 10}, "float32").run("_step")
    found = {
        where: tuple(str(p) for p in (t.flops["contraction"], t.flops["elementwise"], t.counted, t.moved))
        for where, t in account.places.items()
    }
    assert found == {
        # x @ W.T: 2 * 2 * 3 a row; reads x (3 numbers a row) and W (6), writes 2 a row; 4 bytes each
        ("linear.dlt:7", "forward"): ("12 batch", "0", "12 batch", "20 batch + 24"),
        # y - ..: 2 a row, reads 4 and writes 2; the dot product: 2 * 2 a row, reads 2 * 2; three scalar operations
        ("linear.dlt:8", "forward"): ("4 batch", "2 batch + 3", "0", "40 batch + 28"),
        # addmm_: 2 * 2 * 3 a row, not seen by torch's counter; reads 2 + 3 a row, reads and writes W; adds it to W
        ("linear.dlt:7", "backward"): ("12 batch", "6", "0", "20 batch + 48"),
    }
    alive = {role: str(p) for role, p in account.memory.items() if p.terms}
    # at the subtraction: W; x and y; the product that is subtracted, and the result, which gets a name
    wanted = {"parameters": "24", "inputs": "20 batch", "activations": "8 batch", "workspace": "8 batch"}
    assert (alive, account.peak) == (wanted, 24 + 36 * 10)
