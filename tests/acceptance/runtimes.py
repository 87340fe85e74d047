"""Whether OpenVINO, ONNX Runtime and torch give the same mask: a Markdown table.

python -m tests.acceptance.runtimes BUNDLE FOLDER [--cases 10] [--size 96]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from data_prep import write_phantoms
from data_prep.checks import inspect_case
from data_prep.layouts import find_dataset
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.student import read_student
from tests.inference.segmented import segment_case

MOST_BYTES = 2 * 2**30
PEERS = ("onnxruntime", "openvino")


def main() -> None:
    """Segment every phantom by each of them and count the voxels that differ from torch's."""
    options = _parse()
    student = read_student(options.bundle)
    runtimes = {name: open_runtime(student, name=name) for name in ("torch", *PEERS)}
    made = write_phantoms(options.folder, cases=options.cases, size=options.size, seed=options.seed)
    dataset = find_dataset(made)
    worst = dict.fromkeys(PEERS, 0)
    voxels = labelled = 0
    for case in dataset.cases:
        inspection = inspect_case(case, dataset=dataset)
        labels = {
            name: segment_case(inspection, student, runtime, most_bytes=MOST_BYTES).label
            for name, runtime in runtimes.items()
        }
        voxels, labelled = labels["torch"].size, labelled + int(np.count_nonzero(labels["torch"]))
        for name in PEERS:
            worst[name] = max(worst[name], int(np.count_nonzero(labels[name] != labels["torch"])))
    _say("| runtime | voxels that differ from torch's, worst case | of 10^5 |", "|---|---|---|")
    for name, differing in worst.items():
        _say(
            f"| {runtimes[name].name} | {differing} of {voxels} | {1e5 * differing / voxels:.1f} |"
        )
    _say("", f"{len(dataset.cases)} phantoms, {labelled} voxels labelled by torch.")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="a packed bundle with models/model.onnx")
    parser.add_argument("folder", type=Path, help="for the phantoms")
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seed", type=int, default=77)
    return parser.parse_args()


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
