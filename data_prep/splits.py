"""Who is held back and in which fold a patient falls."""

import hashlib
from collections.abc import Mapping

import numpy as np

from data_prep.errors import DatasetError

TEST = "test"


def split_patients(
    grades: Mapping[str, str], *, seed: int, test_fraction: float, folds: int
) -> dict[str, str | int]:
    """Give each patient, by grade, to the test cases or to one of the folds, from 0.

    Each part gets its share of every grade: patients are shuffled and then, grade after grade,
    given to the part that lags furthest behind its share. The shuffle is by hashes, which no
    version of a library changes.
    """
    if not 0 <= test_fraction < 1 or folds < 2:
        raise DatasetError(
            f"test fraction {test_fraction} and {folds} folds: expected a fraction from 0 to below "
            "1, and 2 folds or more"
        )
    shares = np.array([test_fraction, *[(1 - test_fraction) / folds] * folds])
    given = np.zeros(len(shares))
    parts: dict[str, str | int] = {}
    for number, patient in enumerate(_shuffle(grades, seed), start=1):
        lagging = int(np.argmax(shares * number - given))
        given[lagging] += 1
        parts[patient] = TEST if lagging == 0 else lagging - 1
    return parts


def _shuffle(grades: Mapping[str, str], seed: int) -> list[str]:
    def order(patient: str) -> tuple[str, str]:
        return grades[patient], hashlib.sha256(f"{seed}:{patient}".encode()).hexdigest()

    return sorted(grades, key=order)
