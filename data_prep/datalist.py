"""A folder of cases to a datalist: who is trained on, who chooses the model, who is held back."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from data_prep.brats import LABELS, MODALITIES, REGIONS, Case, find_cases
from data_prep.errors import DatasetError
from data_prep.files import write_json
from data_prep.phantom.writer import FINISHED

SPLITS = ("training", "validation", "test")


def write_datalist(
    cases_dir: str | os.PathLike[str],
    *,
    output_file: str | os.PathLike[str],
    seed: int = 0,
    fractions: tuple[float, float] = (0.15, 0.25),
) -> Path:
    """Split the cases below `cases_dir` and write the lists as JSON; return its path.

    `fractions` are those of validation and test; training takes the rest. All visits of a patient
    fall in one split, and each split has its share of every grade. Paths are relative to
    `cases_dir`, images in the order of `modality`. `sha256` covers every path, every byte and the
    split; `origin` tells phantoms from scans.
    """
    root, output = Path(cases_dir), Path(output_file)
    cases = find_cases(root)
    splits = _split_by_patient(cases, seed, _checked_shares(fractions))
    _check_filled(splits, fractions, root)
    header: dict[str, object] = {
        "name": root.resolve().name,
        "modality": {str(index): name for index, name in enumerate(MODALITIES)},
        "labels": {str(value): name for value, name in LABELS.items()},
        "regions": dict(REGIONS),
        "origin": "phantoms" if (root / FINISHED).is_file() else "scans",
    }
    lists = {name: [_record(case, root) for case in members] for name, members in splits.items()}
    digest = hashlib.sha256(_hash_files(root, cases).encode() + json.dumps(lists).encode())
    write_json(output, header | {"sha256": digest.hexdigest()} | lists)
    return output


def _checked_shares(fractions: tuple[float, float]) -> tuple[float, ...]:
    training = 1 - sum(fractions)
    if min(fractions) < 0 or training <= 0:
        raise DatasetError(
            f"fractions {fractions} of validation and test: expected two numbers >= 0, sum below 1"
        )
    return (training, *fractions)


def _split_by_patient(
    cases: list[Case], seed: int, shares: tuple[float, ...]
) -> dict[str, list[Case]]:
    """Give each patient, grade after grade, to the split that lags furthest behind its share."""
    splits: dict[str, list[Case]] = {name: [] for name in SPLITS}
    given = np.zeros(len(SPLITS))
    for number, patient in enumerate(_shuffled_patients(cases, seed), start=1):
        lagging = int(np.argmax(np.multiply(shares, number) - given))
        given[lagging] += 1
        splits[SPLITS[lagging]] += [case for case in cases if case.patient == patient]
    return {name: sorted(members, key=lambda case: case.name) for name, members in splits.items()}


def _shuffled_patients(cases: list[Case], seed: int) -> list[str]:
    rng = np.random.Generator(np.random.PCG64(seed))
    grades = {case.patient: case.grade for case in cases}
    patients = [str(patient) for patient in rng.permutation(sorted(grades))]
    return sorted(patients, key=lambda patient: grades[patient])


def _check_filled(
    splits: dict[str, list[Case]], fractions: tuple[float, float], root: Path
) -> None:
    wanted = dict(zip(SPLITS, (1.0, *fractions), strict=True))
    empty = [name for name, members in splits.items() if wanted[name] > 0 and not members]
    if empty:
        count = len({case.patient for members in splits.values() for case in members})
        raise DatasetError(
            f"{count} patients in {root} are too few to split: none is left for {empty[0]}"
            f" at fractions {fractions}; add cases or raise the fraction"
        )


def _record(case: Case, root: Path) -> dict[str, object]:
    image = [path.relative_to(root).as_posix() for path in case.images]
    label = case.label.relative_to(root).as_posix()
    return {"case": case.name, "grade": case.grade, "image": image, "label": label}


def _hash_files(root: Path, cases: Iterable[Case]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for case in cases for path in case.files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
