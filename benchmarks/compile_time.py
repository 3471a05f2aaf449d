"""How long the compiler takes on long specs, and that the time grows with their length alone.

    python benchmarks/compile_time.py [--profile check|build] [EQUATIONS ...]

Goals: 2,000 equations check in < 5 s, 10,000 equations build in < 30 s, time per equation at 10,000 equations at most
1.5 times that at 1,000.  A build is everything behind `dltc build`: text to module text and manifest.

Seconds are of the processor (wall-clock beside them): the work is single-threaded, and another program on the machine does
not count.  Every size runs in a process of its own, so that no cache carries over.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import time
from itertools import pairwise

from timing import machine

GROUP = 10
"""Equations in one layer of a generated spec."""


def spec(equations: int, shape: str = "mixed") -> str:
    """A spec with so many equations (a multiple of ten), each layer with parameters, priors and rules of its own.

    ``deep`` is one chain: every equation reads the one before it.  ``wide`` is a row of independent branches on the same
    input.  ``mixed`` is a residual network of small blocks: products, gates, attention over slots, norms, mixtures of two
    layers, a metric's worth of scalars, a likelihood every 500 equations and an activity prior every 250.
    """
    if equations % GROUP:
        raise ValueError(f"a generated spec has a multiple of {GROUP} equations")
    layers = {"mixed": _block, "deep": _chain, "wide": _branch}[shape]
    body = [line for k in range(equations // GROUP) for line in layers(k)]
    last = equations // GROUP - 1
    end = [f"out{k}[hid]" for k in range(last + 1)] if shape == "wide" else [f"out{last}[hid]"]
    lines = [
        "dlt 1",
        f"model Long{shape.capitalize()} {{",
        "  axis pix = 12, hid = 8, slot = 4, cls = 3",
        "  input x[pix]",
        "  input y: cls",
        "  param E[hid, pix] ~ Normal(0, var = 1/pix)",
        "  param V[cls, hid] ~ Normal(0, var = 1/hid)",
        "  param temperature in positive ~ LogNormal(0, std = 0.5)   init 1",
        "  out[hid] = tanh(E * x)",
        *body,
        f"  top[hid] = {' + '.join(end)}",
        "  s[cls] = V * top / temperature",
        "  y ~ Categorical(logits = s)",
        f"  learn {{ * : Adam(lr = 1e-3); {'gain*, scale*, ' if shape == 'mixed' else ''}temperature : EG(lr = 0.01) }}",
        "  train { batch 32; steps 100; seed 0; report accuracy(y, s), nll every 10 }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _block(k: int) -> list[str]:
    """Ten equations of different kinds; two of the four tensors of parameters belong to hierarchies."""
    before = f"out{k - 1}" if k else "out"
    older = f"out{k - 2}" if k > 1 else before
    lines = [
        f"  param A{k}[hid, hid'] ~ Normal(0, var = scale{k} / hid)   init Normal(0, var = 1/hid)",
        f"  param scale{k} in positive ~ LogNormal(0, std = 0.3)   init 1",
        f"  param b{k}[hid] ~ Normal(0, var = 1)   init 0",
        f"  param gain{k}[hid] in positive ~ LogNormal(0, std = 0.3)   init 1",
        f"  centre{k} = mean[hid]({before}[hid])",
        f"  width{k} = sqrt(mean[hid](({before}[hid] - centre{k})^2) + 1e-5)",
        f"  unit{k}[hid] = gain{k}[hid] * ({before}[hid] - centre{k}) / width{k}",
        f"  pre{k}[hid] = A{k}[hid, hid'] * unit{k}[hid'] + b{k}[hid]",
        f"  gate{k}[hid] = sigmoid(pre{k}[hid] - {older}[hid])",
        f"  key{k}[slot] = sum[hid](unit{k}[hid] * cos(hid + slot + {k % 7}))",
        f"  share{k}[slot] = softmax[slot](key{k}[slot] / temperature)",
        f"  mixed{k}[hid] = sum[slot](share{k}[slot] * sin(slot * hid + {k % 5})) * gate{k}[hid]",
        f"  act{k}[hid] = where(gate{k}[hid] > 0.5, relu(pre{k}[hid]), 0.1 * pre{k}[hid])",
        f"  out{k}[hid] = {before}[hid] + 0.5 * act{k}[hid] + mixed{k}[hid] / (1 + abs(mixed{k}[hid]))",
    ]
    if k % 25 == 24:
        lines.append(f"  act{k} ~ Laplace(0, scale = 5)^0.01")
    if k % 50 == 49:
        lines += [f"  y ~ Categorical(logits = V * out{k})"]
    return lines


def _chain(k: int) -> list[str]:
    """A layer and nine elementwise steps, each of the one before."""
    lines = [f"  param A{k}[hid, hid'] ~ Normal(0, var = 1/hid)"]
    names = [f"out{k - 1}" if k else "out", *(f"z{k}_{j}" for j in range(GROUP - 1)), f"out{k}"]
    lines.append(f"  {names[1]}[hid] = tanh(A{k}[hid, hid'] * {names[0]}[hid'])")
    for j, (before, name) in enumerate(pairwise(names[1:-1])):
        lines.append(f"  {name}[hid] = {before}[hid] + {j + k % 13 + 1} / 100 * sin({before}[hid])")
    return [*lines, f"  {names[-1]}[hid] = {names[-2]}[hid] / (1 + {names[-2]}[hid]^2)"]


def _branch(k: int) -> list[str]:
    """Ten equations that read the first value and each other within the branch only."""
    names = [f"w{k}_{j}" for j in range(GROUP - 1)]
    lines = [f"  param A{k}[hid, hid'] ~ Normal(0, var = 1/hid)"]
    lines += [f"  {name}[hid] = tanh({j + 1} / 7 * A{k}[hid, hid'] * out[hid'])" for j, name in enumerate(names)]
    return [*lines, f"  out{k}[hid] = {' + '.join(names)}"]


def measure(what: str, equations: int, shape: str) -> dict[str, float]:
    """Seconds of one check or build in this process; memory at its peak."""
    from dltc.cli.main import quiet_collector
    from dltc.compiler import pipeline

    quiet_collector()
    text = spec(equations, shape)
    wall, cpu = time.perf_counter(), time.process_time()
    if what == "check":
        checked = pipeline.check(text, "long.dlt")
        assert checked.model is not None and not checked.findings.errors, checked.findings.errors[:3]
    else:
        artefact = pipeline.compile_spec(text, "long.dlt")
        assert artefact.source and artefact.manifest
    return {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def elsewhere(what: str, equations: int, shape: str) -> dict[str, float]:
    """:func:`measure` in a fresh process."""
    arguments = [sys.executable, __file__, "--one", what, shape, str(equations)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def report(sizes: list[int]) -> None:
    """The table, and what became of the goals."""
    print(machine(), "\n")
    print("| shape | equations | check cpu s | check wall s | build cpu s | build wall s | ms per equation | MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for shape in ("mixed", "deep", "wide"):
        each: dict[int, float] = {}
        for n in sizes:
            check, build = elsewhere("check", n, shape), elsewhere("build", n, shape)
            each[n] = build["cpu"] / n * 1e3
            print(
                f"| {shape} | {n:,} | {check['cpu']:.2f} | {check['wall']:.2f} | {build['cpu']:.2f} | {build['wall']:.2f} "
                f"| {each[n]:.2f} | {build['megabytes']:.0f} |",
                flush=True,
            )
        print(
            f"\n{shape}: time per equation at {sizes[-1]:,} / at {sizes[0]:,} = {each[sizes[-1]] / each[sizes[0]]:.2f}\n"
        )


def profiled(what: str, equations: int, shape: str) -> None:
    """Where the time goes."""
    profile = cProfile.Profile()
    profile.enable()
    measure(what, equations, shape)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "SHAPE"), help="measure one case in this process; JSON")
    parser.add_argument("--profile", nargs=2, metavar=("WHAT", "SHAPE"), help="profile check or build")
    parser.add_argument("equations", type=int, nargs="*", default=[1000, 2000, 10000])
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], arguments.equations[0], arguments.one[1])))
    elif arguments.profile:
        profiled(arguments.profile[0], arguments.equations[0], arguments.profile[1])
    else:
        report(arguments.equations)
