"""Bundles, options and folders that are wrong, for both pipelines."""

import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from data_prep.case import MODALITIES
from tests.acceptance.torture_pipelines import Ran, list_images, predict, run_zoo
from tests.acceptance.torture_results import (
    HARMLESS,
    REFUSE,
    RIGHT,
    SILENT,
    Seen,
    Study,
    list_folders,
)

Look = Callable[[Study], Seen]


def _ours(study: Study, *options: str, spoil: Callable[[Path], object] | None = None) -> Seen:
    out = _place(study)
    student, scans = study.student, study.source
    if spoil is not None:
        folder = Path(shutil.copytree(student.folder, out.with_name("bundle"), dirs_exist_ok=True))
        (folder / "models" / "model.onnx").unlink(missing_ok=True)
        spoil(folder / "models" / "model.pt")
        student = replace(student, folder=folder)
    ran = predict(student, scans, out, *options)
    return _alone(study.see_ours(ran, out, study.case, REFUSE, None))


def _zoo(study: Study, spoil: Callable[[Path], object] | None = None, **override: Any) -> Seen:
    out = _place(study)
    if spoil is not None:
        checkpoint = Path(shutil.copy(study.student.checkpoint, out.with_name("model.pt")))
        spoil(checkpoint)
        override["checkpoint"] = str(checkpoint)
    images = [list_images(folder) for folder in list_folders(study.source)]
    return _alone(study.see_zoo(run_zoo(study.student, images, out, **override), out, REFUSE, None))


def _place(study: Study) -> Path:
    out = study.source.with_name("set")
    shutil.rmtree(out, ignore_errors=True)
    out.unlink(missing_ok=True)
    return out


def _alone(seen: Seen) -> Seen:
    """In a setting there is no spoilt case and so no neighbour; a mask is not looked at."""
    text = seen.text.replace(", neighbour lost", "")
    text = text if seen.lines else text.replace("no mask", "not a word")
    return replace(seen, neighbour_lost=False, text=text)


def _cut(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:20_000])


@dataclass
class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def _plant(checkpoint: Path) -> None:
    checkpoint.write_bytes(pickle.dumps(_Payload(), protocol=2))


def _ours_into_a_file(study: Study) -> Seen:
    out = _place(study)
    out.touch()
    return _alone(study.see_ours(predict(study.student, study.source, out), out, "", REFUSE, None))


def _zoo_into_a_file(study: Study) -> Seen:
    out = _place(study)
    out.touch()
    images = [list_images(folder) for folder in list_folders(study.source)]
    return _alone(study.see_zoo(run_zoo(study.student, images, out), out, REFUSE, None))


def _ours_of_nothing(study: Study) -> Seen:
    out, empty = _place(study), study.source.with_name("empty")
    empty.mkdir(exist_ok=True)
    return _alone(study.see_ours(predict(study.student, empty, out), out, "", REFUSE, None))


def _zoo_of_nothing(study: Study) -> Seen:
    out = _place(study)
    return _alone(study.see_zoo(run_zoo(study.student, [], out), out, REFUSE, None))


def _make_equal_names(study: Study) -> Path:
    root = study.source.with_name("equal")
    for place, folder in enumerate(list_folders(study.source)):
        for name, path in zip(MODALITIES, list_images(folder), strict=True):
            copy = root / f"P{place}" / f"{name}.nii.gz"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return root


def _ours_of_equal_names(study: Study) -> Seen:
    out, root = _place(study), _make_equal_names(study)
    return _count_masks(study, predict(study.student, root, out), out)


def _zoo_of_equal_names(study: Study) -> Seen:
    out, root = _place(study), _make_equal_names(study)
    images = [[folder / f"{n}.nii.gz" for n in MODALITIES] for folder in sorted(root.iterdir())]
    ran = run_zoo(study.student, images, out)
    return _count_masks(study, replace(ran, faults=ran.faults[study.usual :]), out)


def _count_masks(study: Study, ran: Ran, out: Path) -> Seen:
    masks = len(list(out.rglob("*_seg.nii.gz")))
    outcome = RIGHT if (ran.code, masks) == (0, 2) else SILENT if ran.code == 0 else "told"
    first = f", {ran.faults[0]}" if ran.code else ""
    text = f"exit {ran.code}, 2 patients, {masks} masks{first}".replace(f"{out.parent}/", "")
    return Seen(outcome, text, len(ran.faults), neighbour_lost=False)


# What it should be, and how each pipeline is asked.
SETTINGS: Mapping[str, tuple[str, Look, Look]] = MappingProxyType(
    {
        "unknown option": (
            REFUSE,
            lambda study: _ours(study, "--output_dri", "x"),
            lambda study: _zoo(study, output_dri="x"),
        ),
        "output is a file": (REFUSE, _ours_into_a_file, _zoo_into_a_file),
        "empty folder, or list": (REFUSE, _ours_of_nothing, _zoo_of_nothing),
        "two patients of equal file names": (HARMLESS, _ours_of_equal_names, _zoo_of_equal_names),
        "checkpoint is cut": (
            REFUSE,
            lambda study: _ours(study, "--runtime", "torch", spoil=_cut),
            lambda study: _zoo(study, spoil=_cut),
        ),
        "checkpoint is missing": (
            REFUSE,
            lambda study: _ours(study, spoil=Path.unlink),
            lambda study: _zoo(study, spoil=Path.unlink),
        ),
        "checkpoint holds code": (
            REFUSE,
            lambda study: _ours(study, "--runtime", "torch", spoil=_plant),
            lambda study: _zoo(study, spoil=_plant),
        ),
    }
)
