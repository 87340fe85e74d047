import json
from pathlib import Path

import pytest

from monai_kd.data import (
    DatalistError,
    check_fit,
    count_cases,
    read_datalist,
    read_regions,
    read_training_cases,
)

NAMES = ("t1ce", "t1", "t2", "flair")


def names(dataset_file, part, fold=0):
    return {record["case"] for record in read_datalist(dataset_file, part=part, fold=fold)}


def test_each_fold_validates_once_on_every_training_case(dataset_file):
    parts = [names(dataset_file, "validation", fold) for fold in range(5)]
    everyone = {r["case"] for r in json.loads(dataset_file.read_text())["training"]}
    assert sum(len(part) for part in parts) == len(everyone)
    assert set().union(*parts) == everyone


@pytest.mark.parametrize("fold", range(5))
def test_training_validation_and_test_share_no_case(dataset_file, fold):
    parts = [names(dataset_file, part, fold) for part in ("training", "validation", "test")]
    assert len(set().union(*parts)) == sum(len(part) for part in parts) == 8


def test_paths_are_absolute_and_lead_to_files(dataset_file, monkeypatch):
    monkeypatch.chdir(dataset_file.parent)
    for record in read_datalist(dataset_file.name, part="training"):
        assert Path(record["image"]).is_absolute()
        assert Path(record["image"]).is_file()
        assert Path(record["label"]).is_file()


def test_the_counts_are_those_of_the_parts(dataset_file):
    counted = count_cases(dataset_file, fold=1)
    assert counted == {part: len(names(dataset_file, part, 1)) for part in counted}


def test_a_fold_that_is_not_there_names_those_that_are(dataset_file):
    with pytest.raises(DatalistError, match=r"no validation case at fold 9; its folds are \[0, 1"):
        read_datalist(dataset_file, part="validation", fold=9)


def test_an_unknown_part_names_the_known_ones(dataset_file):
    with pytest.raises(DatalistError, match="'train', expected one of training, validation"):
        read_datalist(dataset_file, part="train")


def test_regions_keep_their_order(dataset_file):
    assert list(read_regions(dataset_file).items()) == [
        ("TC", [1, 4]), ("WT", [1, 2, 4]), ("ET", [4])
    ]  # fmt: skip


def test_the_phantoms_fit_the_main_configuration(dataset_file):
    check_fit(dataset_file, NAMES, ("TC", "WT", "ET"))


def test_a_data_set_of_other_regions_or_modalities_is_refused_by_name(dataset_file):
    with pytest.raises(DatalistError, match=r"has the regions TC, WT, ET; .* is for liver"):
        check_fit(dataset_file, NAMES, ("liver",))
    with pytest.raises(DatalistError, match="has the modalities t1ce, t1, t2, flair"):
        check_fit(dataset_file, ("ct",), ("TC", "WT", "ET"))


def test_hidden_labels_are_spread_and_every_case_stays(dataset_file):
    every = read_datalist(dataset_file, part="training", fold=0)
    labelled, unlabelled = read_training_cases(dataset_file, fold=0, one_labelled_in=2)
    assert labelled == every[::2]
    assert {r["case"] for r in [*labelled, *unlabelled]} == {r["case"] for r in every}
    assert not any("label" in record for record in unlabelled)
    assert read_training_cases(dataset_file, fold=0) == (every, [])


def test_labels_of_fewer_than_one_in_one_are_refused(dataset_file):
    with pytest.raises(DatalistError, match="one_labelled_in is 0"):
        read_training_cases(dataset_file, one_labelled_in=0)
