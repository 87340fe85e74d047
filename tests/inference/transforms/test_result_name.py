from pathlib import Path

import pytest

from monai_kd.inference.transforms import ResultName

LISTED = [["/data/P1/a.nii.gz", "/data/P1/b.nii.gz"], {"image": "/data/P2/a.nii.gz"}]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/data/P1/a.nii.gz", "P1/a.nii.gz"),
        ("/data/P2/a.nii.gz", "P2/a.nii.gz"),
        ("/data/P3/a.nii.gz", "data/P3/a.nii.gz"),
        ("/a.nii.gz", "a.nii.gz"),
    ],
)
def test_scans_of_one_name_keep_apart_and_below_the_output_folder(file, name):
    assert ResultName(LISTED)({"filename_or_obj": file}, None)["subject"] == name


def test_one_case_needs_no_folder():
    assert ResultName(LISTED[:1])({"filename_or_obj": LISTED[0][0]}, None)["subject"] == "a.nii.gz"


def test_a_relative_path_is_the_same_as_the_whole_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    named = ResultName(["P1/a.nii.gz", str(tmp_path / "P2" / "a.nii.gz")])
    assert named({"filename_or_obj": Path("P2/a.nii.gz")}, None)["subject"] == "P2/a.nii.gz"


def test_an_image_without_a_name_is_numbered():
    assert ResultName([])({"patch_index": 3}, None) == {"subject": "0", "idx": 3}
