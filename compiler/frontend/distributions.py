"""The distributions of the language as one table: arguments, where they live, what they may describe.

Their densities and draws are graph expressions (``graph/densities.py``); a test holds the two tables together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from ..diagnostics import Findings, Note, did_you_mean
from . import habits
from . import nodes as syntax
from .scope import Unresolvable


@dataclass(frozen=True, slots=True)
class Distribution:
    """``positional`` arguments may also be named; of ``one_of`` exactly one must be given, always by name.

    ``optional`` holds defaults.  ``support`` is where the variable lives (``real positive unit simplex bool label count
    any``); ``example`` is shown in fixes.  ``ranges`` says where an argument must lie when that is not what its name
    says (:data:`RANGES`).
    """

    positional: tuple[str, ...]
    one_of: tuple[str, ...]
    support: str
    example: str
    optional: tuple[tuple[str, float], ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()


DISTRIBUTIONS: dict[str, Distribution] = {
    "Normal": Distribution(("mean",), ("std", "var", "precision"), "real", "Normal(0, var = 1)"),
    "MultivariateNormal": Distribution(
        ("mean",), ("cov", "precision", "scale_tril"), "real", "MultivariateNormal(0, cov = S)"
    ),
    "Laplace": Distribution(("m", "scale"), (), "real", "Laplace(0, scale = 1)"),
    "StudentT": Distribution(("m", "scale", "df"), (), "real", "StudentT(0, scale = 1, df = 4)"),
    "SpikeSlab": Distribution(("p", "std"), (), "real", "SpikeSlab(p = 0.1, std = 1)"),
    "Uniform": Distribution(("low", "high"), (), "real", "Uniform(0, 1)"),
    "LogNormal": Distribution(("m", "std"), (), "positive", "LogNormal(0, std = 1)"),
    "HalfNormal": Distribution(("std",), (), "positive", "HalfNormal(std = 1)"),
    "Gamma": Distribution(("shape", "rate"), (), "positive", "Gamma(shape = 2, rate = 1)"),
    "Exponential": Distribution(("rate",), (), "positive", "Exponential(rate = 1)"),
    "Beta": Distribution(("a", "b"), (), "unit", "Beta(2, 2)"),
    "Dirichlet": Distribution(("a",), (), "simplex", "Dirichlet(1)"),
    "Bernoulli": Distribution((), ("logits", "p"), "bool", "Bernoulli(logits = z)"),
    "Categorical": Distribution((), ("logits", "p"), "label", "Categorical(logits = s)"),
    "Poisson": Distribution(("rate",), (), "count", "Poisson(rate)", ranges=(("rate", "at least 0"),)),
    "Flat": Distribution((), (), "any", "Flat()"),
    "Gibbs": Distribution((), (), "any", "Gibbs()", (("beta", 1.0),)),
}

RANGES: dict[str, str] = {
    **dict.fromkeys(("std", "var", "precision", "scale", "df", "a", "b", "shape", "rate"), "above 0"),
    **dict.fromkeys(("mean", "m", "low", "high"), "a finite number"),
    "p": "between 0 and 1",
}
"""Where an argument must lie; what is above 0 must be finite too."""

_LEGAL: dict[str, Callable[[float], bool]] = {
    "above 0": lambda x: x > 0,
    "at least 0": lambda x: x >= 0,
    "between 0 and 1": lambda x: 0 <= x <= 1,
    "a finite number": isfinite,
}


def out_of_range(distribution: str, name: str, value: float) -> str | None:
    """What a constant argument must be, if it is not."""
    wanted = dict(DISTRIBUTIONS[distribution].ranges).get(name, RANGES.get(name))
    if wanted is None or (_LEGAL[wanted](value) and isfinite(value)):
        return None
    return wanted if isfinite(value) or wanted == "a finite number" else f"finite and {wanted}"


ON_DOMAIN: dict[str, tuple[str, ...]] = {
    "real": ("Normal", "MultivariateNormal", "Laplace", "StudentT", "SpikeSlab", "Uniform", "Flat"),
    "positive": (
        *("LogNormal", "HalfNormal", "Gamma", "Exponential"),
        *("Normal", "Laplace", "StudentT", "Uniform", "Flat"),
    ),
    "unit": ("Beta", "Uniform", "Normal", "Laplace", "StudentT", "Flat"),
    "simplex": ("Dirichlet", "Flat"),
    "signed": ("Normal", "Laplace", "StudentT", "Uniform", "Flat"),
    "unit_norm": ("Normal", "Laplace", "Flat"),
    "orthogonal": ("Normal", "Laplace", "Flat"),
    "label": ("Categorical",),
    "bool": ("Bernoulli",),
    "count": ("Poisson",),
}
"""Priors that live on a domain, or on the kind of a parameter that holds whole numbers (a prior on the real line is restricted to the domain, not renormalised)."""

MATRICES = ("cov", "precision", "scale_tril")
"""The matrix of a MultivariateNormal, whose second index is open in it alone."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What a distribution describes: its name, its open indices, the last axis as declared, the axis whose labels it
    holds, and the indices of the simplex that it lies on."""

    name: str
    leaves: tuple[str, ...]
    last: tuple[str, ...]
    label: str | None
    simplex: tuple[str, ...]


def covered(
    call: syntax.Call, variable: Variable, labelled: tuple[str, ...], findings: Findings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The indices of the classes of a Categorical (``labelled``), and those that one density of a Dirichlet or
    MultivariateNormal covers.

    Raises:
        Unresolvable: the variable has no index to cover; reported.
    """
    if call.name == "Categorical":
        return labelled, ()
    if call.name == "Dirichlet":
        return (), variable.simplex
    if call.name != "MultivariateNormal":
        return (), ()
    if not variable.leaves or variable.leaves[-1:] != variable.last:
        why = "has no axis" if not variable.leaves else f"ends in the product axis `{variable.last[0]}`"
        findings.error(
            "E0503",
            f"MultivariateNormal describes a vector, but `{variable.name}` {why}",
            call.name_span,
            help=f"declare `{variable.name}` over a plain axis of its own" if variable.leaves else "use Normal",
        )
        raise Unresolvable
    second = variable.leaves[-1]
    while second in variable.leaves:
        second += "'"
    return (), (variable.leaves[-1], second)


def arguments(call: syntax.Call, findings: Findings) -> dict[str, syntax.Expr]:
    """The call's arguments by canonical name.

    Raises:
        Unresolvable: unknown distribution or wrong arguments; reported with the fix.
    """
    row = _row(call, findings)
    given: dict[str, syntax.Expr] = {}
    names = [*row.positional, *row.one_of, *(n for n, _ in row.optional)]
    for position, arg in enumerate(call.args):
        name = arg.name
        if name is None:
            if position >= len(row.positional):
                _refuse_positional(call, arg, row, findings)
                raise Unresolvable
            name = row.positional[position]
        if name not in names or name in given:
            wrong = "is given twice" if name in given else f"is no argument of {call.name}"
            hint = "keep one of them" if name in given else habits.argument(name, names) or did_you_mean(name, names)
            findings.error("E0306", f"`{name}` {wrong}", arg.span, help=hint or f"write {row.example}")
            raise Unresolvable
        given[name] = arg.value
    _check_complete(call, row, given, findings)
    return given


def _row(call: syntax.Call, findings: Findings) -> Distribution:
    row = DISTRIBUTIONS.get(call.name)
    if row is not None and call.axes is None:
        return row
    if row is not None:
        findings.error("E0306", f"{call.name} takes no index in brackets", call.span, help=f"write {row.example}")
    else:
        hint = habits.DISTRIBUTIONS.get(call.name.lower()) or did_you_mean(call.name, DISTRIBUTIONS)
        findings.error(
            "E0303",
            f"unknown distribution `{call.name}`",
            call.name_span,
            help=hint or f"there are {', '.join(DISTRIBUTIONS)}",
        )
    raise Unresolvable


def _refuse_positional(call: syntax.Call, arg: syntax.Arg, row: Distribution, findings: Findings) -> None:
    source = findings.sources.get(arg.span.file)
    text = source.text[arg.span.start : arg.span.end] if source else ".."
    if row.one_of:
        choices = " or ".join(f"{name} = {text}" for name in row.one_of)
        findings.error(
            "E0304",
            f"say which: {choices}",
            arg.span,
            label=f"this argument of {call.name} is always named",
            help=f"for instance {row.one_of[0]} = {text}",
        )
    else:
        findings.error("E0306", f"{call.name} has no argument here", arg.span, help=f"write {row.example}")


def _check_complete(call: syntax.Call, row: Distribution, given: dict[str, syntax.Expr], findings: Findings) -> None:
    missing = [n for n in row.positional if n not in given]
    chosen = [n for n in row.one_of if n in given]
    if missing:
        findings.error("E0305", f"{call.name} needs `{missing[0]}`", call.span, help=f"write {row.example}")
        raise Unresolvable
    if row.one_of and not chosen:
        findings.error(
            "E0305",
            f"{call.name} needs one of {', '.join(f'`{n}`' for n in row.one_of)}",
            call.span,
            help=f"write {row.example}",
        )
        raise Unresolvable
    if len(chosen) > 1:
        findings.error(
            "E0306",
            f"{call.name} takes one of `{chosen[0]}` and `{chosen[1]}`, not both",
            call.span,
            notes=[Note(f"`{chosen[0]}` is given here", given[chosen[0]].span)],
            help="keep one of them",
        )
        raise Unresolvable
