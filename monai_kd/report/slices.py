"""Slices with what a network, or the truth, says of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]

# Okabe and Ito's colours: apart from one another, and from grey, for colour-blind readers too.
COLOURS = ("#56b4e9", "#f0e442", "#d55e00", "#009e73", "#cc79a7", "#0072b2", "#e69f00")
SIDE = 320  # pixels; smaller slices are enlarged to about this
MARGIN = 3  # voxels around what is there


class Slices(NamedTuple):
    """K slices: names, the first channel (K H W, 0 to 1), outputs by number (K H W) by network."""

    cases: list[str]
    background: Image
    labels: dict[str, NDArray[np.uint8]]


def read_slices(path: Path) -> Slices:
    """Return the slices of `slices.npz`, cut to the box that holds all of them."""
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
    for value in np.unique(label[label > 0]):
        colour = choose_colour(value)
        alone = np.equal(label, value).astype(np.float32)
        mask = ndimage.zoom(alone, factor, order=1) > 0.5
        rim = mask & ~ndimage.binary_erosion(mask, iterations=max(1, factor // 2))
        ink = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255
        picture[mask] = 0.62 * picture[mask] + 0.38 * ink
        picture[rim] = ink
    return picture


def choose_colour(number: int) -> str:
    """The colour of an output by its number, from 1."""
    return COLOURS[(int(number) - 1) % len(COLOURS)]


def list_legend(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The colour of each output, and what it is called."""
    names = [metrics["titles"][name] for name in metrics["outputs"]]
    return [(choose_colour(number), name) for number, name in enumerate(names, start=1)]


def _box_of(brightest: Image) -> tuple[slice, slice]:
    found = ndimage.find_objects((brightest > 0).astype(np.uint8))
    if not found:
        return slice(None), slice(None)
    rows, columns = (slice(max(0, side.start - MARGIN), side.stop + MARGIN) for side in found[0])
    return rows, columns
