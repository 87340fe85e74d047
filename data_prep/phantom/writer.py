"""Phantoms to a folder, in parallel, so that a killed run is completed by the next."""

import json
import os
from functools import partial
from math import inf
from pathlib import Path

from data_prep.case import PHANTOMS_FILE
from data_prep.errors import DatasetError
from data_prep.files import write_json
from data_prep.parallel import map_in_parallel
from data_prep.phantom.case import GLIOMA, TASKS, PhantomCase
from data_prep.phantom.fields import Shape
from data_prep.phantom.layouts import choose_layout
from data_prep.phantom.volumes import (
    Destination,
    is_written,
    staging_folder,
    write_case,
    write_file,
)

GENERATOR = 1  # raise it when the same seed gives other voxels
SMALLEST_SIDE = 32  # below it the cortex is thinner than a voxel
LARGEST_SIDE = 512  # above it one case needs more memory than a workstation has
STARTED = ".phantoms-started.json"


def write_phantoms(  # noqa: PLR0913  (what phantoms are, said in one call)
    folder: str | os.PathLike[str],
    *,
    cases: int = 40,
    size: int | Shape = 96,
    seed: int = 0,
    layout: str = "brats2019",
    task: str = GLIOMA,
    difficulty: float = 1.0,
    compressed: bool = True,
    workers: int | None = None,
) -> Path:
    """Write `cases` phantoms of `size` voxels of 1 mm to `folder`, named as `layout` has it.

    A folder that is complete with the same parameters is reused, an unfinished one is completed,
    any other is refused. `task` is one of TASKS; see PhantomCase for it and for `difficulty`.
    `workers` processes share the work: by default one per core.
    """
    root, shape = Path(folder), _checked_shape(cases, size, seed)
    if task not in TASKS:
        raise DatasetError(f"no task {task!r} of phantoms, expected one of {', '.join(TASKS)}")
    if not 0 < difficulty < inf:
        raise DatasetError(f"difficulty is {difficulty}, expected a number above 0")
    destination = Destination(root, choose_layout(layout), ".nii.gz" if compressed else ".nii")
    parameters: dict[str, object] = {"cases": cases, "generator": GENERATOR, "seed": seed}
    parameters |= {"size": list(shape), "layout": layout, "task": task, "compressed": compressed}
    if difficulty != 1:
        parameters["difficulty"] = difficulty
    _claim(root, parameters)
    phantoms = [PhantomCase(seed, number, shape, task, difficulty) for number in range(cases)]
    _write_missing(phantoms, destination, workers)
    if not (root / PHANTOMS_FILE).exists():
        write_json(root / PHANTOMS_FILE, parameters)
    (root / STARTED).unlink(missing_ok=True)
    return root


def _checked_shape(cases: int, size: int | Shape, seed: int) -> Shape:
    shape = (size, size, size) if isinstance(size, int) else tuple(size)
    if len(shape) != 3 or min(shape) < SMALLEST_SIDE or max(shape) > LARGEST_SIDE:
        raise DatasetError(
            f"size {size}: expected one or three sides of {SMALLEST_SIDE} to {LARGEST_SIDE} voxels"
        )
    if cases < 1 or seed < 0:
        raise DatasetError(f"{cases} cases with seed {seed}: expected at least 1 case, seed >= 0")
    return shape


def _claim(root: Path, parameters: dict[str, object]) -> None:
    """Stop where something else lies; else note the parameters before the first case."""
    if root.exists() and not root.is_dir():
        raise DatasetError(f"{root} is a file, expected a folder for the phantoms")
    notes = [root / name for name in (PHANTOMS_FILE, STARTED) if (root / name).exists()]
    if notes:
        _check_same(root, json.loads(notes[0].read_text(encoding="utf-8")), parameters)
    elif root.exists() and any(not entry.name.startswith(".") for entry in root.iterdir()):
        raise DatasetError(f"{root} is not empty and holds no phantoms; name another folder")
    else:
        write_json(root / STARTED, parameters)


def _check_same(root: Path, found: dict[str, object], wanted: dict[str, object]) -> None:
    once = {"layout": "brats2019", "task": GLIOMA, "compressed": True}  # the only way, once
    found = once | found
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        details = ", ".join(f"{key} {found.get(key)} not {wanted[key]}" for key in differing)
        raise DatasetError(f"{root} holds other phantoms ({details}); delete it or name another")


def _write_missing(cases: list[PhantomCase], destination: Destination, workers: int | None) -> None:
    root, extras = destination.root, destination.layout.extras(cases, destination.ending)
    missing = [case for case in cases if not is_written(case, destination)]
    if not missing and all((root / name).exists() for name in extras):
        return
    with staging_folder(root) as staging:
        write = partial(write_case, destination=destination, staging=staging)
        map_in_parallel(write, missing, title="Making phantoms", workers=workers)
        for name, text in extras.items():
            write_file(root / name, text.encode(), staging)
