import shutil

import pytest

from data_prep import DatasetError
from data_prep.brats import Case, find_cases


def test_cases_carry_grade_and_files_in_order(phantoms):
    cases = find_cases(phantoms)
    assert [case.grade for case in cases] == ["HGG", "HGG", "HGG", "LGG"] * 2
    endings = [path.name.removeprefix(cases[0].name) for path in cases[0].files]
    assert endings == [f"_{kind}.nii.gz" for kind in ("t1ce", "t1", "t2", "flair", "seg")]


def test_a_flat_folder_of_cases_is_read_too(phantoms, tmp_path):
    flat = shutil.copytree(phantoms / "LGG", tmp_path / "flat")
    assert [case.grade for case in find_cases(flat)] == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("BraTS19_CBICA_AAB_1", "BraTS19_CBICA_AAB"),
        ("BraTS19_PHANTOM_001_12", "BraTS19_PHANTOM_001"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("BraTS2021_00495", "BraTS2021_00495"),
    ],
)
def test_a_patient_is_the_case_without_its_visit(name, patient, tmp_path):
    assert Case(name, "HGG", (), tmp_path).patient == patient


def test_a_misspelt_folder_names_its_nearest_sibling(phantoms):
    with pytest.raises(DatasetError, match=r"did you mean .*phantoms\?"):
        find_cases(phantoms.with_name("phantom"))


def test_a_folder_without_parent_names_the_parent(tmp_path):
    with pytest.raises(DatasetError, match="other does not exist either"):
        find_cases(tmp_path / "other" / "cases")


def test_a_file_is_no_folder_of_cases(tmp_path):
    (tmp_path / "cases").touch()
    with pytest.raises(DatasetError, match="is a file, expected a folder"):
        find_cases(tmp_path / "cases")


def test_an_empty_folder_says_which_layout_was_expected(tmp_path):
    with pytest.raises(DatasetError, match=r"expected HGG/<case>/<case>_t1ce\.nii\.gz"):
        find_cases(tmp_path)


def test_the_folder_above_the_cases_names_the_one_meant(phantoms):
    with pytest.raises(DatasetError, match=r"did you mean .*phantoms\?"):
        find_cases(phantoms.parent)


def test_a_missing_modality_names_case_modality_and_similar_file(own_phantoms):
    file = next(own_phantoms.glob("HGG/*_002_1/*_t1ce.nii.gz"))
    file.rename(file.with_name(file.name.replace("t1ce", "t1gd")))
    with pytest.raises(
        DatasetError, match=r"_002_1 lacks the modality t1ce.*rename .*_t1gd"
    ) as error:
        find_cases(own_phantoms)
    assert "\n" not in str(error.value)


def test_a_missing_label_is_named(own_phantoms):
    next(own_phantoms.glob("LGG/*_004_1/*_seg.nii.gz")).unlink()
    with pytest.raises(DatasetError, match=r"_004_1 lacks the label \(seg\).*_seg\.nii\.gz$"):
        find_cases(own_phantoms)
