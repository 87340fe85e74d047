"""One phantom to its files: NIfTI as BraTS 2019 has it, the same bytes on every run."""

import gzip
import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from data_prep.phantom.case import PhantomCase, make_volumes
from data_prep.phantom.layouts import SEG, PhantomLayout, convert_label

COMPRESSION = 1  # noise hardly compresses: level 6 takes four times as long for a few per cent
STALE_SECONDS = 600  # a case takes seconds: what lies longer was left by a killed run
PREFIX = ".partial-"


@dataclass(frozen=True)
class Destination:
    """Where phantoms go, in which layout, compressed (.nii.gz) or not (.nii)."""

    root: Path
    layout: PhantomLayout
    ending: str

    def files(self, case: PhantomCase) -> dict[Path, tuple[str, ...]]:
        """The files of a case, and which volumes each holds."""
        named = self.layout.files(case).items()
        return {self.root / (name + self.ending): kinds for name, kinds in named}


def write_case(case: PhantomCase, *, destination: Destination, staging: Path) -> None:
    """Write the files of the case, each whole or not at all."""
    if is_written(case, destination):  # by another run that shares the folder
        return
    volumes = make_volumes(case)
    volumes[SEG] = convert_label(volumes, destination.layout.scheme)
    for path, kinds in destination.files(case).items():
        stacked = np.stack([volumes[kind] for kind in kinds], axis=-1)
        voxels = stacked if len(kinds) > 1 else stacked[..., 0]
        write_file(path, _nifti_bytes(voxels, destination.ending), staging)


def is_written(case: PhantomCase, destination: Destination) -> bool:
    """Tell whether all files of the case are there."""
    return all(path.is_file() for path in destination.files(case))


def write_file(path: Path, content: bytes, staging: Path) -> None:
    """Write `content` in `staging`, then let it take its final name at once."""
    handle, temporary = tempfile.mkstemp(dir=staging)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    Path(temporary).replace(path)


@contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Yield a hidden folder in `root` for unfinished files; it goes, and with it stale ones."""
    for left_over in root.glob(PREFIX + "*"):
        if time.time() - left_over.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=root) as staging:
        yield Path(staging)


def _nifti_bytes(voxels: npt.NDArray[np.int16], ending: str) -> bytes:
    """Store with x to the left, y to the back, z up and 1 mm voxels; gzip without name or time."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[1, 3] = voxels.shape[1] - 1
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    content: bytes = image.to_bytes()
    return _gzip(content) if ending.endswith(".gz") else content


def _gzip(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", COMPRESSION, buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()
