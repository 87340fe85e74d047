"""What a run tells of how sure it is, and of windows it had to take."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from data_prep.case import Dataset
from data_prep.checks import Inspection
from data_prep.scans import read_scan
from monai_kd.inference.judging.judging import judge_windows
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting import windows
from monai_kd.inference.segmenting.agreement import join_opinions
from monai_kd.inference.segmenting.segmentation import Segmentation, write_uncertainty
from monai_kd.inference.student import Student, read_student
from tests.inference.segmented import segment_case

Run = Callable[..., tuple[int, list[str], list[str]]]
Predict = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="module")
def skilled(trained_bundle: Path) -> Student:
    return read_student(trained_bundle)


@pytest.fixture(scope="module")
def runtime(skilled: Student) -> Runtime:
    return open_runtime(skilled, name="torch", threads=1)


@pytest.fixture(scope="module")
def found(inspection: Inspection, skilled: Student, runtime: Runtime) -> Segmentation:
    return segment_case(inspection, skilled, runtime, keep_probabilities=True)


def _write(found: Segmentation, path: Path) -> np.ndarray:
    write_uncertainty(found, found.probabilities, path)
    return np.asarray(nibabel.load(path).dataobj)


def test_uncertainty_lies_on_the_voxels_of_the_mask(found: Segmentation, tmp_path: Path) -> None:
    doubt = _write(found, tmp_path / "doubt.nii.gz")
    scan = read_scan(tmp_path / "doubt.nii.gz")
    np.testing.assert_array_equal(scan.affine, found.reference.affine)
    assert scan.header["sform_code"] == found.reference.header["sform_code"]
    assert (doubt.dtype, doubt.shape, doubt.max() <= 100) == (np.uint8, found.label.shape, True)


def test_uncertainty_is_largest_where_the_mask_ends(found: Segmentation, tmp_path: Path) -> None:
    doubt = _write(found, tmp_path / "doubt.nii.gz")
    marked = found.label > 0
    rim = marked & ~np.roll(marked, 1, axis=0)
    assert doubt[rim].mean() > doubt[marked & ~rim].mean() > doubt[~marked].mean()


def test_opinions_that_differ_are_undecided(found: Segmentation) -> None:
    other = {name: 1 - chance for name, chance in found.probabilities.items()}
    joined = join_opinions(found.probabilities, other)
    assert all(np.allclose(chance, 0.5) for chance in joined.values())


def test_a_brain_seen_in_parts_is_to_be_checked(
    inspection: Inspection,
    skilled: Student,
    runtime: Runtime,
    found: Segmentation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "LEAST_EDGE", 4)
    monkeypatch.setattr(windows, "BASE_BYTES", 0)
    few = runtime.bytes_per_voxel * found.masks["WT"].size // 2
    parts = segment_case(inspection, skilled, runtime, most_bytes=few)
    (reason,) = judge_windows("case", parts)
    assert reason.text.startswith(f"segmented in {parts.windows} windows for want of memory")
    assert parts.windows > 1 == found.windows
    assert parts.label.shape == found.label.shape
    assert not list(judge_windows("case", found))


@pytest.fixture
def predict(dataset: Dataset, trained_bundle: Path, tmp_path: Path, run: Run) -> Predict:
    """Segment the first phantom; return folder and record of the result."""
    folder = dataset.cases[0].images["t1ce"].path.parent
    fixed = ("-o", tmp_path / "out", "--bundle", trained_bundle, "--threads", "1")

    def predict(*words: str) -> tuple[Path, dict[str, Any]]:
        assert run("predict", folder, *fixed, *words)[0] == 0
        return tmp_path / "out", json.loads((tmp_path / "out" / f"{folder.name}.json").read_text())

    return predict


def test_uncertainty_is_written_and_told_if_asked_for(predict: Predict) -> None:
    out, record = predict("--uncertainty")
    assert (out / record["uncertainty"]["file"]).is_file()
    assert "Uncertainty <input" in (out / f"{record['case']}_report.html").read_text()
    assert not list(out.glob("*_probability.nii.gz"))


def test_lesions_always_have_a_confidence_and_boxes_in_the_mask(predict: Predict) -> None:
    out, record = predict("--no-report")
    mask = np.asarray(nibabel.load(out / f"{record['case']}_seg.nii.gz").dataobj)
    largest = max(record["lesions"], key=lambda lesion: lesion["volume_ml"])
    inside = tuple(slice(low, high) for low, high in largest["box_voxels"])
    assert all(0.5 < lesion["confidence"] <= 1 for lesion in record["lesions"])
    assert np.count_nonzero(mask[inside]) >= largest["volume_ml"] * 1000 - 1
    assert "uncertainty" not in record
