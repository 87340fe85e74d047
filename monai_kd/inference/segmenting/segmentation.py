"""One case to one mask: on the reference scan's own voxels, and written as they are stored."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import scipy
from isal import igzip_lib
from numpy.typing import NDArray

from data_prep.checks import Inspection
from data_prep.errors import DatasetError
from data_prep.files import write_bytes
from data_prep.scans.grid import Grid
from data_prep.scans.scan import Scan
from data_prep.schemes import LabelScheme, translate_labels
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.preparation import Prepared, prepare_image
from monai_kd.inference.segmenting.restoration import restore_chances, restore_label
from monai_kd.inference.segmenting.windows import infer
from monai_kd.inference.student import Student

Floats = NDArray[np.float32]
Masks = NDArray[np.bool_]
Labels = NDArray[np.uint8]
SCANS_BYTES = 72 * 2**20  # of four of 240x240x155, as the base of a window's memory holds them
_LINE_ENDS = (13, 10, 26, 10)  # by which NIfTI-2 tells a file that was copied as text
FORM_CODES, ALIGNED = range(6), 2  # of NIfTI
COMPRESSION = 1  # of isal's 0 to 3: a mask is mostly 0, and higher levels gain next to nothing


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A mask as the reference scan is stored, and its regions on the network's own grid.

    `label` has the values of `scheme`. `regions`, `logits`, and `probabilities` where they were
    asked for, lie on `grid`: right, front, top, cut to the brain. The runtime may overwrite the
    logits when it runs again. `seconds` are those of each stage.
    """

    label: Labels
    reference: Scan
    regions: Mapping[str, Masks]
    logits: Mapping[str, Floats]
    probabilities: Mapping[str, Floats] | None
    prepared: Prepared
    grid: Grid
    window: tuple[int, int, int]
    windows: int
    runtime: str
    seconds: dict[str, float]
    scheme: LabelScheme


def prepare(
    inspection: Inspection, student: Student, runtime: Runtime, *, most_bytes: int
) -> Prepared:
    """Bring the sequences that `student` takes to the image that it reads in `runtime`."""
    names = student.among(inspection.scans)
    if not names:
        wanted = ", ".join(student.modalities)
        raise DatasetError(f"{inspection.case.name} has no sequence that can be used of {wanted}")
    return prepare_image(
        {name: inspection.scans[name] for name in names},
        modalities=student.modalities,
        spacing_mm=student.spacing_mm,
        divisor=student.divisor,
        threads=runtime.threads,
        most_bytes=most_bytes,
        make_room=runtime.release,
    )


def segment(
    inspection: Inspection,
    student: Student,
    runtime: Runtime,
    *,
    most_bytes: int,
    prepared: Prepared | None = None,
    keep_probabilities: bool = False,
) -> Segmentation:
    """Segment a case that was read and checked; its first sequence is the reference.

    Where it was not `prepared`, it is now.
    """
    if prepared is None:
        prepared = prepare(inspection, student, runtime, most_bytes=most_bytes)
    watch = _Watch()
    spare = most_bytes - count_excess(inspection.scans.values())
    found = infer(runtime, prepared.image, divisor=student.divisor, most_bytes=spare)
    watch.note("infer")
    logits = found.logits[:, *prepared.inner]
    if not np.isfinite(logits.sum(dtype=np.float64)):  # else it would end as a mask without tumour
        raise DatasetError(
            "the student's answer is not finite: its weights are broken, or the scan's values are "
            "far beyond what a float can hold; export the scan again, or pack the bundle again"
        )
    regions = dict(zip(student.regions, logits > 0, strict=True))
    chances = None
    if keep_probabilities:
        chances = dict(zip(student.regions, scipy.special.expit(logits), strict=True))
    reference = inspection.scans[student.among(inspection.scans)[0]]
    label = restore_label(prepared, logits, regions, reference=reference, scheme=student.scheme)
    watch.note("restore")
    return Segmentation(
        label=label,
        reference=reference,
        regions=regions,
        logits=dict(zip(student.regions, logits, strict=True)),
        probabilities=chances,
        prepared=replace(prepared, image=np.empty((0, 0, 0, 0), np.float32)),
        grid=prepared.grid.cut(prepared.box),
        window=found.window,
        windows=found.windows,
        runtime=runtime.name,
        seconds=watch.seconds,
        scheme=student.scheme,
    )


def count_excess(scans: Iterable[Scan]) -> int:
    """Return by how much this case, and another that is read meanwhile, exceed usual ones."""
    held = sum(scan.voxels.nbytes for scan in scans)
    return 2 * max(0, held - SCANS_BYTES)


def write_label(segmentation: Segmentation, path: Path, scheme: LabelScheme) -> None:
    """Write the mask as `.nii.gz` in the values of `scheme`: whole under its name, or not at all.

    The header is the reference scan's, affine and codes of both forms included; the description
    names the scheme, and fields that may name the patient are blank.
    """
    voxels = segmentation.label.tobytes(order="F")
    values = translate_labels(segmentation.scheme, scheme)
    if any(value != stands for value, stands in values.items()):
        table = bytearray(range(256))
        for value, stands in values.items():
            table[value] = stands
        voxels = voxels.translate(bytes(table))
    _write(voxels, segmentation, str(scheme), path)


def write_uncertainty(
    segmentation: Segmentation, chances: Mapping[str, Floats], path: Path
) -> None:
    """Write how undecided the student is, from 0 to 100, on the voxels of the mask.

    `chances` lie where the regions do. 100 is a region of which both answers are as likely.
    """
    doubt = np.max([1 - np.abs(2 * chance - 1) for chance in chances.values()], axis=0)
    stored = restore_chances(doubt, segmentation.prepared, segmentation.reference)
    percent = np.round(stored * 100).astype(np.uint8)
    _write(percent.tobytes(order="F"), segmentation, "uncertainty, 0 to 100 per cent", path)


def write_probabilities(segmentation: Segmentation, path_of: Callable[[str], Path]) -> None:
    """Write one file per region, in the student's own voxels, which any viewer can lay over."""
    for region, chances in (segmentation.probabilities or {}).items():
        image = nibabel.Nifti1Image(np.asarray(chances, np.float32), segmentation.grid.affine)
        image.header.set_xyzt_units("mm")
        _compress(image.to_bytes(), path_of(region))


def _write(voxels: bytes, segmentation: Segmentation, described: str, path: Path) -> None:
    header = _write_header(segmentation.reference, segmentation.label.shape, described)
    _compress(header + voxels, path)


def _compress(content: bytes, path: Path) -> None:
    write_bytes(path, igzip_lib.compress(content, COMPRESSION, igzip_lib.COMP_GZIP))


class _Watch:
    """Seconds since the last stage has ended."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def note(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now


def _write_header(reference: Scan, shape: tuple[int, ...], described: str) -> bytes:
    header = reference.header.copy()
    header.set_data_shape(shape)
    header.set_data_dtype(np.uint8)
    header["magic"] = header.single_magic  # we read past a wrong end of it, others do not
    if "eol_check" in header:
        header["eol_check"] = _LINE_ENDS
    _mend_forms(header)
    header["vox_offset"] = header.sizeof_hdr + 4  # four zero bytes: no extension follows
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["cal_min"], header["cal_max"] = 0, 0
    header["descrip"] = f"monai_kd {described}".encode()[:79]
    for field in ("aux_file", "db_name", "intent_name"):
        if field in header:
            header[field] = b""
    return bytes(header.binaryblock) + bytes(4)


def _mend_forms(header: nibabel.Nifti1Header) -> None:
    """Replace codes that do not exist: others would take the voxels for somewhere else."""
    for name in ("qform_code", "sform_code"):
        code = int(header[name])
        header[name] = code if code in FORM_CODES else ALIGNED if code > 0 else 0
