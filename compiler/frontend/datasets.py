"""What the bundled and the generated data sets hold, so that `check` can name wrong columns without making them.

Shapes are per example, from scikit-learn's documentation of its toy data sets; kinds are ``real`` or ``int``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Columns = dict[str, tuple[tuple[int, ...], str]]


def _features(names: str) -> Columns:
    """One real number per example for each name."""
    return dict.fromkeys(names.split(), ((), "real"))


SKLEARN: dict[str, Columns] = {
    "digits": {"data": ((64,), "real"), "images": ((8, 8), "real"), "target": ((), "int")},
    "iris": {"data": ((4,), "real"), "target": ((), "int")},
    "wine": {
        "data": ((13,), "real"),
        "target": ((), "int"),
        **_features("alcohol malic_acid ash alcalinity_of_ash magnesium total_phenols flavanoids nonflavanoid_phenols"),
        **_features("proanthocyanins color_intensity hue proline"),
    },
    "breast_cancer": {"data": ((30,), "real"), "target": ((), "int")},
    "diabetes": {
        "data": ((10,), "real"),
        "target": ((), "real"),
        **_features("age sex bmi bp s1 s2 s3 s4 s5 s6"),
    },
    "linnerud": {"data": ((3,), "real"), "target": ((3,), "real"), **_features("Chins Situps Jumps")},
}

LABELS: dict[str, int] = {"digits": 10, "iris": 3, "wine": 3, "breast_cancer": 2}
"""Number of classes of the data sets whose ``target`` is a label."""

TEXT_COLUMNS = ("tok", "next")
"""Of a text: windows of its characters, and the character after each of theirs."""


# ---------------------------------------------------------------- generators

LARGEST_DATA = 2**28
"""Numbers in a generated data set."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a generator: a whole number or a real one, its least (and largest) value, its default."""

    default: int | float | None
    least: int | float = 1
    most: int | float | None = None

    @property
    def whole(self) -> bool:
        """Whether only whole numbers fit."""
        return not isinstance(self.default, float)


Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Generator:
    """A data set made by formula: the numbers themselves are `runtime/generators.py`'s.

    ``columns`` tells shapes and kinds from the arguments, ``labels`` how many labels a column has, ``rows`` how many rows
    there are (``n`` unless something else decides).
    """

    arguments: Mapping[str, Argument]
    columns: Callable[[Arguments], Columns]
    labels: Callable[[Arguments], dict[str, int]] = lambda a: {}
    rows: Callable[[Arguments], int] = lambda a: int(a["n"])
    problem: Callable[[Arguments], str | None] = lambda a: None


SEED = Argument(None, least=0, most=2**63 - 1)
"""Every generator's ``seed``: that of `train` where none is given."""


def _more(larger: str, smaller: str) -> Callable[[Arguments], str | None]:
    """A rule: one argument is at most another."""
    return lambda a: f"`{smaller}` can be at most `{larger}`" if a[smaller] > a[larger] else None


GENERATORS: dict[str, Generator] = {
    "mixture": Generator(
        {
            "n": Argument(1000),
            "k": Argument(3),
            "dim": Argument(2),
            "spread": Argument(5.0, 0),
            "std": Argument(1.0, 0),
        },
        lambda a: {"x": ((a["dim"],), "real"), "component": ((), "int")},
        lambda a: {"component": a["k"]},
    ),
    "parity": Generator(
        {"n": Argument(1000), "bits": Argument(20), "k": Argument(3)},
        lambda a: {"x": ((a["bits"],), "real"), "y": ((), "int")},
        lambda a: {"y": 2},
        problem=_more("bits", "k"),
    ),
    "sparse_linear": Generator(
        {"n": Argument(1000), "dim": Argument(100), "nonzero": Argument(5), "noise": Argument(0.1, 0)},
        lambda a: {"x": ((a["dim"],), "real"), "y": ((), "real"), "signal": ((), "real")},
        problem=_more("dim", "nonzero"),
    ),
    "hierarchy": Generator(
        {"levels": Argument(3, most=12), "branch": Argument(2, least=2, most=100)},
        lambda a: {
            "item": ((), "int"),
            "properties": ((sum(a["branch"] ** level for level in range(a["levels"] + 1)),), "real"),
        },
        lambda a: {"item": a["branch"] ** a["levels"]},
        rows=lambda a: a["branch"] ** a["levels"],
    ),
    "dynamics": Generator(
        {
            "n": Argument(500),
            "length": Argument(50),
            "dim": Argument(2),
            "observed": Argument(2),
            "decay": Argument(0.95, 0, 1),
            "noise": Argument(0.1, 0),
            "observation": Argument(0.1, 0),
        },
        lambda a: {"x": ((a["length"], a["observed"]), "real"), "z": ((a["length"], a["dim"]), "real")},
    ),
    "moons": Generator(
        {"n": Argument(500), "noise": Argument(0.1, 0)},
        lambda a: {"x": ((2,), "real"), "y": ((), "int")},
        lambda a: {"y": 2},
    ),
    "patches": Generator(
        {"n": Argument(10_000), "size": Argument(12, most=256), "whiten": Argument(1, 0, 1)},
        lambda a: {"x": ((a["size"], a["size"]), "real")},
    ),
}
"""Generators by name; what they are of, and where they come from, stands at each function of `runtime/generators.py`."""
