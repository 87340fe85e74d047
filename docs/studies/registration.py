"""How near to the truth `--coregister` brings a sequence that was moved: a Markdown table.

python -m docs.studies.registration FOLDER [--size 240 240 155]
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from numpy.typing import NDArray
from scipy import ndimage

from data_prep import write_phantoms
from data_prep.checks import Inspection, inspect_case
from data_prep.layouts import find_dataset
from data_prep.registration.registration import find_movement, move
from data_prep.scans.scan import Scan

Matrix = NDArray[np.float64]
MOVEMENTS = ((0.0, (0.0, 0.0, 0.0)), (7.0, (4.0, -6.0, 5.0)), (-14.0, (15.0, 10.0, -12.0)))


def main() -> None:
    """Move each sequence, find it again, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="for the phantom")
    parser.add_argument("--size", type=int, nargs=3, default=(240, 240, 155))
    options = parser.parse_args()
    dataset = find_dataset(write_phantoms(options.folder, cases=1, size=tuple(options.size)))
    whole = inspect_case(dataset.cases[0], dataset=dataset)
    _row("sequence", "moved by", "farthest error at the tumour, mm", "CPU seconds")
    _row(*["---"] * 4)
    for degrees, moved_mm in MOVEMENTS:
        for name in ("t1", "t2", "flair"):
            error, seconds = measure(whole, name, degrees, moved_mm)
            told = f"{abs(degrees):g} degrees, {np.linalg.norm(moved_mm):.1f} mm"
            _row(name, told, f"{error:.2f}", f"{seconds:.1f}")


def measure(
    whole: Inspection, name: str, degrees: float, moved_mm: Sequence[float]
) -> tuple[float, float]:
    """Move one sequence, find it and bring it back; the largest error and the time."""
    fixed, label = whole.scans["t1ce"], whole.label
    if label is None:
        raise SystemExit("a phantom without a label")
    centre = apply_affine(fixed.affine, np.array(fixed.voxels.shape) / 2)
    truth = turn(degrees, moved_mm, centre)
    moving = displace(whole.scans[name], truth)
    began = time.process_time()
    found = find_movement(moving, fixed)
    move(moving, found, fixed)
    taken = time.process_time() - began
    tumour = apply_affine(fixed.affine, np.argwhere(label.values > 0))
    error = apply_affine(found.to_moving, tumour) - apply_affine(truth, tumour)
    return float(np.linalg.norm(error, axis=1).max()), taken


def turn(degrees: float, moved_mm: Sequence[float], centre: Matrix) -> Matrix:
    """Turn about the axis from foot to head, and move."""
    matrix = nibabel.eulerangles.euler2mat(z=np.radians(degrees))
    return np.asarray(from_matvec(matrix, centre + moved_mm - matrix @ centre))


def displace(scan: Scan, truth: Matrix) -> Scan:
    """The scan as it would be, had the head lain where `truth` takes it."""
    back = np.linalg.inv(scan.affine) @ np.linalg.inv(truth) @ scan.affine
    voxels = ndimage.affine_transform(scan.values.astype(np.float32), back, order=1)
    return Scan(np.asfortranarray(voxels.round().astype(np.int16)), scan.header, "moved")


def _row(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")


if __name__ == "__main__":
    main()
