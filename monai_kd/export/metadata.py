"""What a bundle says of itself: the authored description, completed by task and measurements."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib.metadata import version
from typing import Any

from monai_kd.export.mask_labels import MaskLabels
from monai_kd.outputs import Task

METRIC_PREFIXES = {"student": "", "twin": "undistilled_", "teacher": "teacher_"}


def complete_metadata(
    authored: Mapping[str, Any],
    *,
    dataset: Mapping[str, Any],
    task: Task,
    labels: MaskLabels,
    divisor: int,
) -> dict[str, Any]:
    """Return the authored metadata with the task's channels and outputs and installed versions.

    `dataset` is what `dataset.json` says; what it knows of the study gives names for people.
    """
    study = dataset.get("study", {})
    titles: Mapping[str, str] = study.get("titles", {})
    channels = [titles.get(name, name) for name in task.channels]
    outputs = [titles.get(name, name) for name in task.scored]
    subject = f"{study['subject']} in MRI: " if "subject" in study else ""
    metadata = deepcopy(dict(authored)) | {
        "name": f"{study.get('name', dataset['name'])} student",
        "task": f"Segmentation of {subject}{', '.join(outputs)}",
        "description": f"A small {task.spatial_dims}D network, distilled from a larger teacher, "
        f"that segments {', '.join(outputs)} from {_count(channels)} on a CPU.",
        "image_classes": "; ".join([", ".join(channels), *filter(None, [study.get("input")])]),
        "label_classes": _list_values(dataset["labels"]),
        "pred_classes": _list_values({0: "background"} | dict(labels.names)),
        "output_kind": task.kind,
        **{key: study[key] for key in ("modality", "organ") if key in study},
        **{f"{name}_version": _plain_version(p) for name, p in _PINNED.items()},
    }
    required = {name: _plain_version(name) for name in metadata["required_packages_version"]}
    metadata["required_packages_version"] = required
    tensors = metadata["network_data_format"]
    image, pred = tensors["inputs"]["image"], tensors["outputs"]["pred"]
    saved = tensors["post_processed_outputs"]["pred"]
    image |= {"num_channels": len(channels), "channel_def": _number(channels)}
    image["modality"] = study.get("modality", "n/a")
    found = [titles[name].capitalize() if name in titles else name for name in task.outputs]
    pred |= {"num_channels": len(found), "channel_def": _number(found)}
    image["spatial_shape"] = pred["spatial_shape"] = [f"{divisor}*n"] * task.spatial_dims
    saved["value_range"] = [0, max(labels.names)]
    saved["channel_def"] = {"0": "background"} | {str(v): n for v, n in labels.names.items()}
    return metadata


def list_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The measured scores of a run's networks, by names without blanks."""
    metric = metrics["metric"].lower()
    return {
        f"{prefix}{output.lower().replace(' ', '_')}_{metric}": round(score, 4)
        for network, prefix in METRIC_PREFIXES.items()
        for output, score in metrics["networks"].get(network, {}).get("score", {}).items()
        if score is not None
    }


_PINNED = {"monai": "monai", "pytorch": "torch", "numpy": "numpy"}


def _plain_version(package: str) -> str:
    return version(package).partition("+")[0]  # "2.13.0+cpu" cannot be installed everywhere


def _count(channels: Sequence[str]) -> str:
    images = "one image" if len(channels) == 1 else f"{len(channels)} images"
    return f"{images} ({', '.join(channels)})"


def _list_values(names: Mapping[Any, str]) -> str:
    return ", ".join(f"{value} {name}" for value, name in names.items())


def _number(names: Sequence[str]) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}
