"""Whether sequences bear each other's names: what is dark in one and bright in another tells them.

Over the inside of the brain t1ce looks like t1, both are unlike t2 (fluid is dark in the former,
bright in the latter; white matter the other way), and flair, which has the fluid of t1 and the
oedema of t2, is nearer to t2 than they are. Contrast agent makes vessels, plexus and tumour rims
far brighter in t1ce than in t1, and nothing far darker. Of three sequences only t2 is told from
the others, of two only t1ce from t1: more would be guessing.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from data_prep.brats.sequences import ENHANCED, LIKENESS, LIKENESS_OF_THREE, PLAIN
from data_prep.checks.coarse import CoarseCase
from data_prep.checks.geometry import Fault
from data_prep.rules import Rule

FEWEST_CELLS = 500
MOST_CELLS = 6000  # more make it slower, not surer
CLEAR_MARGIN = 0.2  # by which other names must fit better: 2 % of good phantoms reach it
ONE_SCAN = 0.99  # correlation of two copies of a scan
ENHANCEMENT_WEIGHT = 2.0
GROUPS = 12  # of cells alike in brightness
TAIL = 1.0  # per cent of the cells

Cells = Mapping[str, npt.NDArray[np.float32]]


def contrast_faults(coarse: CoarseCase) -> Iterator[tuple[str, Fault]]:
    """Tell which sequences look like copies of each other, or else as if names were swapped."""
    inside = coarse.inside
    if np.count_nonzero(inside) < FEWEST_CELLS or len(coarse.images) < 2:
        return
    places = np.flatnonzero(inside)
    places = places[:: max(1, len(places) // MOST_CELLS)]
    cells = {name: image.ravel()[places] for name, image in coarse.images.items()}
    likeness = _correlate(cells)
    copies = [(a, b) for (a, b), value in likeness.items() if a < b and value > ONE_SCAN]
    for earlier, later in copies:
        yield later, (Rule.SAME_MODALITY, f"{later} looks like a copy of {earlier}")
    if not copies:
        yield from _swaps(cells, likeness)


def _swaps(cells: Cells, likeness: Mapping[tuple[str, str], float]) -> Iterator[tuple[str, Fault]]:
    names = tuple(cells)
    agents = {(a, b): _contrast_agent(cells[a], cells[b]) for a, b in likeness if a < b}
    agents |= {(b, a): -value for (a, b), value in agents.items()}
    fits = {found: _fit(names, found, likeness, agents) for found in permutations(names)}
    best = max(fits, key=lambda found: fits[found])
    if fits[best] - fits[names] > CLEAR_MARGIN:
        looks = dict(zip(best, names, strict=True))
        moved = {name: looks[name] for name in names if looks[name] != name}
        gain = fits[best] - fits[names]
        yield next(iter(moved)), (Rule.SWAPPED, f"{_tell(moved)} (fits better by {gain:.2f})")


def _fit(
    names: Sequence[str],
    found: Sequence[str],
    likeness: Mapping[tuple[str, str], float],
    agents: Mapping[tuple[str, str], float],
) -> float:
    """How well the sequences go with the names, were the file of `found[i]` truly `names[i]`."""
    file = dict(zip(names, found, strict=True))
    pairs = LIKENESS_OF_THREE if len(names) == 3 else LIKENESS
    fit = sum(weight * likeness[file[a], file[b]] for a, b, weight in pairs if {a, b} <= set(names))
    if {ENHANCED, PLAIN} <= set(names) and len(names) != 3:
        fit += ENHANCEMENT_WEIGHT * agents[file[ENHANCED], file[PLAIN]]
    return fit


def _correlate(cells: Cells) -> dict[tuple[str, str], float]:
    matrix = np.nan_to_num(np.corrcoef(list(cells.values())))
    pairs = permutations(enumerate(cells), 2)
    return {(a, b): float(matrix[i, j]) for (i, a), (j, b) in pairs}


def _contrast_agent(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """From -1 to 1: whether `one` is far brighter in a few places, or `other` is.

    Differences are taken among cells alike in the sum of both, so that tissues cancel out.
    """
    one, other = (cells / np.maximum(np.median(cells), 1e-6) for cells in (one, other))
    brightness = sum(cells / np.maximum(cells.std(), 1e-6) for cells in (one, other))
    order = np.argsort(brightness)[: one.size // GROUPS * GROUPS]
    difference = (one - other)[order].reshape(GROUPS, -1)
    rest = difference - np.median(difference, axis=1, keepdims=True)
    darker, brighter = np.percentile(rest, (TAIL, 100 - TAIL))
    return float((brighter + darker) / max(brighter - darker, 1e-6))


def _tell(moved: Mapping[str, str]) -> str:
    if len(moved) == 2:
        return f"{' and '.join(moved)} look swapped"
    return ", ".join(f"{name} looks like {look}" for name, look in moved.items())
