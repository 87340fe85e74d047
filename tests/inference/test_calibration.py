"""What labelled cases tell of a student, in its bundle and in the results after it."""

import json
import shutil
from dataclasses import replace
from math import inf

import pytest

from data_prep import DatasetError, write_phantoms
from monai_kd import cli
from monai_kd.inference.calibrating.validation import ComparedCase, Seen, calibrate, list_subsets
from monai_kd.inference.calibration import (
    Calibration,
    Trust,
    calibration_file,
    read_calibration,
    write_calibration,
)
from monai_kd.inference.intervals import VolumeCase
from tests.damage import corrupt
from tests.inference.bundled import change_facts

MODALITIES = ("t1ce", "t1", "t2", "flair")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled") / "phantoms"
    write_phantoms(folder, cases=10, size=32, seed=5, workers=1)
    return folder


@pytest.fixture
def labelled(made, tmp_path):
    return shutil.copytree(made, tmp_path / "labelled")


@pytest.fixture(scope="module")
def gappy(bundle, made, tmp_path_factory):
    """A bundle that says that it was trained on cases with gaps, calibrated."""
    own = shutil.copytree(bundle, tmp_path_factory.mktemp("gappy") / "bundle")
    change_facts(own, modality_dropout=0.5)
    assert cli.main(["calibrate", str(made), "--bundle", str(own), "--quiet"]) == 0
    return own


def test_there_are_fifteen_subsets_and_the_whole_comes_first():
    subsets = list(list_subsets(MODALITIES))
    assert subsets[0] == frozenset(MODALITIES)
    assert len(set(subsets)) == len(subsets) == 15


def test_dice_is_the_mean_over_cases_that_have_the_region():
    dices = [0.5, None, 0.7]
    whole = frozenset(MODALITIES)
    seen = [ComparedCase(9, {whole: {"ET": Seen(VolumeCase(1, 1), dice)}}) for dice in dices]
    calibration = calibrate(seen)
    assert calibration.cases == 3
    assert calibration.of(MODALITIES)["ET"].dice == pytest.approx(0.6)
    assert calibration.of(["t1"]) == {}


def test_a_calibration_travels_in_the_bundle(tmp_path):
    (tmp_path / "configs").mkdir()
    regions = {"WT": Trust(0.9, 1.25), "ET": Trust(None, inf)}
    told = Calibration(
        12, (90.0, 120.5), {frozenset(MODALITIES): regions, frozenset(["t1"]): regions}
    )
    write_calibration(tmp_path, told)
    assert read_calibration(tmp_path) == told


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 0}', '{"format": 1, "level": 0.9, "floor_ml": 0.5}']
)
def test_a_broken_calibration_is_refused_in_one_line(tmp_path, content):
    calibration_file(tmp_path).parent.mkdir()
    calibration_file(tmp_path).write_text(content)
    with pytest.raises(DatasetError, match="run `monai-kd calibrate` again, or remove it"):
        read_calibration(tmp_path)


def test_every_subset_is_measured_where_the_student_takes_gaps(gappy):
    calibration = read_calibration(gappy)
    assert set(calibration.subsets) == set(list_subsets(MODALITIES))
    for trusts in calibration.subsets.values():
        assert all(0 < trust.dice < 1 and 0 < trust.bound < inf for trust in trusts.values())


def test_the_whole_is_measured_alone_where_it_does_not(run, own_bundle, made):
    code, lines, _ = run("calibrate", made, "--bundle", own_bundle)
    assert (code, len(lines)) == (0, 3)
    assert set(read_calibration(own_bundle).subsets) == {frozenset(MODALITIES)}


def test_predict_tells_the_trust_in_what_is_there(run, gappy, made, tmp_path):
    case = next(made.glob("HGG/*"))
    scan = next(case.glob("*_t1ce.nii.gz"))
    for name, words in {"whole": [case], "part": ["--t1ce", scan]}.items():
        out = tmp_path / name
        run("predict", *words, "-o", out, "--bundle", gappy, "--no-report")
        record = json.loads(next(out.glob("*.json")).read_text())
        present = set(record["sequences"])
        trusts = read_calibration(gappy).of(present)
        assert set(trusts) == {"TC", "WT", "ET"}
        for region, trust in trusts.items():
            assert record["expected_dice"][region] == pytest.approx(trust.dice, abs=1e-4)
            volume = record["volumes_ml"][region]
            assert volume["low"] <= volume["value"] <= volume["high"]
        told = [reason["text"] for reason in record["reasons"] if reason["code"] == "W705"]
        assert bool(told) == (name == "part")


def test_opinions_that_agree_less_than_ever_before_are_to_be_checked(run, gappy, made, tmp_path):
    own = shutil.copytree(gappy, tmp_path / "bundle")
    calibration = read_calibration(own)
    sure = {
        region: replace(trust, agreement=1.2)
        for region, trust in calibration.of(MODALITIES).items()
    }
    write_calibration(own, replace(calibration, subsets={frozenset(MODALITIES): sure}))
    case = next(made.glob("HGG/*"))
    for name, bundle in {"unlike": own, "alike": gappy}.items():
        run("predict", case, "-o", tmp_path / name, "--bundle", bundle, "--no-report")
        record = json.loads(next((tmp_path / name).glob("*.json")).read_text())
        told = [reason for reason in record["reasons"] if reason["code"] == "W710"]
        assert len(told) == (name == "unlike")
        assert record["verdict"] == ("CHECK" if told else "PASS")


def test_a_brain_unlike_those_that_were_seen_is_to_be_checked(run, gappy, tmp_path):
    made = write_phantoms(tmp_path / "larger", cases=1, size=64, workers=1)
    run("predict", made, "-o", tmp_path / "out", "--bundle", gappy, "--no-report")
    record = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    (reason,) = (reason for reason in record["reasons"] if reason["code"] == "W708")
    smallest, largest = read_calibration(gappy).foreground_ml
    assert f"in validation {smallest:.0f} to {largest:.0f} ml" in reason["text"]


@pytest.mark.parametrize(("ml", "known"), [(79, False), (81, True), (100, True), (126, False)])
def test_a_quarter_more_or_less_than_was_seen_is_known(ml, known):
    assert Calibration(9, (100.0, 100.0), {}).knows(ml) == known


def test_a_case_that_teaches_nothing_is_told_and_the_others_teach(run, own_bundle, labelled):
    corrupt(labelled, next(labelled.glob("HGG/*")).name, "zero-bytes")
    code, _, faults = run("calibrate", labelled, "--bundle", own_bundle)
    assert code == 1
    assert len(faults) == 1
    assert read_calibration(own_bundle).cases == 9


def test_too_few_cases_leave_the_bundle_as_it_was(run, own_bundle, labelled):
    for case in list(labelled.glob("*/*"))[:2]:
        if case.is_dir():
            shutil.rmtree(case)
    code, _, faults = run("calibrate", labelled, "--bundle", own_bundle)
    assert code == 2
    assert "9 are needed for 90% intervals" in faults[0]
    assert read_calibration(own_bundle) is None
