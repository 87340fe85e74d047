"""One scan as it is read from a file of any format: voxels, header, hash."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from data_prep.errors import DatasetError
from data_prep.rules import Rule
from data_prep.scans.grid import Grid, grid_of

MAX_VOXELS = 2**29  # in all channels; the decathlon's largest has 512 x 512 x 1026


class ScanError(DatasetError):
    """A file that cannot be read as a scan: the rule it breaks, and what was seen."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule


@dataclass(frozen=True, eq=False)
class Scan:
    """Voxels as they are stored (x, y, z and, in 4D, channel), header, and hash of the file."""

    voxels: npt.NDArray[Any]
    header: nibabel.Nifti1Header
    sha256: str
    plain_as_gzip: bool = False

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """From voxel indices to mm: sform, else qform, else the voxel size alone; NaN if broken."""
        if self.header["sform_code"] > 0:
            return np.asarray(self.header.get_sform(), dtype=np.float64)
        if self.header["qform_code"] > 0:
            return self.qform
        return np.asarray(self.header.get_base_affine(), dtype=np.float64)

    @property
    def qform(self) -> npt.NDArray[np.float64]:
        """From voxel indices to mm by the quaternion, which takes no sign of the voxel size."""
        header = self.header.copy()
        header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
        try:
            return np.asarray(header.get_qform(), dtype=np.float64)
        except (HeaderDataError, ValueError):
            return np.full((4, 4), np.nan)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis of a 3D scan, as they are stored."""
        x, y, z = self.voxels.shape
        return x, y, z

    @property
    def grid(self) -> Grid:
        """Where the voxels of a 3D scan lie once they are turned to right, front, top."""
        return grid_of(self.shape, self.affine)

    @cached_property
    def values(self) -> npt.NDArray[Any]:
        """Stored voxels, scaled where the header says so; in native byte order."""
        slope, intercept = self.header.get_slope_inter()
        native = self.voxels.astype(self.voxels.dtype.newbyteorder("="), copy=False)
        if slope is None or (slope == 1 and intercept == 0):
            return native
        return (native * np.float64(slope) + np.float64(intercept)).astype(np.float32)

    def take_channel(self, channel: int) -> "Scan":
        """One volume of a 4D scan, under the same header and hash."""
        return replace(self, voxels=self.voxels[..., channel])


class ScanFormat(Protocol):
    """What the module of a format has; `reading.FORMATS` lists those modules.

    Layouts find files by their `ENDINGS`. What can be wrong with a file is a ScanError.
    """

    ENDINGS: tuple[str, ...]

    def files_of(self, scan: Path) -> tuple[Path, ...]:
        """Return the files that make a scan."""

    def count_bytes(self, path: Path) -> int:
        """Return what the voxels will take of the memory, by the header alone; 0 if broken."""

    def read_scan(self, path: Path) -> Scan:
        """Read it to its last byte."""
