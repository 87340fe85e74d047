import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from data_prep import voxelise_cases, write_datalist
from data_prep.brats.labels import scheme_of_classes
from data_prep.checks import check_dataset
from data_prep.datalist import Split, state_task, write_raw_datalist
from data_prep.layouts import find_dataset

PARTS = ("training", "test", "unlabelled")


def read(voxels_dir, tmp_path, **split):
    path = write_datalist(voxels_dir, output_file=tmp_path / "list.json", split=Split(**split))
    return json.loads(path.read_text())


def names(datalist):
    return [record["case"] for part in PARTS for record in datalist[part]]


@pytest.fixture(scope="module")
def voxels_dir(phantoms, tmp_path_factory):
    return voxelise_cases(phantoms, voxels_root=tmp_path_factory.mktemp("voxels"), workers=1)


def test_every_case_falls_in_one_part(voxels_dir, tmp_path):
    datalist = read(voxels_dir, tmp_path)
    assert [len(datalist[part]) for part in PARTS] == [6, 2, 0]
    assert len(set(names(datalist))) == 8


def test_records_lead_from_the_lists_own_folder_to_the_files(voxels_dir, tmp_path):
    for record in read(voxels_dir, tmp_path)["training"]:
        assert (tmp_path / record["image"]).is_file()
        assert (tmp_path / record["label"]).is_file()
        assert list(record["sha256"]) == [record["image"], record["label"]]
        assert not Path(record["image"]).is_absolute()


def test_the_list_says_what_it_holds(voxels_dir, tmp_path):
    datalist = read(voxels_dir, tmp_path)
    assert datalist["origin"] == "phantoms"
    assert datalist["scheme"] == "brats2021"
    assert list(datalist["modality"].values()) == ["t1ce", "t1", "t2", "flair"]
    assert datalist["labels"]["4"] == "enhancing tumour"
    assert list(datalist["regions"].items()) == [
        ("TC", [1, 4]), ("WT", [1, 2, 4]), ("ET", [4])
    ]  # fmt: skip


def test_the_task_of_a_tumour_is_regions_that_overlap(voxels_dir, tmp_path):
    task = read(voxels_dir, tmp_path)["task"]
    assert task.pop("outputs") == {"TC": [1, 4], "WT": [1, 2, 4], "ET": [4]}
    channels = ["t1ce", "t1", "t2", "flair"]
    assert task == {"kind": "regions", "spatial_dims": 3, "channels": channels}


def test_exclusive_classes_have_the_background_first():
    scheme = scheme_of_classes({2: "Posterior", 0: "background", 1: "Anterior"})
    task = state_task(["MRI"], scheme.regions)
    assert task["kind"] == "classes"
    assert list(task["outputs"].items()) == [
        ("background", [0]), ("Anterior", [1]), ("Posterior", [2])
    ]  # fmt: skip


def test_where_nothing_says_what_labels_mean_there_is_no_task():
    assert state_task(["MRI"], None) is None


def test_the_seal_covers_the_task(voxels_dir, tmp_path):
    before = read(voxels_dir, tmp_path)["sha256"]
    other = shutil.copytree(voxels_dir, tmp_path / "other")
    listed = json.loads((other / "voxels.json").read_text())
    listed["regions"] = {"core": [1], "rest": [2, 4]}
    (other / "voxels.json").write_text(json.dumps(listed))
    assert read(other, tmp_path)["sha256"] != before


def test_the_seal_follows_content_and_split_but_not_the_place(phantoms, voxels_dir, tmp_path):
    moved = shutil.copytree(phantoms, tmp_path / "elsewhere")
    again = voxelise_cases(moved, voxels_root=tmp_path, workers=1)
    here, there = read(voxels_dir, tmp_path)["sha256"], read(again, tmp_path)["sha256"]
    assert here == there != read(voxels_dir, tmp_path, seed=1)["sha256"]
    (moved / "LGG" / "BraTS19_PHANTOM_004_1" / "BraTS19_PHANTOM_004_1_seg.nii.gz").unlink()
    changed = voxelise_cases(moved, voxels_root=tmp_path, workers=1)
    assert read(changed, tmp_path)["sha256"] != here


def add_unlabelled_visit(own_phantoms, case):
    """A later visit of a patient, its scans darker; return its name."""
    first = next(own_phantoms.glob(f"*/{case}"))
    later = first.with_name(case[:-1] + "2")
    later.mkdir()
    for kind in ("t1ce", "t1", "t2", "flair"):
        scan = nibabel.load(first / f"{case}_{kind}.nii.gz")
        darker = nibabel.Nifti1Image(np.asarray(scan.dataobj) // 2, scan.affine)
        nibabel.save(darker, later / f"{later.name}_{kind}.nii.gz")
    return later.name


def test_unlabelled_visits_follow_the_other_visits_of_their_patient(own_phantoms, tmp_path):
    voxels = voxelise_cases(own_phantoms, voxels_root=tmp_path, workers=1)
    before = read(voxels, tmp_path)
    held_back, trained_on = before["test"][0], before["training"][0]
    never, later = (
        add_unlabelled_visit(own_phantoms, record["case"]) for record in (held_back, trained_on)
    )
    again = read(voxelise_cases(own_phantoms, voxels_root=tmp_path, workers=1), tmp_path)
    assert never not in names(again)
    (found,) = again["unlabelled"]
    assert (found["case"], found["fold"]) == (later, trained_on["fold"])


def test_a_case_without_label_is_listed_as_unlabelled(own_phantoms, tmp_path):
    label = next(own_phantoms.glob("HGG/*_001_1/*_seg.nii.gz"))
    label.unlink()
    voxels = voxelise_cases(own_phantoms, voxels_root=tmp_path, workers=1)
    (record,) = read(voxels, tmp_path)["unlabelled"]
    assert record["case"] == label.parent.name
    assert "label" not in record


def test_a_raw_list_points_at_the_scans_and_names_who_is_left_out(own_phantoms, tmp_path):
    spoilt = next(own_phantoms.glob("HGG/*_002_1/*_t2.nii.gz"))
    spoilt.write_bytes(b"")
    report = check_dataset(find_dataset(own_phantoms), workers=1)
    path = write_raw_datalist(report, output_file=tmp_path / "dataset.json")
    datalist = json.loads(path.read_text())
    assert list(datalist["left_out"]) == [spoilt.parent.name]
    assert len(names(datalist)) == 7
    order = datalist["modality"].values()
    for record in datalist["training"]:
        for kind, image in zip(order, record["image"], strict=True):
            assert (tmp_path / image).is_file()
            assert f"_{kind}." in image
