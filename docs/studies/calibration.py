"""Whether intervals hold what they promise, and verdicts fall on the right cases: Markdown tables.

    python -m docs.studies.calibration BUNDLE FOLDER [--size 64] [--validation 300] [--unseen 100]

Phantoms are made in FOLDER: those of one seed calibrate a copy of the bundle by `monai-kd
calibrate`, those of another are segmented by `monai-kd predict`, whole and damaged. Neither seed
made a phantom that anything was trained on.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from data_prep import write_phantoms
from data_prep.checks import inspect_case
from data_prep.layouts import find_dataset
from monai_kd.inference.calibrating.command import describe
from monai_kd.inference.calibration import read_calibration
from monai_kd.inference.student import read_student
from monai_kd.inference.volumes import measure_volumes
from tests.acceptance.pages import format_table, open_parser, say
from tests.damage import corrupt

DAMAGES = ("swapped", "same-modality", "all-zero", "constant", "skull-on")
VALIDATION_SEED, UNSEEN_SEED = 9001, 9002
Records = Mapping[str, Mapping[str, Any]]


def main() -> None:
    """Calibrate, predict, count."""
    options = _parse()
    bundle = options.folder / "bundle"
    shutil.rmtree(options.folder, ignore_errors=True)
    shutil.copytree(options.bundle, bundle)
    validation = _make(options, "validation", VALIDATION_SEED, options.validation)
    unseen = _make(options, "unseen", UNSEEN_SEED, options.unseen)
    _run("calibrate", validation, "--bundle", bundle)
    _tell_subsets(bundle)
    good = _predict(unseen, bundle, options.folder / "good")
    _tell_coverage(unseen, good)
    rows = [("as it is", good)]
    for way in DAMAGES:
        damaged = _make(options, way, UNSEEN_SEED, options.unseen)
        for case in find_dataset(damaged).cases:
            corrupt(damaged, case.name, way)
        rows.append((way, _predict(damaged, bundle, options.folder / f"{way}-results")))
    _tell_verdicts(rows)


def _parse() -> argparse.Namespace:
    parser = open_parser(__doc__)
    parser.add_argument("bundle", type=Path, help="the folder of a student; it is copied")
    parser.add_argument("folder", type=Path, help="for phantoms and results; replaced")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--validation", type=int, default=300, help="phantoms to calibrate on")
    parser.add_argument("--unseen", type=int, default=100, help="phantoms to predict")
    return parser.parse_args()


def _make(options: argparse.Namespace, name: str, seed: int, count: int) -> Path:
    return write_phantoms(options.folder / name, cases=count, size=options.size, seed=seed)


def _predict(scans: Path, bundle: Path, output: Path) -> Records:
    """Records of the cases that were segmented, and of those that were not."""
    _run("predict", scans, "--bundle", bundle, "-o", output, "--no-report")
    files = [*output.glob("*.json"), *(output / "left_out").glob("*.json")]
    records = [json.loads(file.read_bytes()) for file in files]
    return {record["case"]: record for record in records}


def _run(*words: object) -> None:
    command = [sys.executable, "-m", "monai_kd.cli", *map(str, words), "--quiet"]
    run = subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # noqa: S603
    if run.returncode not in (0, 1, 3):
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}")


def _tell_subsets(bundle: Path) -> None:
    calibration, student = read_calibration(bundle), read_student(bundle)
    if calibration is not None:
        say(*describe(calibration, student), "")


def _tell_coverage(scans: Path, records: Records) -> None:
    truth, rows = _measure_truth(scans), []
    for region in next(iter(truth.values())):
        volumes = [(records[case]["volumes_ml"][region], truth[case][region]) for case in truth]
        held = sum(told["low"] <= true <= told["high"] for told, true in volumes)
        width = median((told["high"] + 0.5) / (told["low"] + 0.5) for told, _ in volumes)
        rows.append([region, f"{held} of {len(volumes)}", f"below {width:.2f}"])
    heads = "region", "true volume within the 90 % interval", "half the intervals, high / low"
    say(format_table(heads, rows), "")


def _measure_truth(scans: Path) -> dict[str, dict[str, float]]:
    dataset = find_dataset(scans)
    truth = {}
    for case in dataset.cases:
        label = inspect_case(case, dataset=dataset).label
        if label is not None and dataset.scheme is not None:
            values = label.values.astype("u1")
            truth[case.name] = measure_volumes(values, label.affine, dataset.scheme)
    return truth


def _tell_verdicts(rows: Sequence[tuple[str, Records]]) -> None:
    names = ("PASS", "CHECK", "REFUSE")
    counts = {
        kind: Counter(record["verdict"] for record in records.values()) for kind, records in rows
    }
    lines = [[kind, *(count[name] for name in names)] for kind, count in counts.items()]
    say(format_table(("cases", *names), lines))


if __name__ == "__main__":
    main()
