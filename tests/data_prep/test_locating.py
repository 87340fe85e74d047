import pytest

from data_prep import DatasetError
from data_prep.locating import find_or_make_cases

PHANTOMS = {"cases": 1, "size": 32, "seed": 0}


def test_a_given_folder_is_taken_as_it_is(phantoms, tmp_path):
    found = find_or_make_cases(str(phantoms), phantoms_root=tmp_path, **PHANTOMS)
    assert found == phantoms
    assert not list(tmp_path.iterdir())


def test_without_a_folder_phantoms_are_made(tmp_path):
    made = find_or_make_cases(None, phantoms_root=tmp_path, **PHANTOMS)
    assert made.parent == tmp_path
    assert (made / "phantoms.json").is_file()


def test_a_missing_folder_is_not_replaced_by_phantoms(tmp_path):
    with pytest.raises(DatasetError, match="no folder"):
        find_or_make_cases(tmp_path / "BraTS", phantoms_root=tmp_path, **PHANTOMS)
    assert not list(tmp_path.iterdir())
