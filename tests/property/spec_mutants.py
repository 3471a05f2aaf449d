"""Changes of one token of a spec, and whether the spec then computes something else, by the interpreter in float64."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np
from spec_check import setting_of
from spec_oracle import Array, Oracle
from spec_strategy import Spec

from dltc.compiler.diagnostics import Findings, SpecError
from dltc.compiler.frontend.parse import Lossless, parse_lossless
from dltc.compiler.frontend.scan import Item, Statement

_OPERATORS = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
}
_WORDS = (
    ("exp", "log", "sqrt", "abs", "sign", "relu", "gelu", "sigmoid", "tanh", "softplus", "sin", "cos", "erf"),
    ("sum", "mean", "prod", "max", "min", "var", "norm", "logsumexp"),
    ("softmax", "log_softmax", "normalize", "cumsum"),
    ("std", "var", "precision"),
    ("Normal", "Laplace"),
    ("grad", "grad_sum"),
)
_ROOTS = ("value ", "log_", "measure ")


def _statements(items: list[Item]) -> Iterator[Statement]:
    for item in items:
        if isinstance(item, Statement):
            yield item
            yield from _statements(item.block.items if item.block is not None else [])


def mutants(spec: Spec, random: Random, count: int) -> list[str]:
    """So many texts that differ from the spec's in one token."""
    parsed: Lossless = parse_lossless(spec.text, "a.dlt", Findings())
    places: list[tuple[int, int, str]] = []
    names = sorted(Oracle(spec.text).model.values)
    sites = [(s.start, t) for s in _statements(parsed.scan.items) if s.start in parsed.kinds for t in parsed.tokens(s)]
    texts = [str(t) for _, t in sites if t.type in ("IDENT", "PRIMED")]
    for start, token in sites:
        word = str(token)
        others: list[str] = [_OPERATORS[word]] if word in _OPERATORS else []
        if token.type == "NUMBER":
            others += [f"{float(word) + 1:g}" if "." in word else str(int(float(word)) + 1)]
        others += [w for row in _WORDS if word in row for w in row if w != word]
        if token.type in ("IDENT", "PRIMED"):
            others += [random.choice(texts), *random.sample(names, min(1, len(names)))]
        places += [(start + token.start_pos, start + token.end_pos, w) for w in others if w != word]
    chosen = random.sample(places, min(count, len(places)))
    return [spec.text[:a] + new + spec.text[b:] for a, b, new in chosen]


def computed(text: str, spec: Spec) -> dict[str, Array] | None:
    """Everything a spec computes on data of its own; None for a text with mistakes, or one that takes other data."""
    try:
        oracle = Oracle(text)
        oracle.artefact.step  # noqa: B018 - a missing gradient is a mistake too
    except SpecError:
        return None
    made = setting_of(spec, oracle)
    known = Oracle(spec.text)
    if {k: v.tensor for k, v in known.model.inputs.items()} != {k: v.tensor for k, v in oracle.model.inputs.items()}:
        return {"inputs": np.zeros(0)}
    with np.errstate(all="ignore"):
        first = oracle.interpreted(oracle.artefact.functions, ["init "], made, {}, step=0)
        initial = {
            p.removeprefix("init "): oracle.declared(
                v, oracle.path_tensor(p.removeprefix("init ")), made, batched=False
            )
            for p, v in first.items()
        }
        found = {f"init {p}": v for p, v in initial.items()}
        state = oracle.scattered(initial, spec.text)
        done = oracle.interpreted(oracle.artefact.functions, _ROOTS, made, state)
        if oracle.model.rules:
            done |= oracle.interpreted(oracle.artefact.step, ["next ", "report "], made, state, step=2)
    return found | {name: value.data for name, value in done.items()}


def differ(a: dict[str, Array], b: dict[str, Array]) -> str:
    """A root of both whose numbers differ, by more than rounding; empty when none does.  Names may come and go."""
    for name in a.keys() & b.keys():
        x, y = np.broadcast_arrays(*_shaped(a[name], b[name]))
        with np.errstate(all="ignore"):
            near = np.isclose(x.astype(float), y.astype(float), rtol=1e-7, atol=1e-9, equal_nan=True)
        if not near.all():
            return name
    return ""


def _shaped(x: Array, y: Array) -> tuple[Array, Array]:
    try:
        np.broadcast_shapes(np.shape(x), np.shape(y))
    except ValueError:
        return np.zeros(1), np.ones(1)
    return np.asarray(x), np.asarray(y)
