import json
from pathlib import Path

import pytest

from monai_kd.data import (
    DatalistError,
    check_task,
    count_cases,
    read_datalist,
    read_dataset,
    read_task,
    read_training_cases,
)
from monai_kd.outputs import Task

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
    few = count_cases(dataset_file, fold=1, one_labelled_in=2)
    assert few["training"] + few["unlabelled"] == counted["training"]


def test_a_fold_that_is_not_there_names_those_that_are(dataset_file):
    with pytest.raises(DatalistError, match=r"no validation case at fold 9; its folds are \[0, 1"):
        read_datalist(dataset_file, part="validation", fold=9)


def test_an_unknown_part_names_the_known_ones(dataset_file):
    with pytest.raises(DatalistError, match="'train', expected one of training, validation"):
        read_datalist(dataset_file, part="train")


def test_the_task_is_what_the_list_states(dataset_file):
    outputs = {"TC": (1, 4), "WT": (1, 2, 4), "ET": (4,)}
    found = read_task(read_dataset(dataset_file)["task"])
    assert found == Task("regions", 3, NAMES, outputs)
    assert list(found.outputs) == list(outputs)
    check_task(dataset_file, found)


def test_a_list_for_another_task_is_refused_by_name(dataset_file):
    task = read_task(read_dataset(dataset_file)["task"])
    with pytest.raises(DatalistError, match=r"has the outputs TC, WT, ET; this run is for liver"):
        check_task(dataset_file, task._replace(outputs={"liver": (1,)}))
    with pytest.raises(DatalistError, match="has the channels t1ce, t1, t2, flair"):
        check_task(dataset_file, task._replace(channels=("ct",)))


def test_labels_that_nothing_explains_are_refused():
    with pytest.raises(DatalistError, match="give --labels"):
        read_task(None)


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


@pytest.fixture
def listed(tmp_path):
    """Write a list of such records, read it as it would be."""

    def listed(*, training=(), **parts):
        given = {"training": list(training), "test": [], **parts}
        for number, record in enumerate(record for part in given.values() for record in part):
            record |= {"case": f"case_{number}", "image": "image.b2nd"}
        path = tmp_path / "dataset.json"
        path.write_text(json.dumps(given))
        return path

    return listed


LABELLED = {"label": "label.b2nd"}


def test_a_training_case_without_label_counts_as_unlabelled(listed):
    training = [{"fold": 1}, {"fold": 1, **LABELLED}, {"fold": 1, **LABELLED}]
    cases = read_training_cases(listed(training=training, unlabelled=[{}]), one_labelled_in=2)
    assert [record["case"] for record in cases.labelled] == ["case_1"]
    assert [record["case"] for record in cases.unlabelled] == ["case_2", "case_0", "case_3"]
    assert cases.select(labelled_only=True) == cases.labelled
    assert cases.select(labelled_only=False) == cases.labelled + cases.unlabelled


def test_training_without_any_label_is_refused(listed):
    with pytest.raises(DatalistError, match=r"none of the 2 training cases .* has a label"):
        read_training_cases(listed(training=[{"fold": 1}, {"fold": 2}]))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_case_that_cannot_be_scored_is_refused(listed, part):
    training = [{"fold": 0}, {"fold": 1, **LABELLED}]
    with pytest.raises(DatalistError, match=rf"{part} case case_\d without a label"):
        read_datalist(listed(training=training, test=[{}]), part=part)


def test_an_unlabelled_visit_of_a_validation_patient_is_not_trained_on(listed):
    training = [{"fold": fold, **LABELLED} for fold in (0, 1)]
    path = listed(training=training, unlabelled=[{"fold": 0}, {"fold": 1}, {}])
    for fold, left_out in ((0, "case_2"), (1, "case_3")):
        found = {record["case"] for record in read_training_cases(path, fold=fold).unlabelled}
        assert found == {"case_2", "case_3", "case_4"} - {left_out}
        assert count_cases(path, fold=fold)["unlabelled"] == 2
