"""What the bundled data sets hold, so that `check` can name wrong columns without importing their library.

Shapes are per example, from scikit-learn's documentation of its toy data sets; kinds are ``real`` or ``int``.
"""

from __future__ import annotations

SKLEARN: dict[str, dict[str, tuple[tuple[int, ...], str]]] = {
    "digits": {"data": ((64,), "real"), "images": ((8, 8), "real"), "target": ((), "int")},
    "iris": {"data": ((4,), "real"), "target": ((), "int")},
    "wine": {"data": ((13,), "real"), "target": ((), "int")},
    "breast_cancer": {"data": ((30,), "real"), "target": ((), "int")},
    "diabetes": {"data": ((10,), "real"), "target": ((), "real")},
    "linnerud": {"data": ((3,), "real"), "target": ((3,), "real")},
}

LABELS: dict[str, int] = {"digits": 10, "iris": 3, "wine": 3, "breast_cancer": 2}
"""Number of classes of the data sets whose ``target`` is a label."""
