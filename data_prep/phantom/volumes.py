"""One phantom to its case folder: NIfTI as BraTS 2019 has it, the same bytes on every run."""

import gzip
import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from data_prep.brats import MODALITIES
from data_prep.phantom.case import PhantomCase, make_volumes

COMPRESSION = 1  # noise hardly compresses: level 6 takes four times as long for a few per cent
STALE_SECONDS = 600  # a case takes seconds: what lies longer was left by a killed run
PREFIX = ".partial-"


def write_case(case: PhantomCase, *, root: Path, staging: Path) -> None:
    """Write the case's five files in `staging`, then let the folder take its final name at once."""
    if is_written(root, case):  # by another run that shares the folder
        return
    partial = staging / case.name
    partial.mkdir()
    for kind, voxels in make_volumes(case).items():
        (partial / _file_name(case, kind)).write_bytes(_nifti_bytes(voxels))
    if not is_written(root, case):
        folder = _case_folder(root, case)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(folder)


def is_written(root: Path, case: PhantomCase) -> bool:
    """Tell whether all files of the case are there."""
    folder = _case_folder(root, case)
    return all((folder / _file_name(case, kind)).is_file() for kind in (*MODALITIES, "seg"))


@contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Yield a hidden folder in `root` for unfinished cases; it goes, and with it stale ones."""
    for left_over in root.glob(PREFIX + "*"):
        if time.time() - left_over.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=root) as staging:
        yield Path(staging)


def _case_folder(root: Path, case: PhantomCase) -> Path:
    return root / case.grade / case.name


def _file_name(case: PhantomCase, kind: str) -> str:
    return f"{case.name}_{kind}.nii.gz"


def _nifti_bytes(voxels: npt.NDArray[np.int16]) -> bytes:
    """Store with x to the left, y to the back, z up and 1 mm voxels; gzip without name or time."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[1, 3] = voxels.shape[1] - 1
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    return _gzip(image.to_bytes())


def _gzip(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", COMPRESSION, buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()
