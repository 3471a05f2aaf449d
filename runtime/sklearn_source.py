"""The one file that touches scikit-learn, which is untyped and optional.  Importable without either torch or it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Column
from .errors import MissingDependency


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PIXELS = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
_CELL = "radius texture perimeter area smoothness compactness concavity concave_points symmetry fractal_dimension"
_CANCER = tuple(
    [f"mean_{name}" for name in _names(_CELL)]
    + [f"{name}_error" for name in _names(_CELL)]
    + [f"worst_{name}" for name in _names(_CELL)]
)
_WINE = _names(
    "alcohol malic_acid ash alcalinity_of_ash magnesium total_phenols flavanoids nonflavanoid_phenols proanthocyanins "
    "color_intensity hue od280_od315_of_diluted_wines proline"
)
_IRIS = _names("sepal_length_cm sepal_width_cm petal_length_cm petal_width_cm")

# data set -> rows, its features in order, its targets in order (none: one target), kind of the target
_SETS: dict[str, tuple[int, tuple[str, ...], tuple[str, ...], str]] = {
    "digits": (1797, _PIXELS, (), "int"),
    "iris": (150, _IRIS, (), "int"),
    "wine": (178, _WINE, (), "int"),
    "breast_cancer": (569, _CANCER, (), "int"),
    "diabetes": (442, _names("age sex bmi bp s1 s2 s3 s4 s5 s6"), (), "real"),
    "linnerud": (20, _names("Chins Situps Jumps"), _names("Weight Waist Pulse"), "real"),
}
DATA_SETS = tuple(sorted(_SETS))


def sklearn_schema(name: str) -> dict[str, Column]:
    """Columns of a bundled data set, from a table: ``data``, ``target``, ``images`` (digits) and one per feature.

    Args:
        name: one of ``DATA_SETS``.
    """
    rows, features, targets, kind = _SETS[name]
    columns = {
        "data": Column((len(features),), "real", rows),
        "target": Column((len(targets),) if targets else (), kind, rows),
    }
    if name == "digits":
        columns["images"] = Column((8, 8), "real", rows)
    columns |= {feature: Column((), "real", rows) for feature in features}
    return columns | {target: Column((), kind, rows) for target in targets}


def sklearn_columns(name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a bundled data set, columns as in :func:`sklearn_schema`.

    Raises:
        MissingDependency: when scikit-learn is not installed.
    """
    try:
        module: Any = import_module("sklearn.datasets")
    except ModuleNotFoundError as error:
        raise MissingDependency(
            'sklearn("...") needs the package scikit-learn: install it, or dltc with its extra `data`'
        ) from error
    bunch: Any = getattr(module, f"load_{name}")()
    _, features, targets, _ = _SETS[name]
    data: NDArray[Any] = np.asarray(bunch.data)
    target: NDArray[Any] = np.asarray(bunch.target)
    columns = {"data": data, "target": target}
    if name == "digits":
        columns["images"] = np.asarray(bunch.images)
    columns |= {feature: data[:, i] for i, feature in enumerate(features)}
    return columns | {name: target[:, i] for i, name in enumerate(targets)}


def photographs() -> list[NDArray[Any]]:
    """`china.jpg` and `flower.jpg` in grey, values 0..1, [rows, columns].

    Raises:
        MissingDependency: scikit-learn, or Pillow which it decodes them with, is not installed.
    """
    try:
        library: Any = import_module("sklearn.datasets")
        found: list[Any] = library.load_sample_images().images
    except ImportError as error:
        raise MissingDependency(
            "patches(..) needs the packages scikit-learn and Pillow: install them, or dltc with its extra `data`"
        ) from error
    return [np.asarray(image, dtype=np.float64).mean(axis=2) / 255 for image in found]
