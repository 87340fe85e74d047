"""Whether a brain is there, whole, and nothing around it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.checks.coarse import CoarseCase, Image
from data_prep.checks.comparisons import Placed
from data_prep.checks.geometry import Fault
from data_prep.rules import Rule

SMALLEST_BRAIN_ML = 5.0  # a newborn's has 400, a small phantom's 10
LEAST_SMOOTHNESS = 0.2  # correlation of neighbouring cells: of noise it is 0
LARGEST_TOUCH = 0.2  # of the brain's largest section: a stem cut off has less than a tenth
DARKEST_LAYER = 0.65  # of what lies before and behind it: bone has a third, no layer of brain has
RAYS = 6  # along each side of the middle third of a face
DEPTH = 0.25  # of the head, that rays go in: scalp, bone, and brain behind it
FAINT = 0.25  # of the mean: noise around a head is fainter
SIDES = (("left", "right"), ("back", "front"), ("bottom", "top"))


def coverage_faults(
    images: Mapping[str, Placed], coarse: CoarseCase
) -> Iterator[tuple[str, Fault]]:
    """Tell where there is no brain; else a skull; else a border that cuts the brain."""
    empty = list(_no_brain_faults(images, coarse))
    if empty:
        yield from empty
        return
    skull = _skull_fault(coarse)
    if skull is not None:
        yield next(iter(images)), skull
        return
    yield from _cut_faults(images, coarse)


def _no_brain_faults(
    images: Mapping[str, Placed], coarse: CoarseCase
) -> Iterator[tuple[str, Fault]]:
    cell_ml = float(coarse.spacing_mm.prod()) / 1000
    for name in images:
        volume = np.count_nonzero(coarse.masks[name]) * cell_ml
        if volume < SMALLEST_BRAIN_ML:
            yield name, (Rule.NO_BRAIN, f"{name}: only {volume:.1f} ml are not 0")
        elif _smoothness(coarse.images[name], coarse.masks[name]) < LEAST_SMOOTHNESS:
            yield name, (Rule.NO_BRAIN, f"{name} is noise: neighbouring voxels have nothing alike")


def _smoothness(image: Image, mask: npt.NDArray[np.bool_]) -> float:
    """Correlation of cells within the mask with their neighbours along the last axis."""
    both = mask[..., :-1] & mask[..., 1:]
    one, other = image[..., :-1][both], image[..., 1:][both]
    if one.size < 2 or not (one.std() and other.std()):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _skull_fault(coarse: CoarseCase) -> Fault | None:
    """Bone is dark in every sequence, between scalp and brain."""
    profiles = (profile for voxels in coarse.voxels.values() for profile in _profiles(voxels))
    typical = float(np.median([_darkest_layer(profile) for profile in profiles]))
    if typical > DARKEST_LAYER:
        return None
    detail = f"a layer around the brain is {1 - typical:.0%} darker than what is before and behind"
    return Rule.SKULL_ON, detail


def _profiles(voxels: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float32]]:
    """Median brightness by depth below the surface, seen from each of the six sides."""
    for axis in range(3):
        rays = _take_rays(voxels, axis)
        faint = FAINT * rays.mean(where=rays > 0) if (rays > 0).any() else 0.0
        depth = max(4, int(DEPTH * len(rays)))
        for seen_from in (rays, rays[::-1]):
            surface = (seen_from > faint).argmax(axis=0)
            below = np.minimum(surface + np.arange(depth)[:, None], len(rays) - 1)
            yield np.median(np.take_along_axis(seen_from, below, axis=0), axis=1)


def _take_rays(voxels: npt.NDArray[Any], axis: int) -> npt.NDArray[np.float32]:
    """Lines along an axis, through the middle third of the face that they run through."""
    third = [
        slice(side // 3, side - side // 3, max(1, side // (3 * RAYS))) for side in voxels.shape
    ]
    third[axis] = slice(None)
    lines = np.moveaxis(voxels[tuple(third)], axis, 0)
    return np.asarray(lines, dtype=np.float32).reshape(len(lines), -1)


def _darkest_layer(profile: npt.NDArray[np.float32]) -> float:
    """The least brightness between two brighter layers, as a share of the fainter of these."""
    before = np.maximum.accumulate(profile)[:-2]
    behind = np.maximum.accumulate(profile[::-1])[::-1][2:]
    return float((profile[1:-1] / np.maximum(np.minimum(before, behind), 1e-6)).min())


def _cut_faults(images: Mapping[str, Placed], coarse: CoarseCase) -> Iterator[tuple[str, Fault]]:
    for name, image in images.items():
        shares = _touches(image.values, _largest_sections(coarse, name))
        touched = {side: share for side, share in shares.items() if share > LARGEST_TOUCH}
        if touched:
            seen = ", ".join(f"{side} ({share:.0%})" for side, share in touched.items())
            detail = f"the brain reaches the border: {seen} of its largest section"
            yield name, (Rule.FIELD_CUT, detail)


def _largest_sections(coarse: CoarseCase, name: str) -> dict[int, float]:
    """Voxels of the mask in the largest section across each axis (to the right, front, top)."""
    sections = {}
    for place, axis in enumerate(coarse.axes):
        others = tuple(other for other in range(3) if other != place)
        cells = np.count_nonzero(coarse.masks[name], axis=others).max()
        sections[axis] = max(1.0, float(cells) * coarse.step**2)
    return sections


def _touches(values: npt.NDArray[Any], sections: Mapping[int, float]) -> dict[str, float]:
    """Voxels not 0 at each border, of every other row, as a share of the largest section."""
    shares: dict[str, float] = {}
    for axis, names in enumerate(SIDES):
        for name, at in zip(names, (0, -1), strict=True):
            plane = np.moveaxis(values, axis, 0)[at, ::2, ::2]
            shares[name] = 4.0 * int(np.count_nonzero(plane)) / sections[axis]
    return shares
