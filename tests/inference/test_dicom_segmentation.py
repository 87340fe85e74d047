import re
import sys

import highdicom
import numpy as np
import pytest
from pydicom import dcmread

from data_prep.brats.labels import BRATS2021, BRATS2023, BRATS2024, MSD
from data_prep.dicom.series import read_dicom_case
from data_prep.errors import DatasetError
from data_prep.scans.grid import turn_to_ras
from monai_kd.inference.results.dicom_segmentation import (
    NOTICE,
    Algorithm,
    write_dicom_segmentation,
)
from tests.damage.dicom_series import HEADERS, SHAPE, Writer, make_affine

ALGORITHM = Algorithm("BraTS MRI EfficientNet student", "0.1.0", "ab" * 32)
CODES = {
    "necrotic core": ("SCT", "6574001"),
    "non-enhancing tumour": ("NCIt", "C81175"),
    "oedema": ("SCT", "79654002"),
    "enhancing tumour": ("NCIt", "C113842"),
}


@pytest.fixture
def label():
    """A mask that no flip or swap of axes leaves as it is, with labels that touch."""
    label = np.zeros(SHAPE, np.uint8)
    label[4:9, 3:17, 2:7] = 2
    label[5:8, 4:9, 3:5] = 1
    label[13:22, 16:19, 11] = 3
    return label


def write_series(folder, *, plane="axial", degrees=0, order=None):
    writer = Writer(folder, plane=plane, affine=make_affine(degrees))
    volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    if order is None:
        writer.write(volume, **HEADERS["t1ce"])
    else:
        writer.write_frames(volume, order, **HEADERS["t1ce"])
    return read_dicom_case(folder).series["t1ce"]


def write(label, series, path, scheme=BRATS2023):
    write_dicom_segmentation(label, series, path, scheme=scheme, algorithm=ALGORITHM)
    return highdicom.seg.segread(path)


def as_stored(label, series, degrees):
    """Bring a label that lies as the phantom does to the axes of the series' scan."""
    scan = series.read()
    stored = np.zeros(scan.voxels.shape, label.dtype)
    turn_to_ras(stored, scan.affine)[...] = turn_to_ras(label, make_affine(degrees))
    return stored, scan.affine


def read_back(segmentation, shape, affine):
    """Labels and affine as NIfTI has them, on the grid of `affine`: empty slices are not kept."""
    volume = segmentation.get_volume(combine_segments=True)
    own = np.diag([-1, -1, 1, 1]) @ volume.affine
    indices = np.argwhere(volume.array)
    places = np.linalg.inv(affine) @ own @ np.column_stack([indices, np.ones(len(indices))]).T
    label = np.zeros(shape, np.uint8)
    label[tuple(np.rint(places[:3]).astype(int))] = volume.array[tuple(indices.T)]
    return label, own, np.abs(places[:3] - np.rint(places[:3])).max()


@pytest.mark.parametrize("degrees", [0, 14])
@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal"])
def test_labels_come_back_to_their_voxels(tmp_path, label, plane, degrees):
    series = write_series(tmp_path, plane=plane, degrees=degrees)
    stored, affine = as_stored(label, series, degrees)
    segmentation = write(stored, series, tmp_path / "seg.dcm")
    back, own, off_grid = read_back(segmentation, stored.shape, affine)
    np.testing.assert_array_equal(back, stored)
    np.testing.assert_allclose(
        np.sort(np.abs(own[:3, :3])), np.sort(np.abs(affine[:3, :3])), 0, 1e-3
    )
    assert off_grid < 1e-3


def test_frames_in_any_order_take_their_own_slices(tmp_path, label):
    series = write_series(tmp_path, order=np.random.default_rng(2).permutation(SHAPE[2]))
    segmentation = write(label, series, tmp_path / "seg.dcm")
    back, _, _ = read_back(segmentation, SHAPE, series.stack.affine)
    np.testing.assert_array_equal(back, label)


@pytest.mark.parametrize("scheme", [BRATS2021, BRATS2023, MSD])
def test_segments_bear_the_names_and_codes_of_their_labels(tmp_path, label, scheme):
    values = dict(zip((0, 1, 2, 3), (0, *scheme.labels), strict=True))
    renamed = np.vectorize(values.get)(label).astype(np.uint8)
    segmentation = write(renamed, write_series(tmp_path), tmp_path / "seg.dcm", scheme)
    described = {s.segment_label: s for s in map(segmentation.get_segment_description, (1, 2, 3))}
    assert list(described) == list(scheme.labels.values())
    for name, segment in described.items():
        code = segment.segmented_property_type
        assert (code.scheme_designator, code.value) == CODES[name]
        assert segment.RecommendedDisplayCIELabValue


def test_it_says_what_made_it_and_what_it_is_not_for(tmp_path, label):
    write(label, write_series(tmp_path), tmp_path / "seg.dcm")
    one = dcmread(tmp_path / "seg.dcm")
    maker = one.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (maker.AlgorithmName, maker.AlgorithmVersion) == (ALGORITHM.name, ALGORITHM.version)
    assert one.ContentDescription == NOTICE
    assert one.SegmentationType == "BINARY"
    assert one.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"


def test_it_refers_to_its_sources_and_shares_their_space(tmp_path, label):
    series = write_series(tmp_path)
    write(label, series, tmp_path / "seg.dcm")
    one, source = dcmread(tmp_path / "seg.dcm"), series.images[0].header
    [referenced] = one.ReferencedSeriesSequence
    known = {image.header.SOPInstanceUID for image in series.images}
    assert {
        item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence
    } == known
    for keyword in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientID", "PatientName"):
        assert one[keyword].value == source[keyword].value
    assert one.SeriesInstanceUID != source.SeriesInstanceUID


def test_without_tumour_a_whole_file_of_no_voxels_is_written(tmp_path):
    series = write_series(tmp_path)
    segmentation = write(np.zeros(SHAPE, np.uint8), series, tmp_path / "seg.dcm")
    assert segmentation.number_of_segments == 3
    assert not segmentation.get_volume(combine_segments=True).array.any()


@pytest.mark.parametrize(
    ("spoil", "scheme", "told"),
    [
        (lambda label: label[1:], BRATS2023, "expected (24, 20, 16)"),
        (lambda label: label + 1, BRATS2023, "label values [4] are not in brats2023"),
        (lambda label: label, BRATS2024, "no DICOM code for the label 'resection cavity'"),
    ],
)
def test_a_label_that_does_not_fit_is_refused_and_nothing_written(
    tmp_path, label, spoil, scheme, told
):
    series = write_series(tmp_path / "case")
    with pytest.raises(DatasetError, match=re.escape(told)):
        write(spoil(label), series, tmp_path / "seg.dcm", scheme)
    assert [entry.name for entry in tmp_path.iterdir()] == ["case"]


def test_sources_without_a_frame_of_reference_are_refused_in_one_line(tmp_path, label):
    series = write_series(tmp_path)
    for image in series.images:
        del image.header.FrameOfReferenceUID
    with pytest.raises(DatasetError, match=r"do not do for a segmentation \(.*\) - use the NIfTI"):
        write(label, series, tmp_path / "seg.dcm")


def test_without_highdicom_one_line_says_what_to_install(tmp_path, label, monkeypatch):
    series = write_series(tmp_path)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(DatasetError, match=r"DICOM needs highdicom: pip install"):
        write(label, series, tmp_path / "seg.dcm")
