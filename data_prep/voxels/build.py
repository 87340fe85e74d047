"""One case: checked, brought to one grid, cut to the brain, stored."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.case import Case, Dataset
from data_prep.checks.inspection import Inspection, inspect_case
from data_prep.grid import LINEAR, NEAREST, Grid, choose_grid, grid_of, to_grid
from data_prep.scan import Scan
from data_prep.voxels.crop import count_values, draw_locations, find_brain
from data_prep.voxels.normalisation import measure
from data_prep.voxels.record import (
    IMAGE,
    LABEL,
    Record,
    VoxelSettings,
    case_key,
    hash_of,
    write_record,
)
from data_prep.voxels.store import as_smallest, stored_key, write_array

LIST = "voxels.json"


def build_case(
    case: Case, *, dataset: Dataset, settings: VoxelSettings, output_dir: Path
) -> Record:
    """Check a case and write those of its files that differ from what lies in its folder."""
    folder = output_dir / case.name
    inspection = inspect_case(case, dataset=dataset)
    if not inspection.usable:
        discard(folder)
        return Record(case.name, "", None, None, (), inspection.findings)
    (output_dir / LIST).unlink(missing_ok=True)  # it lists what is about to change
    placed = _place(inspection, dataset.modalities, settings)
    written = []
    image_key = _image_key(placed, settings)
    if stored_key(folder / IMAGE) != image_key:
        _write_image(folder / IMAGE, placed, settings, image_key)
        written.append(IMAGE)
    label_key = _label_key(placed, inspection.label)
    if inspection.label is None:
        (folder / LABEL).unlink(missing_ok=True)
    elif stored_key(folder / LABEL) != label_key:
        _write_label(folder / LABEL, placed, inspection.label, key=label_key)
        written.append(LABEL)
    key = case_key(case, dataset=dataset, settings=settings, hashes=inspection.hashes)
    keys, shape = (key, image_key, label_key), placed.image.shape[1:]
    record = Record(case.name, *keys, shape, inspection.findings, tuple(written))
    write_record(record, folder)
    return record


def discard(folder: Path) -> None:
    """Remove the files of a case, if there are any."""
    if folder.is_dir():
        (folder.parent / LIST).unlink(missing_ok=True)
        shutil.rmtree(folder)


@dataclass(frozen=True)
class _Placed:
    """A case on its grid, and its image (C x y z), which is cut to the brain."""

    case: str
    scans: dict[str, Scan]
    image: npt.NDArray[Any]
    grid: Grid
    box: tuple[slice, ...]

    def describe(self, scan: Scan) -> dict[str, Any]:
        """Tell where the voxels of the case lie, and where those of `scan` lay."""
        cut = self.grid.cut(self.box)
        return {
            "case": self.case,
            "affine": cut.affine.tolist(),
            "spacing_mm": cut.spacing_mm.tolist(),
            "crop_offset": [int(side.start) for side in self.box],
            "grid_shape": list(self.grid.shape),
            "original": {"shape": list(scan.voxels.shape), "affine": scan.affine.tolist()},
        }

    def is_moved(self, scan: Scan) -> bool:
        """Tell whether voxels of `scan` had to be interpolated."""
        return not grid_of(_shape(scan), scan.affine).is_same(self.grid)


def _place(inspection: Inspection, modalities: tuple[str, ...], settings: VoxelSettings) -> _Placed:
    scans = {name: inspection.scans[name] for name in modalities if name in inspection.scans}
    reference = next(iter(scans.values()))
    grid = choose_grid(_shape(reference), reference.affine, spacing_mm=settings.spacing_mm)
    volumes = [
        to_grid(as_smallest(scan.values), scan.affine, grid, LINEAR) for scan in scans.values()
    ]
    box = find_brain(volumes, margin=settings.margin)
    image = as_smallest(np.stack([np.ascontiguousarray(volume[box]) for volume in volumes]))
    return _Placed(inspection.case.name, scans, image, grid, box)


def _image_key(placed: _Placed, settings: VoxelSettings) -> str:
    described = {name: placed.describe(scan) for name, scan in placed.scans.items()}
    hashes = [scan.sha256 for scan in placed.scans.values()]
    return hash_of(IMAGE, asdict(settings), list(placed.scans), hashes, described)


def _write_image(path: Path, placed: _Placed, settings: VoxelSettings, key: str) -> None:
    names = list(placed.scans)
    normalisation = {
        name: measure(volume, settings.percentiles).as_dict()
        for name, volume in zip(names, placed.image, strict=True)
    }
    metadata = {
        "kind": "image",
        "key": key,
        **placed.describe(placed.scans[names[0]]),
        "modalities": names,
        "normalisation": normalisation,
        "resampled": [name for name, scan in placed.scans.items() if placed.is_moved(scan)],
        "sources": {name: scan.sha256 for name, scan in placed.scans.items()},
    }
    write_array(path, placed.image, metadata=metadata)


def _label_key(placed: _Placed, scan: Scan | None) -> str | None:
    """The label depends on where the brain lies, and on nothing else of the image."""
    return None if scan is None else hash_of(LABEL, scan.sha256, placed.describe(scan))


def _write_label(path: Path, placed: _Placed, scan: Scan, *, key: str | None) -> None:
    whole = to_grid(as_smallest(scan.values), scan.affine, placed.grid, NEAREST)
    label = np.ascontiguousarray(whole[placed.box])
    counts = count_values(label)
    metadata = {
        "kind": "label",
        "key": key,
        **placed.describe(scan),
        "resampled": placed.is_moved(scan),
        "source": scan.sha256,
        "counts": counts,
        "outside": int(np.count_nonzero(whole) - np.count_nonzero(label)),
    }
    write_array(path, label, metadata=metadata, tables={"locations": draw_locations(label, counts)})


def _shape(scan: Scan) -> tuple[int, int, int]:
    x, y, z = scan.voxels.shape
    return x, y, z
