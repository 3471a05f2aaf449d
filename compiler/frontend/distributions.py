"""The distributions of the language as one table: arguments, where they live, what they may describe.

Their densities and draws are graph expressions (``graph/densities.py``); a test holds the two tables together.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..diagnostics import Findings, Note, did_you_mean
from . import nodes as syntax
from .scope import Unresolvable


@dataclass(frozen=True, slots=True)
class Distribution:
    """``positional`` arguments may also be named; of ``one_of`` exactly one must be given, always by name.

    ``optional`` holds defaults.  ``support`` is where the variable lives (``real positive simplex bool label count
    any``); ``example`` is shown in fixes.
    """

    positional: tuple[str, ...]
    one_of: tuple[str, ...]
    support: str
    example: str
    optional: tuple[tuple[str, float], ...] = ()


DISTRIBUTIONS: dict[str, Distribution] = {
    "Normal": Distribution(("mean",), ("std", "var", "precision"), "real", "Normal(0, var = 1)"),
    "Laplace": Distribution(("m", "scale"), (), "real", "Laplace(0, scale = 1)"),
    "LogNormal": Distribution(("m", "std"), (), "positive", "LogNormal(0, std = 1)"),
    "Dirichlet": Distribution(("a",), (), "simplex", "Dirichlet(1)"),
    "Bernoulli": Distribution((), ("logits", "p"), "bool", "Bernoulli(logits = z)"),
    "Categorical": Distribution((), ("logits", "p"), "label", "Categorical(logits = s)"),
    "Poisson": Distribution(("rate",), (), "count", "Poisson(rate)"),
    "Flat": Distribution((), (), "any", "Flat()"),
    "Gibbs": Distribution((), (), "any", "Gibbs()", (("beta", 1.0),)),
}

POSITIVE = frozenset({"std", "var", "precision", "scale", "a"})
"""Arguments that must be above 0 (a rate may be 0, a probability lies in 0..1)."""


def out_of_range(name: str, value: float) -> str | None:
    """What a constant argument must be, if it is not."""
    if name in POSITIVE and not value > 0:
        return "above 0"
    if name == "rate" and not value >= 0:
        return "at least 0"
    return "between 0 and 1" if name == "p" and not 0 <= value <= 1 else None


NOT_YET = ("MultivariateNormal", "StudentT", "HalfNormal", "Gamma", "Exponential", "Beta", "Uniform", "SpikeSlab")

ON_DOMAIN: dict[str, tuple[str, ...]] = {
    "real": ("Normal", "Laplace", "Flat"),
    "positive": ("LogNormal", "Normal", "Laplace", "Flat"),
    "simplex": ("Dirichlet", "Flat"),
}
"""Priors that live on a domain (a prior on the real line is restricted to the domain, not renormalised)."""


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
            findings.error(
                "E0306", f"`{name}` {wrong}", arg.span, help=did_you_mean(name, names) or f"write {row.example}"
            )
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
    elif call.name in NOT_YET:
        findings.error("E0901", f"the distribution {call.name} is not compiled yet", call.name_span)
    else:
        hint = did_you_mean(call.name, [*DISTRIBUTIONS, *NOT_YET])
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
        )
        raise Unresolvable
