"""The mask lies on the scan's own voxels, and is the one that the bundle itself makes."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from data_prep.brats.labels import BRATS2021, BRATS2023, MSD
from data_prep.brats.sequences import SEQUENCES
from data_prep.checks import Inspection
from data_prep.errors import DatasetError
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.segmentation import Segmentation, write_label
from monai_kd.inference.student import Student, read_student
from tests.acceptance.storage import measure_dice
from tests.inference.bundled import segment_in_monai
from tests.inference.segmented import segment_case

TURN = np.array([[0.96, -0.28, 0, 0], [0.28, 0.96, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
Inspect = Callable[[Path], Inspection]
Images = dict[str, nibabel.Nifti1Image]
Segment = Callable[[Images], Segmentation]


@pytest.fixture(scope="module")
def runtime(student: Student) -> Runtime:
    return open_runtime(student, threads=1)


@pytest.fixture(scope="module")
def straight(inspection: Inspection, student: Student, runtime: Runtime) -> Segmentation:
    return segment_case(inspection, student, runtime)


@pytest.fixture(scope="module")
def images(inspection: Inspection) -> Images:
    return {name: nibabel.load(inspection.case.images[name].path) for name in SEQUENCES}


@pytest.fixture
def segment(inspect: Inspect, student: Student, runtime: Runtime, tmp_path: Path) -> Segment:
    """Segment scans as they are stored."""

    def segment(images: Images) -> Segmentation:
        for name, image in images.items():
            nibabel.save(image, tmp_path / f"{name}.nii.gz")
        return segment_case(inspect(tmp_path), student, runtime)

    return segment


AFFINES = {
    "as it is": np.diag([-1.0, -1.0, 1.0, 1.0]),
    "oblique": TURN,
    "anisotropic": np.diag([0.9, 1.2, 1.1, 1.0]),
    "oblique and anisotropic": TURN @ np.diag([-1.1, 0.8, 1.25, 1.0]),
    "sagittal": np.eye(4)[[1, 2, 0, 3]] * [1, -1, -1, 1],
    "coronal": np.eye(4)[[0, 2, 1, 3]] * [-1, 1, -1, 1],
}


@pytest.mark.parametrize("name", AFFINES)
def test_mask_is_the_one_that_the_bundle_makes(
    name: str, images: Images, segment: Segment, student: Student, tmp_path: Path
) -> None:
    affine = AFFINES[name]
    placed = {n: nibabel.Nifti1Image(i.dataobj, affine, i.header) for n, i in images.items()}
    own = segment(placed)
    window = [-(-(s.stop - s.start) // 4) * 4 for s in own.prepared.box]
    paths = [str(tmp_path / f"{modality}.nii.gz") for modality in SEQUENCES]
    theirs = segment_in_monai(paths, student, window, tmp_path / "out")
    assert own.label.shape == theirs.shape
    assert (own.label != theirs).sum() <= 1e-4 * theirs.size
    assert set(np.unique(own.label)) == {0, 1, 2, 3}


def test_a_bundle_without_weights_stops_and_writes_nothing(
    inspection: Inspection, own_bundle: Path, tmp_path: Path
) -> None:
    student = read_student(own_bundle)
    student.checkpoint.unlink()
    paths = [str(inspection.case.images[name].path) for name in SEQUENCES]
    with pytest.raises(RuntimeError) as stop:
        segment_in_monai(paths, student, [16, 16, 16], tmp_path / "out")
    assert isinstance(stop.value.__cause__, FileNotFoundError)
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_storage_makes_no_difference(
    axes: tuple[int, ...], images: Images, segment: Segment, straight: Segmentation
) -> None:
    canonical = nibabel.Nifti1Image(straight.label, straight.reference.affine)
    for signs in product((1, -1), repeat=3):
        turn = np.array([axes, signs]).T
        turned = segment({name: image.as_reoriented(turn) for name, image in images.items()})
        np.testing.assert_array_equal(turned.label, canonical.as_reoriented(turn).dataobj)


def test_each_file_may_be_stored_in_its_own_way(
    images: Images, segment: Segment, straight: Segmentation
) -> None:
    turned = images["t2"].as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    np.testing.assert_array_equal(segment(images | {"t2": turned}).label, straight.label)


def test_sequence_of_its_own_spacing_is_resampled(
    images: Images, segment: Segment, straight: Segmentation
) -> None:
    fine = np.repeat(np.asarray(images["t2"].dataobj), 2, axis=2)
    affine = images["t2"].affine @ np.diag([1, 1, 0.5, 1])
    affine[:3, 3] -= images["t2"].affine[:3, 2] / 4
    mixed = segment(images | {"t2": nibabel.Nifti1Image(fine, affine)})
    assert measure_dice(mixed.label, straight.label) > 0.9


def test_regions_lie_on_their_grid(straight: Segmentation) -> None:
    assert all(region.shape == straight.grid.shape for region in straight.masks.values())
    voxels = np.argwhere(straight.masks["WT"])[[0, -1]]
    places = nibabel.affines.apply_affine(straight.grid.affine, voxels)
    back = np.linalg.inv(straight.reference.affine)
    indices = nibabel.affines.apply_affine(back, places).round().astype(int)
    assert all(straight.label[tuple(index)] for index in indices)


def test_probabilities_are_kept_if_asked_for_and_agree(
    inspection: Inspection, student: Student, runtime: Runtime, straight: Segmentation
) -> None:
    found = segment_case(inspection, student, runtime, keep_probabilities=True)
    assert straight.probabilities is None
    assert found.probabilities is not None
    for name, region in found.masks.items():
        chance = found.probabilities[name]
        clear = np.abs(chance - 0.5) > 1e-6
        np.testing.assert_array_equal(chance[clear] > 0.5, region[clear])


@pytest.mark.parametrize(
    ("header", "field", "value"),
    [
        (nibabel.Nifti1Header(), "magic", b"n+1@"),
        (nibabel.Nifti2Header(), "magic", b"n+2@"),
        (nibabel.Nifti2Header(), "eol_check", (13, -53, 26, 10)),
    ],
)
def test_a_mark_that_others_refuse_is_not_passed_on_to_the_mask(
    straight: Segmentation, tmp_path: Path, header: Any, field: str, value: Any
) -> None:
    header[field] = value
    spoilt = replace(straight, reference=replace(straight.reference, header=header))
    write_label(spoilt, tmp_path / "a_seg.nii.gz", BRATS2023)
    assert np.array_equal(nibabel.load(tmp_path / "a_seg.nii.gz").dataobj, straight.label)


def test_written_mask_keeps_the_header_and_blanks_names(
    straight: Segmentation, tmp_path: Path
) -> None:
    header = straight.reference.header
    header["qform_code"], header["sform_code"], header["db_name"] = 2, 4, b"J. Doe"
    write_label(straight, tmp_path / "a_seg.nii.gz", BRATS2023)
    written = nibabel.load(tmp_path / "a_seg.nii.gz")
    for field in ("qform_code", "sform_code", "pixdim", "srow_x", "quatern_b", "xyzt_units"):
        np.testing.assert_array_equal(written.header[field], header[field])
    assert written.header["descrip"].item().startswith(b"monai_kd brats2023 (1 necrotic core")
    assert written.header["db_name"].item() == b""
    assert written.header.get_data_dtype() == np.uint8
    assert written.header.get_slope_inter() in ((1.0, 0.0), (None, None))
    np.testing.assert_array_equal(written.dataobj, straight.label)


@pytest.mark.parametrize(("code", "written"), [(127, 2), (-1, 0), (5, 5), (0, 0)])
def test_codes_that_do_not_exist_are_not_written(
    straight: Segmentation, tmp_path: Path, code: int, written: int
) -> None:
    header = straight.reference.header.copy()
    header["qform_code"], header["sform_code"] = code, code
    scan = replace(straight.reference, header=header)
    write_label(replace(straight, reference=scan), tmp_path / "a_seg.nii.gz", BRATS2023)
    found = nibabel.load(tmp_path / "a_seg.nii.gz").header
    assert (found["qform_code"], found["sform_code"]) == (written, written)


@pytest.mark.parametrize(("scheme", "values"), [(BRATS2021, (1, 2, 4)), (MSD, (2, 1, 3))])
def test_values_are_those_of_the_scheme(
    straight: Segmentation, scheme: Any, values: tuple[int, ...], tmp_path: Path
) -> None:
    write_label(straight, tmp_path / "a.nii.gz", scheme)
    written = np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj)
    for own, stands in zip((1, 2, 3), values, strict=True):
        np.testing.assert_array_equal(written == stands, straight.label == own)


def test_same_mask_is_the_same_bytes(straight: Segmentation, tmp_path: Path) -> None:
    paths = [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
    for path in paths:
        write_label(straight, path, BRATS2023)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len(gzip.decompress(paths[0].read_bytes())) == 352 + straight.label.size


def test_nifti_2_stays_so(images: Images, segment: Segment, tmp_path: Path) -> None:
    found = segment({n: nibabel.Nifti2Image(i.dataobj, i.affine) for n, i in images.items()})
    write_label(found, tmp_path / "seg.nii.gz", BRATS2023)
    written = nibabel.load(tmp_path / "seg.nii.gz")
    assert isinstance(written, nibabel.Nifti2Image)
    np.testing.assert_array_equal(written.dataobj, found.label)


def test_an_answer_that_is_not_finite_is_no_mask(
    inspection: Inspection, student: Student, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = runtime.run
    monkeypatch.setattr(runtime, "run", lambda image: answer(image) * np.float32(np.nan))
    with pytest.raises(DatasetError, match="not finite"):
        segment_case(inspection, student, runtime)


def test_one_voxel_that_outshines_the_brain_is_refused(
    inspection: Inspection, student: Student, runtime: Runtime
) -> None:
    scan = inspection.scans["t1"]
    voxels = scan.values.astype(np.float32)
    voxels[tuple(side // 2 for side in voxels.shape)] = 1e30
    spoilt = replace(inspection, scans={**inspection.scans, "t1": replace(scan, voxels=voxels)})
    with pytest.raises(DatasetError, match=r"1e\+30 outshine"):
        segment_case(spoilt, student, runtime)
