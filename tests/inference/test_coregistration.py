"""What lies apart is found, brought to the reference, told of, and segmented there."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec

from data_prep.brats.sequences import SEQUENCES
from data_prep.case import Dataset
from data_prep.checks import Inspection, inspect_case
from data_prep.findings import LeftOutError
from data_prep.registration import coregistration as module
from data_prep.registration import registration
from data_prep.registration.coregistration import coregister
from data_prep.registration.registration import Movement, find_movement, move
from data_prep.scans.scan import Scan
from monai_kd import cli
from tests.acceptance.storage import measure_dice
from tests.damage.volumes import displace, inspect, make_phantom, rotate, shift, turn

CASE = "BraTS19_PHANTOM_001_1"


@pytest.fixture(scope="module")
def whole(dataset: Dataset) -> Inspection:
    return inspect_case(dataset.cases[0], dataset=dataset)


@pytest.mark.parametrize(
    ("name", "degrees", "moved_mm"),
    [("flair", 7, (4, -6, 5)), ("t2", -20, (25, 10, -8))],
)
def test_the_movement_is_found_to_a_voxel_at_the_tumour(
    whole: Inspection, name: str, degrees: float, moved_mm: tuple[float, float, float]
) -> None:
    fixed = whole.scans["t1ce"]
    centre = apply_affine(fixed.affine, np.array(fixed.voxels.shape) / 2)
    truth = turn(degrees, moved_mm, centre)
    found = find_movement(displace(whole.scans[name], truth), fixed)
    tumour = apply_affine(fixed.affine, np.argwhere(whole.label.values > 0))
    error = apply_affine(found.to_moving, tumour) - apply_affine(truth, tumour)
    assert np.linalg.norm(error, axis=1).max() <= 1
    assert found.rotation_degrees == pytest.approx(abs(degrees), abs=1.5)
    assert found.metric < found.metric_before


def test_what_lies_on_other_voxels_and_well_is_resampled_and_not_moved(
    whole: Inspection, monkeypatch
) -> None:
    worse = Movement(3.0, (1.0, 0.0, 0.0), -0.9, -0.9, from_matvec(np.eye(3), [1.0, 0.0, 0.0]))
    monkeypatch.setattr(module, "find_movement", lambda moving, fixed: worse)
    scan = whole.scans["t2"]
    header = scan.header.copy()
    header["pixdim"][3] = 2
    coarse = Scan(scan.voxels[:, :, ::2], header, "coarse")
    header.set_sform(scan.affine @ np.diag([1, 1, 2, 1]), 1)
    found = coregister(replace(whole, scans={**whole.scans, "t2": coarse}), modalities=SEQUENCES)
    assert found.movements["t2"].distance_mm == 0
    assert found.inspection.scans["t2"].voxels.shape == scan.voxels.shape


def test_the_same_scans_give_the_same_movement(whole: Inspection, monkeypatch) -> None:
    monkeypatch.setattr(registration, "SAMPLES", 4000)
    first, second = (find_movement(whole.scans["t2"], whole.scans["t1ce"]) for _ in range(2))
    np.testing.assert_array_equal(first.to_moving, second.to_moving)


def test_moving_reads_the_scan_on_the_voxels_of_the_reference(whole: Inspection) -> None:
    scan = whole.scans["t2"]
    still = Movement(0, (0, 0, 0), 0, 0, np.eye(4))
    turned = nibabel.Nifti1Image(scan.voxels, scan.affine).as_reoriented(
        np.array([[2, 1], [0, -1], [1, 1]])
    )
    other = Scan(np.asarray(turned.dataobj), turned.header, "turned")
    moved = move(other, still, scan)
    np.testing.assert_array_equal(moved.voxels, scan.voxels)
    np.testing.assert_array_equal(moved.affine, scan.affine)


@pytest.fixture(scope="module")
def phantom() -> dict[str, np.ndarray]:
    return make_phantom(100, (64, 64, 64))


def test_what_lies_well_is_left_alone(phantom: dict[str, np.ndarray]) -> None:
    assert coregister(inspect(phantom), modalities=SEQUENCES) is None


@pytest.mark.parametrize(("damage", "far"), [(shift, 12), (rotate, 20)])
def test_what_lies_apart_and_only_that_is_moved(phantom, damage, far) -> None:
    found = coregister(inspect(damage(phantom, "t2", far)), modalities=SEQUENCES)
    assert set(found.movements) == {"t2"}
    assert [finding.rule.code for finding in found.findings] == ["W706"]
    assert coregister(found.inspection, modalities=SEQUENCES) is None


def test_all_others_come_to_a_reference_that_was_moved(phantom, monkeypatch) -> None:
    good = Movement(1, (9, 0, 0), -0.1, -0.5, np.eye(4))
    monkeypatch.setattr(module, "find_movement", lambda *_: good)
    found = coregister(inspect(shift(phantom, "t1ce", 9)), modalities=SEQUENCES)
    assert set(found.movements) == {"t1", "t2", "flair"}


@pytest.mark.parametrize(
    ("movement", "told"),
    [
        (Movement(0, (70, 0, 0), -0.1, -0.5, np.eye(4)), "70 mm and 0 degrees away"),
        (Movement(50, (0, 0, 0), -0.1, -0.5, np.eye(4)), "0 mm and 50 degrees away"),
        (Movement(1, (1, 0, 0), -0.5, -0.5, np.eye(4)), "nowhere better"),
    ],
)
def test_a_movement_that_is_no_good_leaves_the_case_out(phantom, monkeypatch, movement, told):
    monkeypatch.setattr(module, "find_movement", lambda *_: movement)
    with pytest.raises(LeftOutError, match=told):
        coregister(inspect(shift(phantom, "t2", 9)), modalities=SEQUENCES)


@pytest.fixture
def predict(dataset: Dataset, trained_bundle: Path, tmp_path: Path):
    """Move sequences of the first phantom, predict, return exit code, mask and record."""

    def predict(changed: dict[str, nibabel.Nifti1Image], out: str, *words: str):
        folder = tmp_path / f"{out}_scans" / CASE
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in dataset.cases[0].images.items():
            image = changed.get(name) or nibabel.load(file.path)
            nibabel.save(image, folder / f"{CASE}_{name}.nii.gz")
        fixed = ["-o", str(tmp_path / out), "--bundle", str(trained_bundle), "--threads", "1"]
        code = cli.main(["predict", str(folder), *fixed, *words])
        if not (tmp_path / out / f"{CASE}.json").exists():
            return code, None, None
        mask = nibabel.load(tmp_path / out / f"{CASE}_seg.nii.gz")
        record = json.loads((tmp_path / out / f"{CASE}.json").read_text())
        return code, np.asarray(mask.dataobj), record

    return predict


def _moved(dataset: Dataset, name: str, truth: np.ndarray) -> nibabel.Nifti1Image:
    image = nibabel.load(dataset.cases[0].images[name].path)
    scan = displace(Scan(np.asarray(image.dataobj), image.header, ""), truth)
    return nibabel.Nifti1Image(scan.voxels, image.affine)


def test_predict_brings_it_together_and_says_so(dataset, predict, tmp_path) -> None:
    moved = {"flair": _moved(dataset, "flair", turn(6, (5, -6, 4), np.array([-30.0, -30, 30])))}
    _, aligned, _ = predict({}, "aligned", "--no-report")
    _, apart, record = predict(moved, "apart", "--no-report")
    assert any("--coregister" in r["text"] for r in record["reasons"] if r["code"] == "W215")
    code, mask, record = predict(moved, "together", "--coregister")
    assert code == 0
    assert measure_dice(apart, aligned) < measure_dice(mask, aligned) >= 0.9
    assert record["verdict"] == "CHECK"
    assert "registered by us" in record["reasons"][0]["text"]
    told = record["sequences"]["flair"]["registration"]
    assert told["rotation_degrees"] == pytest.approx(6, abs=1)
    assert told["metric"] < told["metric_before"]
    assert "registration" not in record["sequences"]["t2"]
    assert (tmp_path / "together" / f"{CASE}_report.html").is_file()


def test_sequences_of_other_voxels_and_orders_are_brought_together(dataset, predict) -> None:
    image = nibabel.load(dataset.cases[0].images["t2"].path)
    cut = image.slicer[4:, 3:, 2:].as_reoriented(np.array([[1, 1], [2, -1], [0, 1]]))
    code, mask, _ = predict({"t2": cut}, "refused", "--no-report")
    assert (code, mask) == (3, None)
    _, aligned, _ = predict({}, "aligned", "--no-report")
    code, mask, record = predict({"t2": cut}, "together", "--no-report", "--coregister")
    assert code == 0
    assert measure_dice(mask, aligned) >= 0.9
    assert record["sequences"]["t2"]["shape"] == list(cut.shape)


def test_going_on_with_another_wish_for_registration_does_it_again(
    dataset, predict, capsys
) -> None:
    moved = {"t2": _moved(dataset, "t2", turn(0, (6, 6, 0), np.zeros(3)))}
    predict(moved, "out", "--no-report")
    predict(moved, "out", "--no-report", "--continue", "--coregister")
    assert "done again: its sequences lie apart" in capsys.readouterr().out
    predict(moved, "out", "--no-report", "--continue", "--coregister")
    assert "whole, kept" in capsys.readouterr().out
    predict(moved, "out", "--no-report", "--continue")
    assert "done again: made with --coregister" in capsys.readouterr().out
