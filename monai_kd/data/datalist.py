"""Reads `dataset.json`: which cases are trained on, validated on, held back."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from monai_kd.errors import UserError
from monai_kd.outputs import Task

Part = Literal["training", "validation", "test"]
StrPath = str | os.PathLike[str]


class DatalistError(UserError):
    """A list of cases that cannot serve as it is asked to; the message is one line."""


def read_datalist(dataset_file: StrPath, *, part: Part, fold: int = 0) -> list[dict[str, Any]]:
    """The records of one part, with absolute paths.

    Validation is the given fold of the training cases, training all the others. Only a training
    case may lack a label.
    """
    if part not in get_args(Part):
        raise DatalistError(f"part is '{part}', expected one of {', '.join(get_args(Part))}")
    dataset, folder = read_dataset(dataset_file), Path(dataset_file).absolute().parent
    found = [_resolve(record, folder) for record in _select(dataset, part, fold)]
    if not found:
        folds = sorted({record["fold"] for record in dataset["training"]})
        raise DatalistError(
            f"{dataset_file} has no {part} case at fold {fold}; its folds are {folds}, "
            f"its test cases {len(dataset['test'])}: choose another fold or add cases"
        )
    unknown = [record["case"] for record in found if "label" not in record]
    if unknown and part != "training":
        raise DatalistError(
            f"{dataset_file} has the {part} case {unknown[0]} without a label, so that nothing can "
            "be scored on it: give it one, or list it under 'unlabelled'"
        )
    return found


class TrainingCases(NamedTuple):
    """Records to train on, with a label and without."""

    labelled: list[dict[str, Any]]
    unlabelled: list[dict[str, Any]]

    def select(self, *, labelled_only: bool) -> list[dict[str, Any]]:
        """The labelled ones, followed by the others if they are wanted."""
        return self.labelled + ([] if labelled_only else self.unlabelled)


def read_training_cases(
    dataset_file: StrPath, *, fold: int = 0, one_labelled_in: int = 1
) -> TrainingCases:
    """The training cases and those that came without a label.

    Only the first of every `one_labelled_in` labelled cases keeps its label, for experiments. An
    unlabelled scan of a patient whom this fold validates on is left out.
    """
    if one_labelled_in < 1:
        raise DatalistError(
            f"one_labelled_in is {one_labelled_in}, expected 1 (every case) or more"
        )
    records = read_datalist(dataset_file, part="training", fold=fold)
    known = [record for record in records if "label" in record]
    if not known:
        raise DatalistError(
            f"none of the {len(records)} training cases of {dataset_file} at fold {fold} has a "
            "label: a student needs some to learn from, choose another fold or add cases"
        )
    hidden = [record for number, record in enumerate(known) if number % one_labelled_in]
    dataset, folder = read_dataset(dataset_file), Path(dataset_file).absolute().parent
    listed = [_resolve(record, folder) for record in _select_unlabelled(dataset, fold)]
    given = [record for record in records if "label" not in record] + listed
    without = [{k: v for k, v in record.items() if k != "label"} for record in hidden + given]
    return TrainingCases(known[::one_labelled_in], without)


def count_cases(
    dataset_file: StrPath, *, fold: int = 0, one_labelled_in: int = 1
) -> dict[str, int]:
    """How many labelled cases train, validate, test, and how many `unlabelled` ones train too."""
    trained = read_training_cases(dataset_file, fold=fold, one_labelled_in=one_labelled_in)
    dataset = read_dataset(dataset_file)
    counts = {part: len(_select(dataset, part, fold)) for part in get_args(Part)}
    counts["training"] = len(trained.labelled)
    return counts | ({"unlabelled": len(trained.unlabelled)} if trained.unlabelled else {})


def read_task(stated: Mapping[str, Any] | None) -> Task:
    """What a network is to answer, from what a `dataset.json` states of it under `task`."""
    if not stated:
        raise DatalistError(
            "nothing says what the labels mean: give --labels, such as brats2021 or brats2023, or "
            "a dataset.json beside the scans that names them"
        )
    outputs = {name: tuple(values) for name, values in stated["outputs"].items()}
    return Task(stated["kind"], stated["spatial_dims"], tuple(stated["channels"]), outputs)


def check_task(dataset_file: StrPath, task: Task) -> None:
    """Stop unless the cases are listed for this task."""
    dataset = read_dataset(dataset_file)
    listed = read_task(dataset.get("task"))
    for kind, found, wanted in (
        ("channels", listed.channels, task.channels),
        ("outputs", tuple(listed.outputs), tuple(task.outputs)),
    ):
        if found != wanted:
            raise DatalistError(
                f"{dataset['name']} ({dataset['layout']}) has the {kind} {', '.join(found)}; this "
                f"run is for {', '.join(wanted)}"
            )


def read_titles(dataset_file: StrPath) -> dict[str, str]:
    """What channels and outputs are called for people, where they have other names than their own.

    They are those of the study, if it is one that is known.
    """
    titles: dict[str, str] = read_dataset(dataset_file).get("study", {}).get("titles", {})
    return titles


def read_dataset(dataset_file: StrPath) -> dict[str, Any]:
    """All that `dataset.json` says."""
    content: dict[str, Any] = json.loads(Path(dataset_file).read_text(encoding="utf-8"))
    return content


def _select(dataset: dict[str, Any], part: str, fold: int) -> list[dict[str, Any]]:
    if part in ("training", "validation"):
        validates = part == "validation"
        return [r for r in dataset["training"] if (r["fold"] == fold) == validates]
    selected: list[dict[str, Any]] = dataset[part]
    return selected


def _select_unlabelled(dataset: dict[str, Any], fold: int) -> list[dict[str, Any]]:
    """A record has a fold where its patient has labelled scans too."""
    return [r for r in dataset.get("unlabelled", []) if r.get("fold") != fold]


def _resolve(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths absolute and leave out what a batch cannot hold."""
    image = record["image"]
    paths = [str(folder / path) for path in ([image] if isinstance(image, str) else image)]
    found = {"case": record["case"], "image": paths[0] if len(paths) == 1 else paths}
    return found | ({"label": str(folder / record["label"])} if "label" in record else {})
