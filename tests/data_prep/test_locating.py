import pytest

from data_prep import DatasetError, prepare_voxels, voxelise_cases, write_phantoms
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


def test_voxels_that_are_given_are_taken_as_they_are(phantoms, tmp_path):
    made = voxelise_cases(phantoms / "LGG", voxels_root=tmp_path)
    given = {"voxels_dir": made, "dataset_dir": None, "root": tmp_path, "phantoms": PHANTOMS}
    assert prepare_voxels(**given) == made
    assert [path.name for path in tmp_path.iterdir()] == [made.name]
    rotten = next(made.glob("*/label.b2nd"))
    rotten.write_bytes(rotten.read_bytes()[:-1] + b"x")
    with pytest.raises(DatasetError, match=r"label.b2nd is not what was written there"):
        prepare_voxels(**given)


def test_a_missing_folder_of_voxels_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no folder .*nowhere"):
        prepare_voxels(
            voxels_dir=tmp_path / "nowhere", dataset_dir=None, root=tmp_path, phantoms=PHANTOMS
        )


def test_two_folders_of_one_name_have_voxels_apart(tmp_path):
    for place in ("a", "b"):
        write_phantoms(tmp_path / place / "same", cases=1, size=32, workers=1)
    made = {voxelise_cases(tmp_path / p / "same", voxels_root=tmp_path) for p in ("a", "b")}
    assert len(made) == 2
    assert all((folder / "voxels.json").is_file() for folder in made)


def test_scans_that_are_left_out_are_named_and_the_others_go_on(own_phantoms, tmp_path, capsys):
    broken = next(own_phantoms.glob("HGG/*/*_t2.nii.gz"))
    broken.write_bytes(b"")
    assert len(list(voxelise_cases(own_phantoms, voxels_root=tmp_path).glob("*/image.b2nd"))) == 7
    assert f"{broken.name}: 0 bytes" in capsys.readouterr().err
