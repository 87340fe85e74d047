"""Calibrate the volumes of a bundle, and measure intervals and verdicts on cases it never saw.

    python docs/studies/calibration.py BUNDLE [--cases FOLDER] [--size 96] [--unseen 100]

Without a folder of labelled cases phantoms are made: --validation of them teach the intervals,
--unseen others measure coverage. The calibration goes to --out, as JSON for the metadata of the
bundle (key `calibration`); tables in Markdown go to the screen. A folder of cases is divided in
two halves: the first teaches.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep import write_phantoms
from data_prep.case import Case, Dataset
from data_prep.checks import Inspection, inspect_case
from data_prep.files import write_json
from data_prep.layouts import find_dataset
from data_prep.phantom.corruptions import corrupt
from monai_kd.prediction.agreement import MirroredRuntime, measure_agreement
from monai_kd.prediction.intervals import LEVEL, Calibration, VolumeCase, calibrate
from monai_kd.prediction.runtimes import Runtime, open_runtime
from monai_kd.prediction.segmentation import segment
from monai_kd.prediction.student import Student, read_student
from monai_kd.prediction.verdict import judge
from monai_kd.prediction.volumes import measure_volumes

MOST_BYTES = 2 * 2**30
DAMAGES = ("swapped", "same-modality", "all-zero", "constant", "skull-on", "thick-slices")
DAMAGED_CASES = 10  # of each kind
VALIDATION_SEED, UNSEEN_SEED = 9001, 9002  # of no phantom that anything was trained on


def main() -> None:
    """Calibrate, write, measure, tell."""
    options = _read_options()
    student = read_student(options.bundle)
    runtime = open_runtime(student, name=options.runtime, threads=options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        validation, unseen = _find_cases(options, Path(scratch))
        calibration = calibrate(_predict(validation, student, runtime))
        write_json(options.out, {"calibration": calibration.as_dict()})
        _tell_coverage(calibration, _predict(unseen, student, runtime))
        _tell_verdicts("good", unseen)
        if options.cases is None:
            for way in DAMAGES:
                _tell_verdicts(way, _damage(unseen, way, Path(scratch) / way, options))


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip  # noqa: E501
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--out", type=Path, default=Path("calibration.json"))
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--difficulty", type=float, default=1.0)
    parser.add_argument("--validation", type=int, default=100)
    parser.add_argument("--unseen", type=int, default=100)
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _find_cases(options: argparse.Namespace, scratch: Path) -> tuple[Dataset, Dataset]:
    if options.cases is not None:
        whole = find_dataset(options.cases)
        half = len(whole.cases) // 2
        return replace(whole, cases=whole.cases[:half]), replace(whole, cases=whole.cases[half:])
    made = {
        seed: write_phantoms(
            scratch / str(seed),
            cases=count,
            size=options.size,
            seed=seed,
            difficulty=options.difficulty,
            workers=options.threads,
        )
        for seed, count in ((VALIDATION_SEED, options.validation), (UNSEEN_SEED, options.unseen))
    }
    return find_dataset(made[VALIDATION_SEED]), find_dataset(made[UNSEEN_SEED])


def _predict(dataset: Dataset, student: Student, runtime: Runtime) -> dict[str, list[VolumeCase]]:
    found: dict[str, list[VolumeCase]] = {region: [] for region in student.regions}
    for case in dataset.cases:
        for region, seen in _predict_case(case, dataset, student, runtime).items():
            found[region].append(seen)
    return found


def _predict_case(
    case: Case, dataset: Dataset, student: Student, runtime: Runtime
) -> Mapping[str, VolumeCase]:
    inspection = inspect_case(case, dataset=dataset)
    if not inspection.usable or inspection.label is None or dataset.scheme is None:
        return {}
    first, second = (
        segment(inspection, student, opinion, most_bytes=MOST_BYTES)
        for opinion in (runtime, MirroredRuntime(runtime))
    )
    affine = first.reference.affine
    predicted = measure_volumes(first.label, affine, first.scheme)
    label = inspection.label
    true = measure_volumes(label.values.astype("u1"), label.affine, dataset.scheme)
    agreement = measure_agreement(first.regions, second.regions)
    return {r: VolumeCase(predicted[r], true[r], agreement[r]) for r in student.regions}


def _tell_coverage(calibration: Calibration, unseen: Mapping[str, Sequence[VolumeCase]]) -> None:
    _row("region", f"held by {LEVEL:.0%} intervals", "cases", "median high / low")
    _row(*["---"] * 4)
    for region, cases in unseen.items():
        intervals = [
            calibration.interval(region, case.predicted_ml, agreement=case.agreement)
            for case in cases
        ]
        pairs = list(zip(intervals, cases, strict=True))
        held = sum(interval.holds(case.true_ml) for interval, case in pairs)
        widths = sorted(i.high_ml / max(i.low_ml, 0.01) for i in intervals)
        share = f"{held / max(len(cases), 1):.0%}"
        _row(region, share, str(len(cases)), f"{widths[len(widths) // 2]:.2f}" if widths else "")
    _row("cases", "PASS", "CHECK", "REFUSE")
    _row(*["---"] * 4)


def _tell_verdicts(kind: str, dataset: Dataset) -> None:
    inspections: list[Inspection] = [inspect_case(c, dataset=dataset) for c in dataset.cases]
    counts = Counter(judge(inspection).name for inspection in inspections)
    _row(kind, *(str(counts[name]) for name in ("PASS", "CHECK", "REFUSE")))


def _damage(unseen: Dataset, way: str, folder: Path, options: argparse.Namespace) -> Dataset:
    count = min(DAMAGED_CASES, len(unseen.cases))
    write_phantoms(
        folder,
        cases=count,
        size=options.size,
        seed=UNSEEN_SEED,
        difficulty=options.difficulty,
        workers=options.threads,
    )
    for case in find_dataset(folder).cases:
        corrupt(folder, case.name, way)
    return find_dataset(folder)


def _row(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
