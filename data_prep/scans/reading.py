"""Any scan by its name: here each format is listed, and no other file knows which there are."""

import os
from pathlib import Path

from data_prep.scans import nifti
from data_prep.scans.scan import Scan, ScanFormat

NIFTI: ScanFormat = nifti  # which also reads what has no name of a scan
FORMATS = (NIFTI,)
ENDINGS = tuple(ending for form in FORMATS for ending in form.ENDINGS)


def files_of(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Return the files that make a scan: itself, or the header and the voxels of a pair.

    >>> [file.name for file in files_of("case/t1.hdr")]
    ['t1.hdr', 't1.img']
    """
    return _format_of(Path(path)).files_of(Path(path))


def count_bytes(path: str | os.PathLike[str]) -> int:
    """Return what the voxels will take of the memory, by the header alone; 0 if it is broken."""
    return _format_of(Path(path)).count_bytes(Path(path))


def read_scan(path: str | os.PathLike[str]) -> Scan:
    """Read a scan once, to its last byte. Raise a ScanError at any fault.

    >>> read_scan("absent.nii.gz")
    Traceback (most recent call last):
    data_prep.scans.scan.ScanError: No such file or directory
    """
    return _format_of(Path(path)).read_scan(Path(path))


def _format_of(path: Path) -> ScanFormat:
    named = (form for form in FORMATS if path.name.lower().endswith(form.ENDINGS))
    return next(named, NIFTI)
