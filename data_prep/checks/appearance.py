"""What a skull-stripped brain looks like in each sequence, and what looks otherwise."""

from collections.abc import Iterator, Mapping

from data_prep.checks.alignment import alignment_faults
from data_prep.checks.coarse import coarsen
from data_prep.checks.comparisons import Placed
from data_prep.checks.contrast import contrast_faults
from data_prep.checks.coverage import coverage_faults
from data_prep.checks.geometry import Fault
from data_prep.rules import Rule


def appearance_faults(images: Mapping[str, Placed]) -> Iterator[tuple[str, Fault]]:
    """Judge sequences of a brain by their voxels: those that lie on the grid of the first."""
    first = next(iter(images.values()))
    images = {name: image for name, image in images.items() if image.grid.is_same(first.grid)}
    coarse = coarsen(images)
    coverage = list(coverage_faults(images, coarse))
    yield from coverage
    if {rule for _, (rule, _) in coverage} & {Rule.NO_BRAIN, Rule.SKULL_ON}:
        return  # what follows looks at brain
    apart = list(alignment_faults(coarse))
    yield from apart or contrast_faults(coarse)  # which compares voxel by voxel
