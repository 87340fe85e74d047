from pathlib import Path

import pytest

from monai_kd.inference.transforms import check_cases, list_cases

NAMES = ("t1ce.nii.gz", "t1.nii.gz", "t2.nii.gz", "flair.nii.gz")


@pytest.fixture
def patients(tmp_path: Path) -> list[list[str]]:
    paths = [[tmp_path / patient / name for name in NAMES] for patient in ("P1", "P2")]
    for path in [path for case in paths for path in case]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return [[str(path) for path in case] for case in paths]


def test_paths_lists_and_mappings_mean_the_same_case(patients: list[list[str]]) -> None:
    assert list_cases(patients) == list_cases([{"image": case} for case in patients])
    file = patients[0][0]
    assert list_cases([file]) == list_cases([Path(file)]) == [{"image": [file]}]


def test_missing_files_are_named_before_any_work(patients: list[list[str]]) -> None:
    Path(patients[1][2]).unlink()
    with pytest.raises(FileNotFoundError, match=r"no such file: .*P2.t2\.nii\.gz;"):
        check_cases(list_cases(patients))
    Path(patients[1][3]).unlink()
    with pytest.raises(FileNotFoundError, match=r"\(and 1 more\)"):
        check_cases(list_cases(patients))


def test_an_empty_datalist_is_refused() -> None:
    with pytest.raises(ValueError, match="datalist is empty"):
        check_cases([])
