"""The declared joint as something to draw from: one root ``sample NAME`` per input that one density describes whole.

Parameters come from their priors (or from training), inputs in the order in which their densities read each other:
ancestral sampling.  What cannot be drawn that way says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..frontend.model import Expr, Model, Term
from ..frontend.typed_walk import reads
from .draws import DRAW


@dataclass(frozen=True, slots=True)
class Joint:
    """``terms``: the density that each input is drawn from; ``order``: inputs, each after those that it depends on;
    ``given``: why an input must be given instead."""

    terms: Mapping[str, Term]
    order: tuple[str, ...]
    given: Mapping[str, str]


def joint(model: Model) -> Joint:
    """How the inputs of a model are drawn."""
    terms: dict[str, Term] = {}
    given: dict[str, str] = {}
    for name, item in model.inputs.items():
        found = [t for t in model.terms if t.target.tensor.name == name]
        if item.kind == "length":
            given[name] = "it is the length of an axis"
        elif len(found) != 1:
            given[name] = "no density describes it" if not found else "several densities describe it"
        elif (why := _unfit(found[0])) is not None:
            given[name] = why
        else:
            terms[name] = found[0]
    order = _ordered(model, terms, given)
    return Joint({name: terms[name] for name in order}, order, given)


def _unfit(term: Term) -> str | None:
    """Why a density is no recipe for a draw."""
    if term.power is not None:
        return "its density has a power"
    if any(not isinstance(position, str) for position in term.target.at):
        return "its density describes a part of it only"
    if term.dist.name not in DRAW:
        return f"{term.dist.name} cannot be drawn from"
    extra = term.repeated - term.target.axes - frozenset(term.dist.classes) - frozenset(term.dist.over)
    return f"its density is repeated over {', '.join(sorted(extra))}" if extra else None


def _ordered(model: Model, terms: Mapping[str, Term], given: dict[str, str]) -> tuple[str, ...]:
    """Inputs in an order in which they can be drawn; those in a circle are added to ``given``."""
    needs = {name: inputs_below(model, [*term.dist.args.values()]) for name, term in terms.items()}
    order: list[str] = []
    while ready := [n for n in needs if n not in order and needs[n] - given.keys() <= set(order)]:
        order += ready
    for name in needs:
        if name not in order:
            given[name] = "its density depends on itself through " + ", ".join(sorted(needs[name] - set(order)))
    return tuple(order)


def inputs_below(model: Model, roots: Sequence[Expr]) -> set[str]:
    """The inputs that expressions read, through values too."""
    found: set[str] = set()
    seen: set[str] = set()
    stack: list[Expr] = [*roots]
    while stack:
        for read in reads([stack.pop()]):
            name = read.tensor.name
            if name in model.inputs:
                found.add(name)
            elif name in model.values and name not in seen:
                seen.add(name)
                stack.append(model.values[name].expr)
                starts = [r.start_of(name) for r in model.recurrences]
                stack += [start for start in starts if start is not None]
    return found


def from_priors(model: Model) -> Model:
    """The model whose parameters start as draws from their priors, whatever their `init` says."""
    drawn = {path: p if p.prior.name == "Flat" else replace(p, init=None) for path, p in model.params.items()}
    return replace(model, params=drawn)
