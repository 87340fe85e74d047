"""What a bundle says of itself: the authored description, completed by what was measured."""

from collections.abc import Mapping
from copy import deepcopy
from importlib.metadata import version
from typing import Any

METRIC_PREFIXES = {"student": "", "twin": "undistilled_", "teacher": "teacher_"}


def complete_metadata(
    authored: Mapping[str, Any],
    *,
    metrics: Mapping[str, Any],
    required_packages: Mapping[str, str],
    divisor: int,
    data_note: str,
    modality_dropout: float = 0.0,
) -> dict[str, Any]:
    """Return the authored metadata with measured Dice, installed versions and the shape rule."""
    metadata = deepcopy(dict(authored))
    metadata["monai_version"] = _plain_version("monai")
    metadata["pytorch_version"] = _plain_version("torch")
    metadata["numpy_version"] = _plain_version("numpy")
    required = {name: _plain_version(name) for name in metadata["required_packages_version"]}
    metadata["required_packages_version"] = {**required, **required_packages}
    metadata["data_source"] = data_note
    metadata["modality_dropout"] = modality_dropout
    metadata["eval_metrics"] = _flatten_dice(metrics)
    for tensor in _network_tensors(metadata):
        tensor["spatial_shape"] = [f"{divisor}*n"] * 3
    return metadata


def _plain_version(package: str) -> str:
    return version(package).partition("+")[0]  # "2.13.0+cpu" cannot be installed everywhere


def _flatten_dice(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{prefix}{region.lower()}_dice": round(dice, 4)
        for network, prefix in METRIC_PREFIXES.items()
        for region, dice in metrics["networks"].get(network, {}).get("dice", {}).items()
        if dice is not None
    }


def _network_tensors(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    tensors = metadata["network_data_format"]
    return [tensors["inputs"]["image"], tensors["outputs"]["pred"]]
