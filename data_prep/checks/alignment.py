"""Whether sequences lie on each other, whatever their headers say: their edges tell.

The brain is cut into eight parts. In each, the edges of two sequences are laid over each other at
every offset at once (a correlation by Fourier transform), and the best one is found to a fraction
of a cell. A shift moves all parts, a rotation nearly all, so the median tells of both.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt
import scipy

from data_prep.brats.sequences import CLEAREST_EDGES
from data_prep.checks.coarse import CoarseCase, Image, Mask, erode
from data_prep.checks.geometry import Fault
from data_prep.rules import Rule

FARTHEST_MM = 1.5  # of the median part: a rotation that moves brain by 5 mm moves it by 2 or more
LEAST_GAIN = 0.03  # of the correlation, by the offset
FEWEST_CELLS = 500
STEEPEST = 4.0  # standard deviations: a few bright vessels must not outweigh the rest
PARTS_AXES = (1, 2, 3)


def alignment_faults(coarse: CoarseCase) -> Iterator[tuple[str, Fault]]:
    """Tell which sequence lies apart from the others, and how far."""
    offsets = measure_offsets(coarse)
    apart = {name: mm for name, mm in offsets.items() if mm > FARTHEST_MM}
    if len(apart) > 1 and len(apart) == len(offsets):  # then it is the reference that was moved
        reference = _choose_reference(coarse)
        apart = {reference: float(np.median(list(apart.values())))}
    for name, mm in apart.items():
        detail = f"{name} lies about {mm:.0f} mm apart from the other sequences"
        yield name, (Rule.NOT_ALIGNED, detail)


def measure_offsets(coarse: CoarseCase) -> dict[str, float]:
    """Return how far, in mm, each sequence lies from the reference in half of its parts."""
    if len(coarse.images) < 2 or np.count_nonzero(coarse.inside) < FEWEST_CELLS:
        return {}
    parts = {
        name: _cut(_edges(image, erode(coarse.masks[name])))
        for name, image in coarse.images.items()
    }
    reference = _choose_reference(coarse)
    spectra = {name: scipy.fft.rfftn(part, axes=PARTS_AXES) for name, part in parts.items()}
    sizes = {name: np.sqrt(np.einsum("pijk,pijk->p", p, p)) for name, p in parts.items()}
    offsets = {}
    for name in parts.keys() - {reference}:
        shape = parts[name].shape[1:]
        cross = spectra[reference] * np.conj(spectra[name])
        match = scipy.fft.irfftn(cross, s=shape, axes=PARTS_AXES)
        scale = np.maximum(sizes[reference] * sizes[name], 1e-9)
        offsets[name] = _median_offset(match / scale[:, None, None, None], coarse.spacing_mm)
    return {name: offsets[name] for name in parts if name in offsets}


def _choose_reference(coarse: CoarseCase) -> str:
    known = [name for name in CLEAREST_EDGES if name in coarse.images]
    return known[0] if known else next(iter(coarse.images))


def _edges(image: Image, inside: Mask) -> Image:
    """Steepness of the image less its mean, whatever is bright and whatever dark; 0 outside."""
    squares = np.zeros_like(image)
    for axis in range(3):
        middle = [slice(None)] * 3
        low, high = middle.copy(), middle.copy()
        middle[axis], low[axis], high[axis] = slice(1, -1), slice(None, -2), slice(2, None)
        squares[tuple(middle)] += (image[tuple(high)] - image[tuple(low)]) ** 2
    steepness = np.sqrt(squares)
    seen = steepness[inside]
    centred = np.minimum(steepness - seen.mean(), STEEPEST * seen.std())
    return np.where(inside, centred, np.float32(0))


def _cut(edges: Image) -> Image:
    halves = [side // 2 for side in edges.shape]
    starts = product(*((0, half) for half in halves))
    return np.stack(
        [edges[x : x + halves[0], y : y + halves[1], z : z + halves[2]] for x, y, z in starts]
    )


def _median_offset(match: Image, spacing_mm: npt.NDArray[np.float64]) -> float:
    peaks = [_find_peak(part) for part in match]
    gains = [part.max() - part[0, 0, 0] for part in match]
    if np.median(gains) < LEAST_GAIN:
        return 0.0
    return float(np.median(np.linalg.norm(np.array(peaks) * spacing_mm, axis=1)))


def _find_peak(match: Image) -> list[float]:
    """Offset of the largest value along each axis, between cells by a parabola."""
    place = np.unravel_index(int(match.argmax()), match.shape)
    peak = []
    for axis, (at, side) in enumerate(zip(map(int, place), match.shape, strict=True)):
        line = match[tuple(slice(None) if a == axis else p for a, p in enumerate(place))]
        before, top, after = (float(line[(at + step) % side]) for step in (-1, 0, 1))
        bend = before - 2 * top + after
        between = 0.5 * (before - after) / bend if bend else 0.0
        peak.append((at if at <= side // 2 else at - side) + between)
    return peak
