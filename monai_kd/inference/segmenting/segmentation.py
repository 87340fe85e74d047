"""One case to one mask: on the reference scan's own voxels, and written as they are stored."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
from isal import igzip_lib

from data_prep.brats.labels import translate_labels
from data_prep.errors import DatasetError
from data_prep.files import write_bytes
from data_prep.scans import Scan, restore
from data_prep.scans.grid import Grid
from data_prep.schemes import LabelScheme
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.answer import (
    Floats,
    Labels,
    Masks,
    find_masks,
    find_probabilities,
)
from monai_kd.inference.segmenting.preparation import Prepared, prepare_image
from monai_kd.inference.segmenting.restoration import restore_label
from monai_kd.inference.segmenting.windows import infer
from monai_kd.inference.stopwatch import Stopwatch
from monai_kd.inference.student import Student
from monai_kd.outputs import Task

SCANS_BYTES = 72 * 2**20  # of four of 240x240x155, as the base of a window's memory holds them
_LINE_ENDS = (13, 10, 26, 10)  # by which NIfTI-2 knows a file that was copied as text
FORM_CODES, ALIGNED = range(6), 2  # of NIfTI
COMPRESSION = 1  # of isal's 0 to 3: a mask is mostly 0, and higher levels gain next to nothing


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A mask as the reference scan is stored, and the network's answer on its own grid.

    `label` has the values of `scheme`. `masks`, `logits` (K X Y Z), and `probabilities` where they
    were asked for, lie on `grid`: right, front, top, cut to what is not 0. The runtime may
    overwrite the logits when it runs again. `seconds` are those of each stage.
    """

    label: Labels
    reference: Scan
    task: Task
    masks: Mapping[str, Masks]
    logits: Floats
    probabilities: Mapping[str, Floats] | None
    prepared: Prepared
    grid: Grid
    window: tuple[int, int, int]
    windows: int
    runtime: str
    seconds: dict[str, float]
    scheme: LabelScheme

    def measure_confidence(self, output: str, box: tuple[slice, ...], inside: Masks) -> float:
        """Return the mean probability of an output in a part of a box of its grid."""
        place = list(self.task.outputs).index(output)
        if self.task.kind == "regions":
            return float(find_probabilities(self.task, self.logits[place][box][inside]).mean())
        return float(find_probabilities(self.task, self.logits[:, *box][:, inside])[place].mean())


def prepare(
    scans: Mapping[str, Scan], student: Student, runtime: Runtime, *, most_bytes: int
) -> Prepared:
    """Bring the scans that `student` takes to the image that it reads in `runtime`."""
    return prepare_image(
        scans,
        modalities=student.channels,
        spacing_mm=student.spacing_mm,
        divisor=student.divisor,
        window=student.fixed_window,
        threads=runtime.threads,
        most_bytes=most_bytes,
        make_room=runtime.release,
    )


def segment(
    prepared: Prepared,
    reference: Scan,
    *,
    student: Student,
    runtime: Runtime,
    most_bytes: int,
    keep_probabilities: bool = False,
) -> Segmentation:
    """Segment what was prepared; the mask lies on the voxels of the `reference`."""
    watch, task = Stopwatch(), student.task
    found = infer(
        runtime,
        prepared.image,
        divisor=student.divisor,
        most_bytes=most_bytes,
        fixed=prepared.window,
    )
    watch.note("infer")
    logits = found.logits[:, *prepared.inner]
    if not np.isfinite(logits.sum(dtype=np.float64)):  # else it would end as an empty mask
        raise DatasetError(
            "the student's answer is not finite: its weights are broken, or the scan's values are "
            "far beyond what a float can hold; export the scan again, or pack the bundle again"
        )
    masks = find_masks(task, logits)
    probabilities = None
    if keep_probabilities:
        every = dict(zip(task.outputs, find_probabilities(task, logits), strict=True))
        probabilities = {name: every[name] for name in masks}
    label = restore_label(prepared, logits, masks, reference=reference, task=task)
    watch.note("restore")
    return Segmentation(
        label=label,
        reference=reference,
        task=task,
        masks=masks,
        logits=logits,
        probabilities=probabilities,
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
    segmentation: Segmentation, probabilities: Mapping[str, Floats], path: Path
) -> None:
    """Write how undecided the student is, from 0 to 100, on the voxels of the mask.

    `probabilities` lie where the masks do. 100 is an output of which both answers are as likely.
    """
    doubt = np.max([1 - np.abs(2 * one - 1) for one in probabilities.values()], axis=0)
    own = segmentation.prepared
    stored = restore(doubt, segmentation.reference, grid=own.grid, box=own.box)
    percent = np.round(stored * 100).astype(np.uint8)
    _write(percent.tobytes(order="F"), segmentation, "uncertainty, 0 to 100 per cent", path)


def write_probabilities(segmentation: Segmentation, path_of: Callable[[str], Path]) -> None:
    """Write one file per output, in the student's own voxels, which any viewer can lay over."""
    for output, values in (segmentation.probabilities or {}).items():
        image = nibabel.Nifti1Image(np.asarray(values, np.float32), segmentation.grid.affine)
        image.header.set_xyzt_units("mm")
        _compress(image.to_bytes(), path_of(output))


def _write(voxels: bytes, segmentation: Segmentation, described: str, path: Path) -> None:
    header = _write_header(segmentation.reference, segmentation.label.shape, described)
    _compress(header + voxels, path)


def _compress(content: bytes, path: Path) -> None:
    write_bytes(path, igzip_lib.compress(content, COMPRESSION, igzip_lib.COMP_GZIP))


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
