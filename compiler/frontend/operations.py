"""The operations of the language as one table: arguments, what they do to indices, result dtype.

This is the surface: how many arguments, which names, which indices.  What an operation computes is said once, in
``graph/``; a test holds the two tables together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """``params`` are the argument names in order (a trailing ``?`` marks an optional one).

    ``over``: "" elementwise; "any" one or more indices, brackets optional; "one", "two" exactly so many, in brackets.
    ``keeps`` how many of the written indices the result still carries: "none", "all" or "first".
    ``dtype``: ``real``, ``int``, ``bool`` or ``same`` (as the promoted arguments).
    """

    params: tuple[str, ...]
    over: str = ""
    keeps: str = "none"
    dtype: str = "real"

    @property
    def required(self) -> int:
        return sum(not p.endswith("?") for p in self.params)


def _elementwise(names: str, dtype: str = "real") -> dict[str, Operation]:
    return {name: Operation(("u",), dtype=dtype) for name in names.split()}


OPERATIONS: dict[str, Operation] = {
    **_elementwise("exp log sqrt relu gelu sigmoid tanh softplus sin cos erf"),
    **_elementwise("abs sign stop", "same"),
    "shrink": Operation(("u", "t")),
    "clip": Operation(("u", "low", "high"), dtype="same"),
    "where": Operation(("condition", "a", "b"), dtype="same"),
    "dropout": Operation(("u", "p")),
    "sum": Operation(("u",), "any", "none", "same"),
    "prod": Operation(("u",), "any", "none", "same"),
    "mean": Operation(("u",), "any"),
    "var": Operation(("u",), "any"),
    "norm": Operation(("u",), "any"),
    "logsumexp": Operation(("u",), "any"),
    "softmax": Operation(("u",), "any", "all"),
    "log_softmax": Operation(("u",), "any", "all"),
    "normalize": Operation(("u",), "any", "all"),
    "rank": Operation(("u",), "any", "all", "int"),
    "kmax": Operation(("u", "k"), "any", "all", "same"),
    "argmax": Operation(("u",), "any", "none", "int"),
    "cumsum": Operation(("u",), "one", "all", "same"),
    "matpow": Operation(("a", "p"), "two", "all"),
    "logdet": Operation(("a",), "two", "none"),
    "eigvals": Operation(("a",), "two", "first"),
    "polar": Operation(("g",), "two", "all"),
}

RANGES: dict[tuple[str, str], tuple[Callable[[float], bool], str]] = {
    ("dropout", "p"): (lambda p: 0 <= p < 1, "at least 0 and below 1"),
    ("shrink", "t"): (lambda t: t >= 0, "at least 0"),
}
"""Where a constant argument of an operation must lie."""

MIN_MAX: dict[str, dict[int, Operation]] = {
    name: {1: Operation(("u",), "any", "none", "same"), 2: Operation(("a", "b"), dtype="same")}
    for name in ("min", "max")
}
"""``min`` and ``max`` are both: of one argument a reduction, of two elementwise."""

CONSTANTS = {"pi": 3.141592653589793, "inf": float("inf")}

OPERATION_NAMES = sorted([*OPERATIONS, *MIN_MAX])
