"""`seeds K` on specs/digits.dlt: K runs as one folded program, beside the same runs one after another.

    python benchmarks/seeds.py [--seeds 8] [--epochs 4] [--rounds 5]

First the whole training of the spec, folded and separately, in float64: parameters and metrics are compared, and nothing
is timed unless they agree.  Then whole trainings in the spec's own dtype, shorter, in turns; the ratio of each turn is
printed, so that other work on the machine meets both sides alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

import torch
from timing import compare, machine

import dltc
from dltc.cli.api import Run

SPEC = Path(__file__).parent.parent / "specs" / "digits.dlt"
TOLERANCE = 1e-9


def folded(count: int, out: Path, epochs: int | None = None, dtype: str | None = None) -> Run:
    """One run of ``count`` replicas."""
    more = {"train.seeds": count} | ({"train.epochs": epochs} if epochs else {})
    return dltc.train(SPEC, out / "folded", set=more, dtype=dtype, quiet=True, force=True)


def separate(count: int, out: Path, epochs: int | None = None, dtype: str | None = None) -> list[Run]:
    """The same, one run after another."""
    more = {"train.epochs": epochs} if epochs else {}
    return [
        dltc.train(SPEC, out / f"seed{r}", seed=r, set=more, dtype=dtype, quiet=True, force=True) for r in range(count)
    ]


def agree(count: int, out: Path) -> None:
    """Parameters, rule states and metrics of the whole training, in float64."""
    one, many = folded(count, out, dtype="float64"), separate(count, out, dtype="float64")
    worst = 0.0
    for r, run in enumerate(many):
        for slot in run.model.STATE:
            worst = max(worst, float((one.model.state(slot.path)[r] - run.model.state(slot.path)).detach().abs().max()))
        worst = max([worst, *(abs(one.replicas[key][r] - value) for key, value in run.metrics.items())])
    print(f"float64, whole training, {count} replicas: largest difference from separate runs {worst:.1e}")
    assert worst <= TOLERANCE, worst


def steps(count: int) -> None:
    """The generated steps alone, on one batch: interleaved medians."""
    one = dltc.compile(SPEC, set={"train.seeds": count}).load(examples=1437)
    program = dltc.compile(SPEC)
    many = [program.load(seed=r, examples=1437) for r in range(count)]
    x, y = torch.rand(count, 32, 64), torch.randint(0, 10, (count, 32))
    parts = [{"x": x[r], "y": y[r]} for r in range(count)]

    def row() -> None:
        for model, batch in zip(many, parts, strict=True):
            model.advance(batch)

    found = compare({"folded": lambda: one.advance({"x": x, "y": y}), "in a row": row})
    ratio = found["in a row"].ms / found["folded"].ms
    print(f"step alone: folded {found['folded'].ms:.3f} ms, in a row {found['in a row'].ms:.3f} ms, ratio {ratio:.2f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=8)
    arguments.add_argument("--epochs", type=int, default=6)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    torch.set_num_threads(2)
    print(f"{machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        agree(given.seeds, out)
        steps(given.seeds)
        ratios: list[float] = []
        for _ in range(given.rounds):
            start = time.perf_counter()
            one = folded(given.seeds, out, given.epochs)
            middle = time.perf_counter()
            many = separate(given.seeds, out, given.epochs)
            end = time.perf_counter()
            row = sum(run.seconds for run in many)
            ratios.append(row / one.seconds)
            whole = (end - middle) / (middle - start)
            print(f"training: folded {one.seconds:.2f} s, in a row {row:.2f} s, ratio {ratios[-1]:.2f}; "
                  f"with compiling and loading {whole:.2f}")  # fmt: skip
        print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
