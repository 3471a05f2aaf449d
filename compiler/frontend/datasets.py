"""What the bundled data sets hold, so that `check` can name wrong columns without importing their library.

Shapes are per example, from scikit-learn's documentation of its toy data sets; kinds are ``real`` or ``int``.
"""

from __future__ import annotations

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
