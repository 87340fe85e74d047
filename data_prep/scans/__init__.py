"""Reads one scan of any kind; places, resamples, crops and normalises it.

scan = read_scan("t1.nii.gz")                              # a format each: `reading.FORMATS`
cut = prepare({"t1": scan}, spacing_mm=(1, 1, 1))          # one grid, cut to the brain
image = normalise(cut.volumes["t1"], measure(cut.volumes["t1"]))
stored = restore(image, scan, grid=cut.grid, box=cut.box)  # on the scan's own voxels again
"""

from data_prep.scans.grid import Grid
from data_prep.scans.normalisation import Normalisation, measure, normalise
from data_prep.scans.preparation import CutCase, prepare, restore
from data_prep.scans.reading import count_bytes, files_of, read_scan
from data_prep.scans.scan import Scan, ScanError

__all__ = [
    "CutCase",
    "Grid",
    "Normalisation",
    "Scan",
    "ScanError",
    "count_bytes",
    "files_of",
    "measure",
    "normalise",
    "prepare",
    "read_scan",
    "restore",
]
