"""Slices with what a network, or the truth, says of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]

# Okabe and Ito's colours: apart from one another, and from grey, for colour-blind readers too.
COLOURS = {1: "#56b4e9", 2: "#f0e442", 4: "#d55e00"}
TISSUES = {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}
SIDE = 320  # pixels; smaller slices are enlarged to about this
MARGIN = 3  # voxels around the brain


class Slices(NamedTuple):
    """K slices: names, T1ce (K H W, 0 to 1) and label maps (K H W, 0 1 2 4) by who made them."""

    cases: list[str]
    background: Image
    labels: dict[str, NDArray[np.uint8]]


def read_slices(path: Path) -> Slices:
    """Return the slices of `slices.npz`, cut to the box that holds the brain in all of them."""
    with np.load(path, allow_pickle=False) as saved:
        background = saved["background"]
        names = [key for key in ("truth", "teacher", "student", "twin") if key in saved]
        box = _box_of(background.max(axis=0))
        labels = {name: saved[name][:, *box] for name in names}
        return Slices([str(case) for case in saved["cases"]], background[:, *box], labels)


def paint_slice(background: Image, label: NDArray[np.uint8] | None = None) -> Image:
    """Return the slice (H W) in grey, enlarged, with tinted and outlined labels, as H W RGB."""
    factor = max(1, round(SIDE / max(background.shape)))
    grey = np.clip(ndimage.zoom(background.astype(np.float32), factor, order=1), 0, 1)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    if label is None:
        return picture
    for value, colour in COLOURS.items():
        alone = np.equal(label, value).astype(np.float32)
        mask = ndimage.zoom(alone, factor, order=1) > 0.5
        rim = mask & ~ndimage.binary_erosion(mask, iterations=max(1, factor // 2))
        ink = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255
        picture[mask] = 0.62 * picture[mask] + 0.38 * ink
        picture[rim] = ink
    return picture


def _box_of(brightest: Image) -> tuple[slice, slice]:
    found = ndimage.find_objects((brightest > 0).astype(np.uint8))
    if not found:
        return slice(None), slice(None)
    rows, columns = (slice(max(0, side.start - MARGIN), side.stop + MARGIN) for side in found[0])
    return rows, columns
