"""Sequences that lie beside each other, brought onto the reference: what `--coregister` does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel

from data_prep.checks import Inspection
from data_prep.checks.alignment import alignment_faults
from data_prep.checks.coarse import coarsen
from data_prep.checks.comparisons import Placed, place
from data_prep.files import write_bytes
from data_prep.findings import Finding, LeftOutError, errors_of
from data_prep.registration.registration import Movement, find_movement, load_simpleitk, move
from data_prep.rules import EMPTY, Rule
from data_prep.scans.scan import Scan

ON_OTHER_GRIDS = (Rule.SHAPES_DIFFER, Rule.GRIDS_DIFFER, Rule.OWN_SPACING)
FARTHEST_MM, LARGEST_DEGREES = 60.0, 45.0  # a head that seems further away is no longer the same
LEAST_GAIN = 0.002  # of the metric, where the alignment was found to be wrong


@dataclass(frozen=True, eq=False)
class Coregistration:
    """The case with all sequences on the reference's voxels, and how each was moved there."""

    inspection: Inspection
    reference: str
    movements: Mapping[str, Movement]

    @property
    def findings(self) -> list[Finding]:
        """Say of each sequence that it was moved: nobody else has looked at it."""
        case = self.inspection.case
        return [
            Finding(Rule.REGISTERED, case.name, case.images[name].path.name, self._say(name, moved))
            for name, moved in self.movements.items()
        ]

    def _say(self, name: str, movement: Movement) -> str:
        if not movement.distance_mm and not movement.rotation_degrees:
            return f"{name} was brought onto the voxels of {self.reference}"
        by = f"{movement.distance_mm:.1f} mm and {movement.rotation_degrees:.1f} degrees"
        return f"{name} was registered by us to {self.reference}, by {by}"


def coregister(inspection: Inspection, *, modalities: Sequence[str]) -> Coregistration | None:
    """Bring together what lies apart, onto the first of `modalities`; None if nothing does.

    Raise a LeftOutError where no rigid movement brings it there.
    """
    load_simpleitk()
    forgiven = {*ON_OTHER_GRIDS, *EMPTY, Rule.MISSING_MODALITY}
    names = [name for name in modalities if name in inspection.scans]
    if len(names) < 2 or any(f.rule not in forgiven for f in errors_of(inspection.findings)):
        return None
    reference, *_ = names
    elsewhere, apart = _find_apart({name: inspection.scans[name] for name in names}, reference)
    if not elsewhere and not apart:
        return None
    movements, scans = {}, dict(inspection.scans)
    for name in (*elsewhere, *apart):
        movement = find_movement(scans[name], scans[reference])
        _check(inspection, name, movement, must_gain=name in apart)
        movements[name] = movement if movement.gain >= LEAST_GAIN else movement.at_rest()
        scans[name] = move(scans[name], movements[name], scans[reference])
    left = tuple(f for f in inspection.findings if f.rule not in ON_OTHER_GRIDS)
    return Coregistration(replace(inspection, scans=scans, findings=left), reference, movements)


def write_registered(coregistration: Coregistration, folder: Path) -> dict[str, Path]:
    """Write the sequences that were moved, for a page that shows them; return their files."""
    files = {}
    for name in coregistration.movements:
        scan = coregistration.inspection.scans[name]
        image = nibabel.Nifti1Image(scan.voxels, scan.affine)
        files[name] = folder / f"{name}.nii"
        write_bytes(files[name], image.to_bytes())
    return files


def _find_apart(scans: Mapping[str, Scan], reference: str) -> tuple[list[str], list[str]]:
    """Return the sequences on other voxels than the reference, and those that only lie apart."""
    placed = {name: place(scan) for name, scan in scans.items()}
    grid = placed[reference].grid
    elsewhere = [name for name, image in placed.items() if not image.grid.is_same(grid)]
    apart = set(_list_apart({n: image for n, image in placed.items() if n not in elsewhere}))
    if reference in apart:  # then it is the others that have to come to it
        apart = set(scans) - {reference, *elsewhere}
    return elsewhere, [name for name in scans if name in apart]


def _list_apart(images: Mapping[str, Placed]) -> Iterator[str]:
    if len(images) > 1:
        yield from (name for name, _ in alignment_faults(coarsen(images)))


def _check(inspection: Inspection, name: str, movement: Movement, *, must_gain: bool) -> None:
    if movement.distance_mm > FARTHEST_MM or movement.rotation_degrees > LARGEST_DEGREES:
        seen = f"{movement.distance_mm:.0f} mm and {movement.rotation_degrees:.0f} degrees away"
    elif must_gain and movement.gain < LEAST_GAIN:
        seen = "nowhere better than where it lies"
    else:
        return
    file = inspection.case.images[name].path.name
    detail = f"{name} cannot be registered (found {seen})"
    advice = "register it by hand, and look at both"
    found = Finding(Rule.NOT_ALIGNED, inspection.case.name, file, detail, "error", advice)
    raise LeftOutError([found])
