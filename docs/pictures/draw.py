"""The pictures of the gallery, from trained runs.

dltc train specs/sparse_patches.dlt -o runs/patches
dltc train specs/digits_vae.dlt -o runs/vae && dltc sample runs/vae -n 60 -o runs/draws.npz
python docs/pictures/draw.py features runs/patches docs/pictures/features.png
python docs/pictures/draw.py samples runs/draws.npz docs/pictures/samples.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib import image
from safetensors.numpy import load_file


def grid(pictures: np.ndarray, across: int, low: float, high: float, scale: int) -> np.ndarray:
    """Pictures [n, side, side] side by side, a white line between them, each pixel ``scale`` wide."""
    side = pictures.shape[1]
    sheet = np.full((-(-len(pictures) // across) * (side + 1) + 1, across * (side + 1) + 1), float(high))
    for k, picture in enumerate(pictures):
        row, column = (1 + place * (side + 1) for place in divmod(k, across))
        sheet[row : row + side, column : column + side] = np.clip(picture, low, high)
    return np.kron(sheet, np.ones((scale, scale)))


def main(kind: str, source: str, out: str) -> None:
    if kind == "features":
        weights = load_file(next((Path(source) / "checkpoint").glob("*.safetensors")))["D"]
        side = round(len(weights) ** 0.5)
        atoms = weights.reshape(side, side, -1).transpose(2, 0, 1)
        sheet, low = grid(atoms / np.abs(atoms).max((1, 2), keepdims=True), 16, -1, 1, 3), -1
    else:
        sheet, low = grid(np.load(source)["mean_"].reshape(-1, 8, 8), 15, 0, 1, 4), 0
    image.imsave(out, sheet, cmap="gray", vmin=low, vmax=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
