import json
import shutil

import pytest

from data_prep import DatasetError, write_datalist
from data_prep.brats import REGIONS

SPLITS = ("training", "validation", "test")


def _read(folder, tmp_path, **options):
    return json.loads(
        write_datalist(folder, output_file=tmp_path / "list.json", **options).read_text()
    )


def _names(datalist):
    return {split: [record["case"] for record in datalist[split]] for split in SPLITS}


def test_every_case_falls_in_one_split(phantoms, tmp_path):
    names = _names(_read(phantoms, tmp_path))
    assert [len(names[split]) for split in SPLITS] == [5, 1, 2]
    assert len({name for members in names.values() for name in members}) == 8


def test_records_point_below_the_folder_in_the_order_of_modalities(phantoms, tmp_path):
    datalist = _read(phantoms, tmp_path)
    order = datalist["modality"].values()
    assert list(order) == ["t1ce", "t1", "t2", "flair"]
    for record in datalist["training"]:
        assert all((phantoms / path).is_file() for path in [*record["image"], record["label"]])
        assert all(f"_{kind}." in path for kind, path in zip(order, record["image"], strict=True))


def test_regions_keep_their_order(phantoms, tmp_path):
    regions = _read(phantoms, tmp_path)["regions"]
    assert list(regions.items()) == [(name, list(labels)) for name, labels in REGIONS.items()]


def test_each_split_has_its_share_of_every_grade(many_cases, tmp_path):
    datalist = _read(many_cases, tmp_path)
    low = {split: sum(r["grade"] == "LGG" for r in datalist[split]) for split in SPLITS}
    assert [len(datalist[split]) for split in SPLITS] == [24, 6, 10]
    assert all(abs(low[split] - len(datalist[split]) / 4) < 1 for split in SPLITS)


def test_visits_of_a_patient_never_straddle_splits(many_cases, tmp_path):
    for first in list(many_cases.glob("*/*_1")):
        _make_case(first.with_name(first.name[:-1] + "2"))
    names = _names(_read(many_cases, tmp_path))
    patients = [{name[:-2] for name in names[split]} for split in SPLITS]
    assert sum(len(members) for members in patients) == 40
    assert sum(len(members) for members in names.values()) == 80


def test_the_seed_decides_the_split(many_cases, tmp_path):
    splits = [_names(_read(many_cases, tmp_path, seed=seed)) for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_the_hash_follows_bytes_and_names_but_not_the_place(own_phantoms, phantoms, tmp_path):
    here, there = (_read(folder, tmp_path)["sha256"] for folder in (phantoms, own_phantoms))
    shutil.copy(*sorted(own_phantoms.glob("HGG/*_001_1/*_t[12].nii.gz")))
    assert here == there != _read(own_phantoms, tmp_path)["sha256"]


def test_too_few_patients_name_the_empty_split(phantoms, tmp_path):
    few = shutil.copytree(phantoms / "LGG", tmp_path / "few")
    with pytest.raises(DatasetError, match=r"2 patients in .* too few to split: none is left for"):
        write_datalist(few, output_file=tmp_path / "list.json")
    assert not (tmp_path / "list.json").exists()


def test_a_split_of_fraction_zero_may_be_empty(phantoms, tmp_path):
    names = _names(_read(phantoms, tmp_path, fractions=(0.25, 0)))
    assert [len(names[split]) for split in SPLITS] == [6, 2, 0]


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1, 0.2)])
def test_impossible_fractions_are_refused(phantoms, tmp_path, fractions):
    with pytest.raises(DatasetError, match="sum below 1"):
        write_datalist(phantoms, output_file=tmp_path / "list.json", fractions=fractions)


@pytest.fixture
def many_cases(tmp_path):
    for number in range(40):
        grade = "LGG" if number % 4 == 3 else "HGG"
        _make_case(tmp_path / "many" / grade / f"BraTS19_X_{number:03d}_1")
    return tmp_path / "many"


def _make_case(folder):
    folder.mkdir(parents=True)
    for kind in ("t1ce", "t1", "t2", "flair", "seg"):
        (folder / f"{folder.name}_{kind}.nii.gz").touch()
