from collections import Counter

import pytest

from data_prep import DatasetError
from data_prep.splits import TEST, split_patients

GRADES = {f"P{number:03d}": "LGG" if number % 4 == 3 else "HGG" for number in range(40)}


def split(grades=GRADES, **options):
    return split_patients(grades, **{"seed": 0, "test_fraction": 0.25, "folds": 5, **options})


def test_each_part_has_its_share_of_patients_and_of_every_grade():
    parts = split()
    assert Counter(parts.values()) == {TEST: 10} | dict.fromkeys(range(5), 6)
    low = Counter(parts[patient] for patient, grade in GRADES.items() if grade == "LGG")
    assert all(abs(low[part] - Counter(parts.values())[part] / 4) < 1 for part in (TEST, *range(5)))


def test_the_seed_decides_and_the_order_of_patients_does_not():
    backwards = dict(reversed(GRADES.items()))
    assert split() == split(backwards)
    assert split() != split(seed=1)


def test_without_test_cases_all_patients_are_in_folds():
    assert set(split(test_fraction=0.0).values()) == set(range(5))


@pytest.mark.parametrize("options", [{"test_fraction": 1.0}, {"test_fraction": -0.1}, {"folds": 1}])
def test_an_impossible_split_says_what_is_possible(options):
    with pytest.raises(DatasetError, match="expected a fraction from 0 to below 1, and 2 folds"):
        split(**options)
