"""The domains of parameters as one table, and what of the standard library belongs to them.

How a rule on real meets another domain is text (``specs/std/domains.dlt``): a ``retract`` that follows the rule, or a
pair ``enter_NAME``, ``leave_NAME`` around it for ``via = NAME``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod, sqrt

from . import nodes as syntax
from .time_functions import functions_of

Rules = Mapping[str, Sequence[syntax.RuleDecl]]

ROUNDING = 1e-12
"""How far a constant may be off its domain."""

RETRACT, ENTER, LEAVE = "retract", "enter_", "leave_"


@dataclass(frozen=True, slots=True)
class Domain:
    """``axes``: how many it may name; ``example`` is shown in fixes."""

    axes: tuple[int, ...]
    example: str


DOMAINS: dict[str, Domain] = {
    "real": Domain((0,), "real"),
    "positive": Domain((0,), "positive"),
    "unit": Domain((0,), "unit"),
    "simplex": Domain((1,), "simplex[axis]"),
    "signed": Domain((0, 1), "signed[axis], or signed for a sign per weight"),
    "unit_norm": Domain((1,), "unit_norm[axis]"),
    "orthogonal": Domain((2,), "orthogonal[rows, columns]"),
}


def off_domain(domain: str, value: float, sizes: Sequence[int]) -> tuple[str, str] | None:
    """What is wrong with a constant initial value, and a fix (``{over}``, ``{axes}``: the domain's axes); None: nothing.

    ``sizes`` are those of the domain's axes.
    """
    count = prod(sizes)
    match domain:
        case "positive" if not value > 0:
            return "is positive, but starts at {value:g}", "init 1"
        case "unit" if not 0 <= value <= 1:
            return "is between 0 and 1, but starts at {value:g}", "init 0.5"
        case "signed" if value == 0:
            return "keeps the signs it starts with, and 0 has none", "leave out `init` to draw it, or init 0.1"
        case "simplex" if abs(value * count - 1) > ROUNDING:
            return f"sums to {value * count:g} over `{{over}}`, not to 1", "init 1 / {over}"
        case "unit_norm" if abs(value * value * count - 1) > ROUNDING:
            return f"has length {abs(value) * sqrt(count):g} over `{{over}}`, not 1", "init 1 / sqrt({over})"
        case "orthogonal" if min(sizes) > 1 or abs(value * value * count - 1) > ROUNDING:
            return "starts with equal entries: its rows are not orthogonal", "leave out `init` to draw it"
        case _:
            return None


def rules_of(file: syntax.File) -> dict[str, list[syntax.RuleDecl]]:
    """The rules a file defines, by name; a name may have one definition per domain."""
    rules: dict[str, list[syntax.RuleDecl]] = {}
    for stmt in file.body:
        if isinstance(stmt, syntax.RuleDecl):
            rules.setdefault(stmt.name, []).append(stmt)
    return rules


class Library:
    """The standard library's texts, each parsed when first asked for.  ``load`` parses one (None: it is not there)."""

    def __init__(self, load: Callable[[str], syntax.File | None]) -> None:
        self._load = load

    def file(self, name: str) -> syntax.File | None:
        """A file of the library, ``std/layers.dlt``; None where there is none."""
        return self._load(name)

    def _rules(self, name: str) -> Rules:
        file = self._load(name)
        return rules_of(file) if file is not None else {}

    @cached_property
    def rules(self) -> Rules:
        """The standard update rules."""
        return self._rules("std/rules.dlt")

    @cached_property
    def functions(self) -> Mapping[str, syntax.CircuitDecl]:
        """The standard functions of the step."""
        file = self._load("std/schedules.dlt")
        return functions_of(file) if file is not None else {}

    @cached_property
    def domains(self) -> Rules:
        """Retractions and coordinates."""
        return self._rules("std/domains.dlt")

    def of(self, name: str, domain: str) -> syntax.RuleDecl | None:
        """A text of the domain: ``retract``, ``enter_log``, ..; None where there is none."""
        return next((rule for rule in self.domains.get(name, ()) if rule.domain.name == domain), None)

    def coordinates(self, domain: str) -> Iterator[str]:
        """The names that ``via`` takes on a domain."""
        for name in self.domains:
            if name.startswith(ENTER) and self.of(name, domain) is not None:
                yield name.removeprefix(ENTER)
