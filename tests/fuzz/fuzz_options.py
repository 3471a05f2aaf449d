"""Options of a command made from a seed: right ones, near misses, and values that try to be something else."""

from __future__ import annotations

import random
import re

from fuzz_inputs import INJECTIONS, NAMES, NUMBERS

DECLARED = re.compile(rb"(?:axis|let|,)\s+([A-Za-z_]\w*)\s*=")
SETTINGS = ["epochs", "steps", "batch", "seed", "seeds", "clip", "dtype", "stop", "keep", "report", "lr", "", "train."]
VALUES = [*NUMBERS, *NAMES, *INJECTIONS, "all", "best", "float32", "9" * 5000, "1_000", "٣", "+3", " 3", "3 4", "0x10"]


def options(r: random.Random, content: bytes) -> list[str]:
    """One to three options of ``check`` for a spec with this content; without NUL, which no command line can hold."""
    made: list[str] = []
    for _ in range(r.randint(1, 3)):
        choice = r.random()
        if choice < 0.7:
            made += ["--set", f"{_name(r, content)}={r.choice(VALUES)}"]
        elif choice < 0.8:
            made += ["--model", r.choice(["M", *NAMES, *INJECTIONS])]
        elif choice < 0.9:
            made += ["--seed", r.choice(VALUES)]
        else:
            made += ["--dtype", r.choice(["float32", "float64", "float16", "int"])]
    return [text.replace("\0", "") for text in made]


def _name(r: random.Random, content: bytes) -> str:
    """Mostly something that the spec declares, or a setting."""
    declared = [name.decode() for name in DECLARED.findall(content)]
    choice = r.random()
    if declared and choice < 0.6:
        return r.choice(declared)
    return f"train.{r.choice(SETTINGS)}" if choice < 0.8 else r.choice([*NAMES, *INJECTIONS])
