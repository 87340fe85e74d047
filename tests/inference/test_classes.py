"""Predict for a student that knows nothing of tumours: one channel, two classes, small scans."""

import csv
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import scipy

from monai_kd import cli
from monai_kd.inference.requests.requests import find_requests
from monai_kd.inference.results.result_files import read_record
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.student import Student, read_student
from monai_kd.outputs import Task
from tests.inference import lakes
from tests.inference.bundled import change_facts, segment_in_monai

TURN = np.array([[0.96, -0.28, 0, 0], [0.28, 0.96, 0, 0], [0, 0, 1.2, 0], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def lake_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lakes.make_bundle(tmp_path_factory.mktemp("lakes"))


@pytest.fixture(scope="module")
def lake_student(lake_bundle: Path) -> Student:
    return read_student(lake_bundle)


@pytest.fixture
def predict(lake_bundle, out, run):
    return lambda *words: run("predict", *words, "-o", out, "--bundle", lake_bundle)


def test_the_task_is_read_from_the_metadata(lake_student):
    outputs = {"background": (0,), "Anterior": (2,), "Posterior": (5,)}
    assert lake_student.task == Task("classes", 3, ("MRI",), outputs)
    assert lake_student.outputs == ("Anterior", "Posterior")


def test_a_file_of_one_channel_is_a_case_that_passes(predict, tmp_path, out):
    scan = lakes.write_scan(tmp_path / "lake_001.nii.gz")
    code, told, faults = predict(scan)
    assert (code, faults) == (0, [])
    assert told[-1].startswith("lake_001  Anterior ")
    assert told[-1].endswith("PASS")
    record = read_record(out / "lake_001.json")
    assert record["labels"]["values"] == {"2": "Anterior", "5": "Posterior"}
    assert list(record["volumes_ml"]) == ["Anterior", "Posterior"]
    mask = nibabel.load(out / "lake_001_seg.nii.gz")
    assert mask.shape == lakes.SHAPE
    assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 2, 5}
    assert np.asarray(mask.dataobj).any()
    assert "Anterior" in (out / "lake_001_report.html").read_text("utf-8")


def test_a_student_of_small_windows_keeps_to_them_and_passes(tmp_path, out):
    scan = lakes.write_scan(tmp_path / "lake_001.nii.gz")
    bundle = lakes.make_bundle(tmp_path, edge=32)
    assert cli.main(["predict", str(scan), "-o", str(out), "--bundle", str(bundle)]) == 0
    record = read_record(out / "lake_001.json")
    assert (record["verdict"], record["provenance"]["window"]) == ("PASS", [32, 32, 32])


@pytest.mark.parametrize("below", ["", "imagesTr"])
def test_a_folder_of_the_decathlon_is_a_case_a_file(predict, tmp_path, out, below):
    folder = lakes.write_decathlon(tmp_path / "Task99_Lake")
    assert predict(folder / below, "--no-report")[0] == 0
    names = {path.name.removesuffix("_seg.nii.gz") for path in out.glob("*_seg.nii.gz")}
    assert names == {"lake_001", "lake_002"} | (set() if below else {"lake_900"})
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert all(float(row["Posterior_ml"]) >= 0 for row in rows)


@pytest.mark.parametrize(
    ("file", "name"), [("P1/mri.nii.gz", "P1"), ("a_MRI.nii", "a"), ("scan_0000.nii.gz", "scan")]
)
def test_files_are_found_by_the_name_of_the_channel_or_of_the_case(tmp_path, file, name):
    lakes.write_scan(tmp_path / "in" / file)
    (request,) = find_requests([tmp_path / "in"], channels=("MRI",))
    assert (request.name, list(request.case.images)) == (name, ["MRI"])


def test_several_channels_are_found_by_name_in_any_letters(tmp_path):
    for file in ("a_ct.nii.gz", "a_Pet.nii.gz", "b_PET.nii.gz"):
        lakes.write_scan(tmp_path / file)
    both, one = find_requests([tmp_path], channels=("PET", "CT"))
    assert (list(both.case.images), list(one.case.images)) == (["PET", "CT"], ["PET"])


def test_a_scan_is_given_by_the_name_of_its_channel(predict, tmp_path, out):
    scan = lakes.write_scan(tmp_path / "x.nii.gz")
    assert predict("--image", f"mri={scan}", "--no-report")[0] == 0
    assert len(list(out.glob("*_seg.nii.gz"))) == 1
    code, _, faults = predict("--image", f"CT={scan}")
    assert (code, len(faults)) == (2, 1)
    assert "no such channel, but MRI" in faults[0]


def test_a_sequence_of_the_brain_is_not_taken_for_another_channel(predict, tmp_path):
    code, _, faults = predict("--t1", lakes.write_scan(tmp_path / "x.nii.gz"))
    assert code == 3
    assert "t1 found, MRI missing; this student needs MRI" in faults[0]


def test_labels_of_brats_are_refused_in_one_line(predict, tmp_path):
    code, _, faults = predict(lakes.write_scan(tmp_path / "x.nii.gz"), "--labels", "brats2021")
    assert (code, len(faults)) == (2, 1)
    assert "leave out --labels" in faults[0]


def test_probabilities_of_all_classes_add_up_to_one(predict, tmp_path, out):
    scan = lakes.write_scan(tmp_path / "x.nii.gz")
    assert predict(scan, "--probabilities", "--uncertainty", "--no-report")[0] == 0
    found = [
        nibabel.load(out / f"x_{name}_probability.nii.gz").get_fdata()
        for name in ("Anterior", "Posterior")
    ]
    mask = np.asarray(nibabel.load(out / "x_seg.nii.gz").dataobj)
    rest = 1 - sum(found)
    assert rest.min() >= -1e-6
    likeliest = np.argmax([rest, *found], axis=0)
    np.testing.assert_array_equal(np.array([0, 2, 5])[likeliest], mask)
    assert (out / "x_uncertainty.nii.gz").is_file()


def test_confidence_is_the_mean_probability_of_the_class(lake_student, tmp_path, predict, out):
    predict(lakes.write_scan(tmp_path / "x.nii.gz"), "--probabilities", "--no-report")
    (largest, *_) = read_record(out / "x.json")["lesions"]
    chance = nibabel.load(out / f"x_{largest['region']}_probability.nii.gz").get_fdata()
    mask = np.asarray(nibabel.load(out / "x_seg.nii.gz").dataobj) == 2
    parts, _ = scipy.ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    inside = parts == 1 + sizes.argmax()
    assert largest["volume_ml"] == pytest.approx(sizes.max() / 1000)
    assert largest["confidence"] == pytest.approx(chance[inside].mean(), abs=1e-4)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_all_runtimes_open_it(lake_student, name):
    image = np.random.default_rng(0).normal(size=(1, 16, 8, 12)).astype(np.float32)
    expected = open_runtime(lake_student, name="torch", threads=1).run(image)
    found = open_runtime(lake_student, name=name, threads=1).run(image)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("affine", [np.eye(4), TURN])
def test_mask_is_the_one_that_monai_makes(lake_student, predict, tmp_path, out, affine):
    scan = lakes.write_scan(tmp_path / "x.nii.gz", affine=affine)
    assert predict(scan, "--no-report")[0] == 0
    own = np.asarray(nibabel.load(out / "x_seg.nii.gz").dataobj)
    window = read_record(out / "x.json")["provenance"]["window"]
    theirs = segment_in_monai([str(scan)], lake_student, window, tmp_path / "monai")
    assert (own != theirs).sum() <= 1e-4 * own.size


def test_labelled_cases_calibrate_it(lake_bundle, predict, tmp_path, out, run):
    folder = lakes.write_decathlon(tmp_path / "Task99_Lake", labels=9)
    try:
        code, told, _ = run("calibrate", folder, "--bundle", lake_bundle)
        assert code == 0
        assert any("Anterior  Posterior" in line for line in told)
        assert predict(folder / "imagesTs" / "lake_900.nii.gz", "--no-report")[0] == 0
    finally:
        (lake_bundle / "configs" / "calibration.json").unlink(missing_ok=True)
    record = read_record(out / "lake_900.json")
    assert record["volumes_ml"]["Posterior"]["high"] is not None
    assert 0 <= record["agreement"]["Anterior"] <= 1


def test_labels_of_another_task_calibrate_nothing(lake_bundle, scans, run):
    code, _, (told,) = run("calibrate", scans, "--bundle", lake_bundle)
    assert code == 2
    assert "this student finds Anterior, Posterior" in told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"output_kind": "ranks"}, "its output_kind is 'ranks', expected regions, classes"),
        ({"output_kind": "classification"}, "monai-kd: a student of classification in 3D"),
    ],
)
def test_an_unknown_kind_and_one_without_masks_are_refused(
    lake_bundle, tmp_path, change, words, run
):
    own = shutil.copytree(lake_bundle, tmp_path / "own")
    change_facts(own, **change)
    code, _, (told,) = run("predict", ".", "-o", tmp_path / "out", "--bundle", own)
    assert code == 2
    assert words in told
