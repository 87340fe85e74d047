"""Labelled cases, segmented as `predict` does it, from every subset of channels that it takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DatasetError
from data_prep.scans import Scan
from data_prep.scans.grid import Grid, turn_to_ras
from data_prep.schemes import LabelScheme
from monai_kd.inference.calibration import Calibration, Trust
from monai_kd.inference.intervals import VolumeCase, find_bound
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.agreement import MirroredRuntime, dice, measure_agreement
from monai_kd.inference.segmenting.segmentation import count_excess, prepare, segment
from monai_kd.inference.student import Student
from monai_kd.inference.volumes import measure_volumes

Masks = NDArray[np.bool_]
Subset = frozenset[str]


@dataclass(frozen=True)
class Seen:
    """One output of one case: its volumes, and its Dice, None where the truth has no such part."""

    volume: VolumeCase
    dice: float | None


@dataclass(frozen=True)
class ComparedCase:
    """One case from every subset of its channels, and how much of it is not 0."""

    foreground_ml: float
    seen: Mapping[Subset, Mapping[str, Seen]]


def list_subsets(channels: Sequence[str]) -> Iterator[Subset]:
    """All but the empty one, the whole first."""
    for count in range(len(channels), 0, -1):
        yield from map(frozenset, combinations(channels, count))


@dataclass(frozen=True, eq=False)
class Truth:
    """The outputs of a label, turned to RAS, on its grid, and their volumes."""

    grid: Grid
    masks: Mapping[str, Masks]
    volumes_ml: Mapping[str, float]


def read_truth(label: Scan, scheme: LabelScheme) -> Truth:
    """What a label in the values of `scheme` says."""
    values = label.values.astype(np.uint8)
    return Truth(
        label.grid,
        _split(turn_to_ras(values, label.affine), scheme),
        measure_volumes(values, label.affine, scheme),
    )


def compare_case(
    scans: Mapping[str, Scan],
    truth: Truth,
    *,
    student: Student,
    runtime: Runtime,
    most_bytes: int,
) -> dict[str, Seen]:
    """Segment a labelled case from some of the student's channels, and compare each output."""
    reference = next(iter(scans.values()))
    prepared = prepare(scans, student, runtime, most_bytes=most_bytes)
    spare = most_bytes - count_excess(scans.values())
    first, second = (
        segment(prepared, reference, student=student, runtime=opinion, most_bytes=spare)
        for opinion in (runtime, MirroredRuntime(runtime))
    )
    if not truth.grid.is_same(reference.grid):
        raise DatasetError("the label lies on another grid than the scan; voxelise both alike")
    found = _split(turn_to_ras(first.label, reference.affine), first.scheme)
    agreement = measure_agreement(first.masks, second.masks)
    predicted = measure_volumes(first.label, reference.affine, first.scheme)
    return {
        name: Seen(
            VolumeCase(predicted[name], truth.volumes_ml[name], agreement[name]),
            dice(found[name], truth.masks[name]) if truth.masks[name].any() else None,
        )
        for name in student.task.outputs
        if name in predicted
    }


def calibrate(cases: Sequence[ComparedCase]) -> Calibration:
    """Learn from cases that were all compared from the same subsets."""
    found = [case.foreground_ml for case in cases]
    subsets = {
        present: _calibrate([case.seen[present] for case in cases]) for present in cases[0].seen
    }
    return Calibration(len(cases), (min(found), max(found)), subsets)


def _calibrate(cases: Sequence[Mapping[str, Seen]]) -> dict[str, Trust]:
    trusts = {}
    for output in cases[0]:
        parts = [case[output] for case in cases]
        measured = [part.dice for part in parts if part.dice is not None]
        bound = find_bound([part.volume for part in parts])
        agreement = min(part.volume.agreement for part in parts)
        trusts[output] = Trust(fmean(measured) if measured else None, bound, agreement)
    return trusts


def _split(label: NDArray[np.generic], scheme: LabelScheme) -> dict[str, Masks]:
    return {name: np.isin(label, values) for name, values in scheme.regions.items()}
