"""How long it takes to prepare a case and to read a window, beside plain MONAI: a Markdown table.

    python docs/studies/preprocessing.py FOLDER_OF_CASES [SCRATCH]

Both prepare the same cases in one process on one thread, case after case in turn, so that whatever
else the machine does hits both alike. What MONAI does not do (hashes, checksums, the checks, the
exact integers) is counted as our time.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import blosc2
import nibabel
import numpy as np
import torch
from monai.transforms import (
    Compose,
    CropForegroundd,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    SaveImaged,
    SpatialCrop,
)

from data_prep.case import MODALITIES, Case, Dataset
from data_prep.layouts import find_dataset
from data_prep.scans.grid import Grid, from_grid
from data_prep.voxels import VoxelSettings
from data_prep.voxels.build import build_case
from data_prep.voxels.store import read_array
from monai_kd.data.voxels import read_block

WINDOW = 96
REPEATS = 5  # windows per case


def main(source: Path, scratch: Path) -> None:
    """Prepare all cases both ways and tell how long it took."""
    torch.set_num_threads(1)
    blosc2.set_nthreads(1)
    dataset = find_dataset(source)
    plain = _plain_monai(scratch / "monai")
    bare = replace(dataset, cases=(), findings=())
    steps: dict[str, list[float]] = {"ours": [], "monai": []}
    for number, case in enumerate(dataset.cases):
        turns = [
            ("ours", lambda: _prepare(case, bare, scratch / "ours")),  # noqa: B023  # run at once
            ("monai", lambda: plain(_paths(case))),  # noqa: B023
        ]
        for name, step in turns[:: 1 if number % 2 else -1]:
            os.sync()  # what one has written must not be waited for by the other
            steps[name].append(_seconds(step))
    windows = _read_windows(dataset, scratch / "ours")
    _tell(dataset, scratch, steps, windows)


def _plain_monai(folder: Path) -> Callable[[dict[str, str]], Any]:
    keys = [*MODALITIES, "seg"]
    saving = {"output_dir": folder, "output_postfix": "", "separate_folder": False}
    return Compose(
        [
            LoadImaged(keys, ensure_channel_first=True),
            Orientationd(keys, axcodes="RAS", labels=None),
            CropForegroundd(keys, source_key=MODALITIES[0]),
            NormalizeIntensityd(MODALITIES, nonzero=True, channel_wise=True),
            SaveImaged(keys, output_ext=".nii.gz", print_log=False, resample=False, **saving),
        ]
    )


def _prepare(case: Case, dataset: Dataset, folder: Path) -> None:
    build_case(case, dataset=dataset, settings=VoxelSettings(), output_dir=folder)


def _paths(case: Case) -> dict[str, str]:
    return {name: str(i.path) for name, i in case.images.items()} | {"seg": str(case.label)}


def _seconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _read_windows(dataset: Dataset, folder: Path) -> dict[str, list[float]]:
    """Time one window of four modalities, as float32, read in three ways in turn."""
    times: dict[str, list[float]] = {"ours": [], "monai": [], "nibabel": []}
    random = np.random.default_rng(0)
    load = LoadImaged(MODALITIES, ensure_channel_first=True)
    for case in dataset.cases:
        path = folder / case.name / "image.b2nd"
        free = np.array(read_array(path)[0].shape[1:]) - WINDOW
        for _ in range(REPEATS):
            start = [int(s) for s in random.integers(0, np.maximum(free, 0) + 1)]
            times["ours"].append(_seconds(lambda: _window_of_ours(path, start)))  # noqa: B023
            times["monai"].append(_seconds(lambda: _window_of_monai(load, case, start)))  # noqa: B023
            times["nibabel"].append(_seconds(lambda: _window_of_nibabel(case, start)))  # noqa: B023
    return times


def _window_of_ours(path: Path, start: list[int]) -> Any:
    x, y, z = (slice(s, s + WINDOW) for s in start)
    return read_block(path, (x, y, z))


def _window_of_monai(load: LoadImaged, case: Case, start: list[int]) -> Any:
    crop = SpatialCrop(roi_start=start, roi_end=[s + WINDOW for s in start])
    loaded = load({name: str(image.path) for name, image in case.images.items()})
    return torch.cat([crop(loaded[name]) for name in MODALITIES])


def _window_of_nibabel(case: Case, start: list[int]) -> Any:
    x, y, z = (slice(s, s + WINDOW) for s in start)
    images = [nibabel.load(image.path) for image in case.images.values()]
    return np.stack([np.asarray(i.dataobj[x, y, z], dtype=np.float32) for i in images])


def _tell(
    dataset: Dataset,
    scratch: Path,
    steps: dict[str, list[float]],
    windows: dict[str, list[float]],
) -> None:
    ours, monai = median(steps["ours"]), median(steps["monai"])
    read = {name: median(times) * 1000 for name, times in windows.items()}
    raw = sum(path.stat().st_size for case in dataset.cases for path in case.files)
    sizes = {name: _bytes_below(scratch / name) for name in ("ours", "monai")}
    exact = sum(_is_exact(case, scratch / "ours") for case in dataset.cases)
    cases = len(dataset.cases)
    rows = [
        (
            "prepare one case, median",
            f"{ours:.2f} s",
            f"{monai:.2f} s",
            f"{monai / ours:.1f} times",
        ),
        (
            f"prepare {cases} cases",
            f"{sum(steps['ours']):.1f} s",
            f"{sum(steps['monai']):.1f} s",
            f"{sum(steps['monai']) / sum(steps['ours']):.1f} times",
        ),
        (
            f"on disk (raw: {raw / 1e6:.1f} MB)",
            f"{sizes['ours'] / 1e6:.1f} MB",
            f"{sizes['monai'] / 1e6:.1f} MB",
            f"{sizes['ours'] / raw:.2f} of raw",
        ),
        (
            f"window of {WINDOW}^3 x 4, median",
            f"{read['ours']:.1f} ms",
            f"{read['monai']:.0f} ms",
            f"{read['monai'] / read['ours']:.0f} times",
        ),
        (
            "the same, plain nibabel",
            f"{read['ours']:.1f} ms",
            f"{read['nibabel']:.0f} ms",
            f"{read['nibabel'] / read['ours']:.0f} times",
        ),
        ("cases whose integers come back", f"{exact} of {cases}", "none are kept", ""),
    ]
    sys.stdout.write("| | ours | plain MONAI | |\n|---|---|---|---|\n")
    sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_exact(case: Case, folder: Path) -> bool:
    array, described = read_array(folder / case.name / "image.b2nd")
    grid = Grid(array.shape[1:], np.array(described["affine"]))
    original = described["original"]
    turned = (
        from_grid(channel, grid, tuple(original["shape"]), original["affine"]) for channel in array
    )
    sources = (np.asarray(nibabel.load(image.path).dataobj) for image in case.images.values())
    return all(np.array_equal(a, b) for a, b in zip(turned, sources, strict=True))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as scratch_dir:
            main(Path(sys.argv[1]), Path(scratch_dir))
