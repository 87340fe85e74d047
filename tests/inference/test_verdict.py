from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from data_prep import write_phantoms
from data_prep.brats.sequences import SEQUENCES
from data_prep.checks import inspect_case
from data_prep.checks.coarse import CoarseCase, coarsen
from data_prep.checks.comparisons import place
from data_prep.checks.contrast import contrast_faults
from data_prep.findings import Finding
from data_prep.layouts import find_dataset
from data_prep.rules import Rule
from data_prep.scans.crop import find_box
from monai_kd.inference.judging.twins import Twins
from monai_kd.inference.judging.verdict import CHECK, judge
from tests.damage import corrupt
from tests.damage.volumes import inspect, make_phantom, put_skull_on, rotate, shift

SHAPES = ((40, 40, 40), (36, 44, 40))
SORTS = [*product(SHAPES, (1.0, 2.0, 3.0))]
PHANTOMS = 20
FIRST = "BraTS19_PHANTOM_001_1"


@pytest.fixture(scope="module")
def many():
    """Phantoms of several sizes and difficulties."""
    return [make_phantom(n, *SORTS[n % len(SORTS)]) for n in range(PHANTOMS)]


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(100, (64, 64, 64))


def _codes(inspection, **options):
    return {reason.rule.code for reason in judge(inspection, **options).reasons}


def _is_passed(volumes):
    return judge(inspect(volumes)).name == "PASS"


def _renamed(coarse, names):
    images, masks = (dict(zip(names, held.values(), strict=True)) for held in
                     (coarse.images, coarse.masks))  # fmt: skip
    return CoarseCase({}, images, masks, coarse.axes, coarse.spacing_mm, coarse.step)


def test_nineteen_of_twenty_good_phantoms_pass(many):
    assert np.mean([_is_passed(volumes) for volumes in many]) >= 0.95


def test_nineteen_of_twenty_swaps_are_told(many):
    told = []
    for volumes in many:
        images = {name: place(scan) for name, scan in inspect(volumes).scans.items()}
        coarse = coarsen(images)
        for names in permutations(SEQUENCES):
            if names != SEQUENCES:
                told.append(any(contrast_faults(_renamed(coarse, names))))
    assert np.mean(told) >= 0.95


def test_nineteen_of_twenty_skulls_are_told(many):
    told = ["W312" in _codes(inspect(put_skull_on(volumes))) for volumes in many[::2]]
    assert np.mean(told) >= 0.95


@pytest.mark.parametrize("pair", [("t1ce", "flair"), ("t1", "t2"), ("t2", "flair")])
def test_the_pair_that_is_swapped_is_named(phantom, pair):
    one, other = pair
    swapped = phantom | {one: phantom[other], other: phantom[one]}
    (reason,) = judge(inspect(swapped)).reasons
    assert reason.rule.code == "W309"
    assert reason.text.startswith(f"{one} and {other} look swapped")


def test_three_names_in_a_circle_are_told_one_by_one(phantom):
    turned = phantom | {"t1": phantom["t2"], "t2": phantom["flair"], "flair": phantom["t1"]}
    (reason,) = judge(inspect(turned)).reasons
    for told in ("t1 looks like t2", "t2 looks like flair", "flair looks like t1"):
        assert told in reason.text


def test_a_rescaled_copy_is_told(phantom):
    copied = phantom | {"flair": phantom["t2"] * np.int16(2)}
    assert "E305" in _codes(inspect(copied))


@pytest.mark.parametrize("left", [1, 2, 3])
def test_a_subset_of_sequences_is_to_be_checked_for_that_alone(phantom, left):
    for names in permutations(SEQUENCES, left):
        subset = {name: phantom[name] for name in names}
        verdict = judge(inspect(subset))
        assert verdict.name == "CHECK"
        assert [reason.rule.code for reason in verdict.reasons] == ["E501"]


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_5_mm_away_is_named(phantom, name):
    reasons = judge(inspect(shift(phantom, name, 5))).reasons
    assert any(reason.rule.code == "W215" and reason.file == f"{name}.nii.gz" for reason in reasons)


def test_a_rotated_sequence_is_told_and_one_1_mm_away_is_not(phantom):
    assert "W215" in _codes(inspect(rotate(phantom, "t2", 15)))
    assert "W215" not in _codes(inspect(shift(phantom, "t2", 1)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_brain_cut_in_half_is_told_and_a_tight_box_is_not(phantom, axis):
    half = {name: np.split(voxels, 2, axis=axis)[0] for name, voxels in phantom.items()}
    box = find_box([phantom["t1"]])
    assert "W216" in _codes(inspect(half))
    assert _is_passed({name: voxels[box] for name, voxels in phantom.items()})


def test_noise_and_a_speck_are_no_brain(phantom):
    random = np.random.default_rng(0)
    noise = random.integers(1, 500, phantom["t1"].shape).astype(np.int16)
    speck = np.zeros_like(noise)
    speck[20:30, 20:30, 20:30] = noise[20:30, 20:30, 20:30]
    for wrong in (noise, speck):
        verdict = judge(inspect(phantom | {"t2": wrong}))
        assert verdict.name == "REFUSE"
        assert "E313" in {reason.rule.code for reason in verdict.reasons}


def test_spacing_is_compared_with_the_training(phantom):
    scans = inspect(phantom, affine=np.diag([1.0, 1, 3, 1]))
    assert "W217" in _codes(scans)
    assert "W217" not in _codes(scans, spacing_mm=(1, 1, 3))


def test_notes_pass_and_labels_are_not_judged(phantom):
    rules = (Rule.OUTLIERS, Rule.STRAY_VALUE)
    verdict = judge(inspect(phantom, findings=[Finding(r, "case", "a/b.nii", "x") for r in rules]))
    assert verdict.name == "PASS"
    assert [reason.file for reason in verdict.reasons] == ["b.nii"]


@pytest.mark.parametrize(
    ("way", "name", "code"),
    [
        ("all-zero", "CHECK", "E303"),
        ("constant", "CHECK", "E304"),
        ("nan", "REFUSE", "E301"),
        ("outlier", "PASS", "N310"),
    ],
)
def test_what_the_check_of_the_data_finds_decides(tmp_path, way, name, code):
    folder = write_phantoms(tmp_path / "made", cases=1, size=32, workers=1)
    corrupt(folder, FIRST, way)
    dataset = find_dataset(folder)
    verdict = judge(inspect_case(dataset.cases[0], dataset=dataset))
    assert verdict.name == name
    assert verdict.reasons[0].rule.code == code


def test_a_case_without_any_sequence_is_refused():
    assert judge(inspect({})).name == "REFUSE"


def test_one_scan_under_two_names_is_to_be_checked_and_one_name_twice_is_not(phantom):
    scans, twins = inspect(phantom), Twins()
    one, other = (
        replace(scans, case=replace(scans.case, name=name), hashes={Path("t1.nii"): "a1"})
        for name in ("P1", "P2")
    )
    assert [len(twins.find(case)) for case in (one, one, other)] == [0, 0, 1]
    (reason,) = twins.find(other)
    assert "in case P1" in reason.text
    assert judge(scans).with_reasons([reason]).name == CHECK
