"""Tells what int8 costs in Dice: the chosen student of each seed, in OpenVINO, fp32 against int8.

    python -m docs.studies.int8 FOLDER

FOLDER is that of `python -m docs.studies.designs`, and gets int8.md; a student that is not trained
yet is trained.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.inferers import Inferer
from monai.metrics import DiceMetric
from monai.transforms import CenterSpatialCrop, Compose, SpatialPad
from torch import Tensor

from docs.studies.benchmark.backends import compile_openvino
from docs.studies.benchmark.quantisation import quantise
from docs.studies.designs import CHOSEN, EPOCHS, RATE, name_run, open_bundle, train
from monai_kd.experiment import load_weights
from monai_kd.experiment.history import summarise_scores
from monai_kd.export import write_onnx
from tests.acceptance.pages import format_table, open_parser

CALIBRATION_CASES = 24  # training cases, one window of each


def compare(seed: int, folder: Path, scratch: Path) -> tuple[float, float, float]:
    """Mean test Dice in fp32 and in int8, and the share of mask voxels that differ."""
    parser = open_bundle(CHOSEN, seed, folder=folder, epochs=EPOCHS, rate=RATE).parser
    network = parser.get_parsed_content("network")
    load_weights(network, folder / name_run(CHOSEN, seed, RATE) / "twin" / "model.pt")
    window = parser.get_parsed_content("window")
    plain = write_onnx(network, scratch / "student.onnx", image=torch.zeros(1, 4, *window))
    integer = quantise(plain, list_windows(parser, window))
    cases = list(parser.get_parsed_content("test#dataset"))
    inferer = parser.get_parsed_content("validate#inferer")
    masks = [predict(cases, compile_openvino(plain), inferer)]
    masks += [predict(cases, compile_openvino(integer, "int8"), inferer)]
    differ = statistics.mean(
        float((a != b).float().mean()) for a, b in zip(*masks, strict=True)
    ) / statistics.mean(float(a.any(0).float().mean()) for a in masks[0])
    regions = tuple(parser.get_parsed_content("task").outputs)
    return *(score(cases, found, regions) for found in masks), differ


def list_windows(parser: ConfigParser, window: list[int]) -> list[np.ndarray]:
    """Windows round the middle of training cases, padded where a case is smaller."""
    cases = parser.get_parsed_content("train#dataset_list")[:CALIBRATION_CASES]
    load = parser.get_parsed_content("validate#preprocessing")
    cut = Compose([SpatialPad(window, method="end"), CenterSpatialCrop(window)])
    return [cut(load(case)["image"].as_tensor())[None].numpy() for case in cases]


def predict(
    cases: Sequence[dict[str, Any]], run: Callable[[np.ndarray], np.ndarray], inferer: Inferer
) -> list[Tensor]:
    """Masks of the cases by sliding window."""

    def forward(windows: Tensor) -> Tensor:
        return torch.from_numpy(run(np.ascontiguousarray(windows.numpy())).copy())

    return [inferer(case["image"].as_tensor()[None], forward)[0] > 0 for case in cases]


def score(cases: Sequence[dict[str, Any]], masks: list[Tensor], regions: Sequence[str]) -> float:
    """Mean Dice, as the comparison of the default run counts it."""
    metric = DiceMetric(reduction="none")
    for case, mask in zip(cases, masks, strict=True):
        metric(mask[None].float(), case["label"].as_tensor()[None])
    mean = summarise_scores(metric.aggregate(), outputs=regions)["mean"]
    return float("nan") if mean is None else mean


def main() -> None:
    """Compare each seed and tell."""
    parser = open_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    args = parser.parse_args()
    costs, rows = [], []
    for seed in args.seeds:
        train(CHOSEN, seed, folder=args.folder, epochs=EPOCHS, rate=RATE)
        with tempfile.TemporaryDirectory() as scratch:
            plain, integer, differ = compare(seed, args.folder, Path(scratch))
        costs.append(plain - integer)
        rows.append([seed, f"{plain:.4f}", f"{integer:.4f}", f"{costs[-1]:.4f}", f"{differ:.2%}"])
    heads = "seed", "Dice fp32", "Dice int8", "cost", "voxels that differ, per voxel of mask"
    told = f"Mean cost {statistics.mean(costs):.4f}, worst {max(costs):.4f}."
    (args.folder / "int8.md").write_text(f"{format_table(heads, rows)}\n\n{told}\n")


if __name__ == "__main__":
    main()
