"""What a skull-stripped brain looks like in each sequence, and what looks otherwise."""

from collections.abc import Iterator, Mapping

from data_prep.case import MODALITIES
from data_prep.checks.alignment import alignment_faults
from data_prep.checks.coarse import coarsen
from data_prep.checks.comparisons import Placed
from data_prep.checks.contrast import contrast_faults
from data_prep.checks.coverage import coverage_faults
from data_prep.checks.geometry import Fault
from data_prep.rules import Rule


def appearance_faults(images: Mapping[str, Placed]) -> Iterator[tuple[str, Fault]]:
    """Judge sequences of one grid by their voxels; images of anything else look as they like."""
    if not set(images) <= set(MODALITIES):
        return
    coarse = coarsen(images)
    coverage = list(coverage_faults(images, coarse))
    yield from coverage
    if {rule for _, (rule, _) in coverage} & {Rule.NO_BRAIN, Rule.SKULL_ON}:
        return  # what follows looks at brain
    apart = list(alignment_faults(coarse))
    yield from apart or contrast_faults(coarse)  # which compares voxel by voxel
