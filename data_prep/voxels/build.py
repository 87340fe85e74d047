"""One case: checked, brought to one grid, cut to the brain, stored."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.case import Case, Dataset
from data_prep.checks.inspection import Inspection, inspect_case, not_understood
from data_prep.checks.labels import count_values
from data_prep.findings import Finding
from data_prep.scans import Grid, Scan, measure, prepare
from data_prep.scans.resampling import NEAREST, to_grid
from data_prep.scans.store import as_smallest, stored_key, write_array
from data_prep.voxels.folder import LIST
from data_prep.voxels.record import (
    IMAGE,
    LABEL,
    Record,
    VoxelSettings,
    case_key,
    hash_of,
    is_intact,
    read_record,
    write_record,
)

MOST_LOCATIONS = 1000  # per value: enough to centre windows on, small enough to read with each case


def build_case(
    case: Case, *, dataset: Dataset, settings: VoxelSettings, output_dir: Path
) -> Record:
    """Check a case and write those of its files that differ from what lies in its folder.

    A case that fails is left out. Its older files stay: they hold again once it is mended.
    """
    inspection = inspect_case(case, dataset=dataset)
    if not inspection.usable:
        return leave_out(case, inspection.findings)
    try:
        cut = _cut_to_brain(inspection, dataset.modalities, settings)
    except (ArithmeticError, MemoryError, ValueError) as error:
        return leave_out(case, [not_understood(case, error)])
    (output_dir / LIST).unlink(missing_ok=True)  # it lists what is about to change
    folder = output_dir / case.name
    known = read_record(folder)
    steps = {IMAGE: (_image_key(cut, settings), partial(_write_image, cut=cut, settings=settings))}
    if inspection.label is None:
        (folder / LABEL).unlink(missing_ok=True)
    else:
        scan = inspection.label
        steps[LABEL] = (_label_key(cut, scan), partial(_write_label, cut=cut, scan=scan))
    files, written = {}, []
    for name, (key, write) in steps.items():
        path = folder / name
        if known and stored_key(path) == key and is_intact(path, known):
            files[name] = known.files[name]
        else:
            files[name] = write(path, key=key)
            written.append(name)
    key = case_key(case, dataset=dataset, settings=settings, hashes=inspection.hashes)
    shape, findings = cut.image.shape[1:], inspection.findings
    record = Record(case.name, key, files, shape, findings, tuple(written))
    write_record(record, folder)
    return record


def leave_out(case: Case, findings: Iterable[Finding]) -> Record:
    """Return the record of a case that has no voxels, for these reasons."""
    return Record(case.name, "", {}, (), tuple(findings))


@dataclass(frozen=True, eq=False)
class _Cut:
    """A case on its grid, and its image (C x y z), which is cut to the brain."""

    case: Case
    scans: dict[str, Scan]
    image: npt.NDArray[Any]
    grid: Grid
    box: tuple[slice, ...]

    def describe(self, scan: Scan) -> dict[str, Any]:
        """Tell where the voxels of the case lie, and where those of `scan` lay."""
        crop = self.grid.cut(self.box)
        return {
            "case": self.case.name,
            "affine": crop.affine.tolist(),
            "spacing_mm": crop.spacing_mm.tolist(),
            "crop_offset": [int(side.start) for side in self.box],
            "grid_shape": list(self.grid.shape),
            "original": {"shape": list(scan.voxels.shape), "affine": scan.affine.tolist()},
        }

    def is_moved(self, scan: Scan) -> bool:
        """Tell whether voxels of `scan` had to be interpolated."""
        return not scan.grid.is_same(self.grid)


def _cut_to_brain(
    inspection: Inspection, modalities: tuple[str, ...], settings: VoxelSettings
) -> _Cut:
    scans = {name: inspection.scans[name] for name in modalities}
    cut = prepare(scans, spacing_mm=settings.spacing_mm)
    image = as_smallest(np.stack(list(cut.volumes.values())))
    return _Cut(inspection.case, scans, image, cut.grid, cut.box)


def _image_key(cut: _Cut, settings: VoxelSettings) -> str:
    sources = [
        (name, scan.sha256, cut.case.images[name].channel, cut.describe(scan))
        for name, scan in cut.scans.items()
    ]
    return hash_of(IMAGE, asdict(settings), sources)


def _write_image(path: Path, *, cut: _Cut, settings: VoxelSettings, key: str) -> str:
    names = list(cut.scans)
    normalisation = {
        name: asdict(measure(volume, settings.percentiles))
        for name, volume in zip(names, cut.image, strict=True)
    }
    metadata = {
        "kind": "image",
        "key": key,
        **cut.describe(cut.scans[names[0]]),
        "modalities": names,
        "normalisation": normalisation,
        "resampled": [name for name, scan in cut.scans.items() if cut.is_moved(scan)],
        "sources": {name: scan.sha256 for name, scan in cut.scans.items()},
    }
    return write_array(path, cut.image, metadata=metadata)


def _label_key(cut: _Cut, scan: Scan) -> str:
    """The label depends on where the brain lies, and on nothing else of the image."""
    return hash_of(LABEL, scan.sha256, cut.describe(scan))


def _write_label(path: Path, *, cut: _Cut, scan: Scan, key: str) -> str:
    whole = to_grid(as_smallest(scan.values), scan.affine, cut.grid, NEAREST)
    label = np.ascontiguousarray(whole[cut.box])
    counts = {str(int(value)): count for value, count in count_values(label).items()}
    metadata = {
        "kind": "label",
        "key": key,
        **cut.describe(scan),
        "resampled": cut.is_moved(scan),
        "source": scan.sha256,
        "counts": counts,
        "outside": int(np.count_nonzero(whole) - np.count_nonzero(label)),
    }
    tables = {"locations": draw_locations(label, counts)}
    return write_array(path, label, metadata=metadata, tables=tables)


def draw_locations(label: npt.NDArray[Any], values: Iterable[str]) -> dict[str, list[list[int]]]:
    """Draw, for each value, voxels that have it: always the same ones for the same label."""
    random = np.random.Generator(np.random.PCG64(0))
    locations = {}
    for value in values:
        voxels = np.flatnonzero(label == int(value))
        drawn = random.choice(voxels, min(MOST_LOCATIONS, voxels.size), replace=False)
        locations[value] = np.stack(np.unravel_index(np.sort(drawn), label.shape), 1).tolist()
    return locations
