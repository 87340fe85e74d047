"""Tells what int8 costs in Dice: the chosen student of each seed, in OpenVINO, fp32 against int8.

    python -m docs.studies.int8 FOLDER

FOLDER is that of `python -m docs.studies.designs`, and gets int8.md; a student that is not trained
yet is trained.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.metrics import DiceMetric
from torch import Tensor

from docs.studies.benchmark.backends import compile_openvino
from docs.studies.benchmark.quantisation import quantise
from docs.studies.designs import CHOSEN, EPOCHS, RATE, name_run, open_bundle, train
from monai_kd.experiment import load_weights
from monai_kd.export import write_onnx

CALIBRATION_CASES = 24  # training cases, one window of each


def compare(seed: int, folder: Path, scratch: Path) -> tuple[float, float, float]:
    """Mean test Dice in fp32 and in int8, and the share of mask voxels that differ."""
    parser = open_bundle(CHOSEN, seed, folder=folder, epochs=EPOCHS, rate=RATE).parser
    network = parser.get_parsed_content("network")
    load_weights(network, folder / name_run(CHOSEN, seed, RATE) / "twin" / "model.pt")
    window = parser.get_parsed_content("window")
    plain = write_onnx(network, scratch / "student.onnx", image=torch.zeros(1, 4, *window))
    integer = quantise(plain, list_windows(parser, window))
    masks = [predict(parser, file, kind) for file, kind in ((plain, "fp32"), (integer, "int8"))]
    differ = statistics.mean(
        float((a != b).float().mean()) for a, b in zip(*masks, strict=True)
    ) / statistics.mean(float(a.any(0).float().mean()) for a in masks[0])
    return *(score(parser, found) for found in masks), differ


def list_windows(parser: ConfigParser, window: list[int]) -> list[np.ndarray]:
    """Windows round the middle of training cases."""
    cases = parser.get_parsed_content("train#dataset_list")[:CALIBRATION_CASES]
    load = parser.get_parsed_content("validate#preprocessing")
    return [cut(load(case)["image"].as_tensor(), window) for case in cases]


def cut(image: Tensor, window: list[int]) -> np.ndarray:
    """The middle of a volume, padded where it is smaller."""
    edges = zip(image.shape[1:], window, strict=True)
    places = [
        slice(max(0, (size - edge) // 2), max(0, (size - edge) // 2) + edge) for size, edge in edges
    ]
    part = image[:, *places]
    missing = [edge - size for size, edge in zip(part.shape[1:], window, strict=True)]
    widths = [number for gap in reversed(missing) for number in (0, gap)]
    return torch.nn.functional.pad(part, widths)[None].numpy()


def predict(parser: ConfigParser, file: Path, precision: str) -> list[Tensor]:
    """Masks of the test cases by sliding window in OpenVINO."""
    run: Callable[[np.ndarray], np.ndarray] = compile_openvino(file, precision)
    inferer = parser.get_parsed_content("validate#inferer")

    def forward(windows: Tensor) -> Tensor:
        return torch.from_numpy(run(np.ascontiguousarray(windows.numpy())).copy())

    volumes = (
        item["image"].as_tensor()[None] for item in parser.get_parsed_content("test#dataset")
    )
    return [inferer(volume, forward)[0] > 0 for volume in volumes]


def score(parser: ConfigParser, masks: list[Tensor]) -> float:
    """Mean over regions of the mean Dice over cases that have the region."""
    metric = DiceMetric(reduction="none")
    for mask, item in zip(masks, parser.get_parsed_content("test#dataset"), strict=True):
        metric(mask[None].float(), item["label"].as_tensor()[None])
    dice: Any = metric.aggregate()
    return float(torch.nanmean(dice, dim=0).mean())


def main() -> None:
    """Compare each seed and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    args = parser.parse_args()
    lines = [
        "| seed | Dice fp32 | Dice int8 | cost | voxels that differ, per voxel of mask |",
        "|---|---|---|---|---|",
    ]
    costs = []
    for seed in args.seeds:
        train(CHOSEN, seed, folder=args.folder, epochs=EPOCHS, rate=RATE)
        with tempfile.TemporaryDirectory() as scratch:
            plain, integer, differ = compare(seed, args.folder, Path(scratch))
        costs.append(plain - integer)
        lines.append(
            f"| {seed} | {plain:.4f} | {integer:.4f} | {plain - integer:.4f} | {differ:.2%} |"
        )
    lines.append(f"\nMean cost {statistics.mean(costs):.4f}, worst {max(costs):.4f}.")
    (args.folder / "int8.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
