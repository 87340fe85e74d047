"""A label back to where the scans came from: as DICOM segmentation, over its source images."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.brats.looks import ABNORMAL, ORGAN, choose_look
from data_prep.dicom.files import printable
from data_prep.dicom.series import Series
from data_prep.errors import DatasetError, load_extra
from data_prep.files import write_bytes
from data_prep.schemes import LabelScheme

NOTICE = "Research use only; not a medical device"
_CONTENT_LABEL = "RESEARCH_ONLY"  # 16 capitals at most
_SERIES_NUMBER = 9000  # beyond those of scanners
_LONGEST = 64  # characters of a DICOM long string
_MAKER = "monai_kd"


@dataclass(frozen=True)
class Algorithm:
    """The bundle that made a segmentation: its name, version and hash."""

    name: str
    version: str
    sha256: str


# Of labels without a code of their own: any tissue, drawn in one colour after the other.
TISSUE = ("85756007", "SCT", "Tissue")
COLOURS = ((255, 0, 0), (0, 255, 0), (255, 255, 0), (0, 255, 255), (255, 0, 255))


def write_dicom_segmentation(
    label: npt.NDArray[Any],
    series: Series,
    path: Path,
    *,
    scheme: LabelScheme,
    algorithm: Algorithm,
) -> None:
    """Write `label`, on the grid of `series` (x, y, z as its scan has them), to `path`.

    Each label of `scheme` becomes a segment, in the order of the values, be it empty or not.
    """
    if label.shape != series.stack.shape:
        shapes = f"label of shape {label.shape}, expected {series.stack.shape}"
        raise DatasetError(f"{path.name}: {shapes} as {series} has")
    values = sorted(scheme.labels)
    stray = sorted(set(np.unique(label).tolist()) - {0, *values})
    if stray:
        raise DatasetError(f"{path.name}: label values {stray} are not in {scheme}")
    segments = np.stack([label == value for value in values], axis=-1)
    names = [scheme.labels[value] for value in values]
    content = io.BytesIO()
    try:
        with warnings.catch_warnings(action="ignore"):  # an empty label is no mistake here
            _build(segments, series, names, algorithm).save_as(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = printable(error).split(". ")[0]
        raise DatasetError(
            f"{series}: its headers do not do for a segmentation ({reason}) - use the NIfTI label"
        ) from error
    write_bytes(path, content.getvalue())


def _build(
    segments: npt.NDArray[np.bool_],
    series: Series,
    names: list[str],
    algorithm: Algorithm,
) -> Any:
    highdicom = load_extra("highdicom")
    described = [_describe(number, name, algorithm) for number, name in enumerate(names, start=1)]
    sources, frames = _in_source_order(segments, series)
    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=frames,
        segmentation_type="BINARY",
        segment_descriptions=described,
        series_instance_uid=highdicom.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=_MAKER,
        manufacturer_model_name=algorithm.name[:_LONGEST],
        software_versions=algorithm.version[:_LONGEST],
        device_serial_number=algorithm.sha256[:_LONGEST],
        content_label=_CONTENT_LABEL,
        content_description=NOTICE,
        content_creator_name=_MAKER,
        series_description=f"Segmentation. {NOTICE}",
    )


def _describe(number: int, name: str, algorithm: Algorithm) -> Any:
    highdicom, codes = load_extra("highdicom"), load_extra("pydicom.sr.coding")
    look = choose_look(name)
    category, kind, places = TISSUE, TISSUE, None
    if look is not None:
        if look.code is None:
            raise DatasetError(f"no DICOM code for the label {name!r} - use the NIfTI label")
        category, kind, places = ABNORMAL, look.code, [codes.Code(*ORGAN)]
    colour = look.rgb if look else COLOURS[(number - 1) % len(COLOURS)]
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:_LONGEST],
        segmented_property_category=codes.Code(*category),
        segmented_property_type=codes.Code(*kind),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=algorithm.name[:_LONGEST],
            version=algorithm.version[:_LONGEST],
            family=codes.Code("123109", "DCM", "Artificial Intelligence"),
        ),
        anatomic_regions=places,
        display_color=highdicom.color.CIELabColor.from_rgb(*colour),
    )


def _in_source_order(
    segments: npt.NDArray[np.bool_], series: Series
) -> tuple[list[Any], npt.NDArray[np.uint8]]:
    """Bring x, y, z, segment to slice, row, column, segment, slices as the source images have."""
    stack = series.stack
    if stack.images[0].has_frames and len(stack.images) > 1:
        raise DatasetError(f"{series}: several multi-frame files - use the NIfTI label")
    frames = segments.transpose(2, 1, 0, 3).astype(np.uint8)
    order = np.argsort([frame.index for frame in stack.frames], kind="stable")
    return [image.header for image in stack.images], frames[order]
