"""A bundle folder in the model zoo's format: authored YAML in, published JSON out."""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from monai_kd.data import read_dataset, read_task
from monai_kd.export.folders import replace_folder
from monai_kd.export.mask_labels import number_labels
from monai_kd.export.metadata import complete_metadata, list_scores
from monai_kd.export.model_card import describe_cases, file_name, format_model_card
from monai_kd.export.onnx import write_onnx
from monai_kd.export.vendoring import list_required_packages, vendor_targets
from monai_kd.export.weights import make_network, read_weights

StrPath = str | os.PathLike[str]
_LOGGER = logging.getLogger(__name__)


def pack_bundle(  # noqa: PLR0913  (what is known of a student, from all who know something)
    bundle_dir: StrPath,
    *,
    network_config: Mapping[str, Any],
    checkpoint: StrPath,
    dataset_file: StrPath,
    cases: Mapping[str, int],
    window: Sequence[int],
    divisor: int,
    metrics_file: StrPath,
    modality_dropout: float = 0.0,
    sources: StrPath = "bundles",
) -> Path:
    """Write the student as a bundle that needs MONAI alone, and return its folder.

    The folder appears whole or not at all; an older bundle of that name is replaced. Where the
    package onnx is installed, the network lies there as `models/model.onnx` too: `monai-kd predict`
    opens it without torch.

    Args:
        bundle_dir: the folder to write; its name is the bundle's name.
        network_config: the student as a configuration, `_target_` and arguments.
        checkpoint: the student's weights: a state dict, plain or under `model`.
        dataset_file: `dataset.json` of the cases it was trained and measured on; it states the
            task, and how the scans were prepared.
        cases: how many of them there were, by part.
        window: size in voxels (D H W) of the sliding window.
        divisor: the network takes spatial sizes that are multiples of this.
        metrics_file: `metrics.json` of the run.
        modality_dropout: share of the training windows that lacked some of their channels.
        sources: folder of the authored `inference.yaml`, `metadata.json` and `logging.conf`; the
            licence lies beside that folder.
    """
    final, authored = Path(bundle_dir), Path(sources).absolute()
    _refuse_foreign_folder(final)
    metrics = json.loads(Path(metrics_file).read_text(encoding="utf-8"))
    if not metrics["networks"]["student"]["score"]["mean"]:
        _LOGGER.warning("the student scored 0, or was not scored: do not share %s", final)
    dataset = read_dataset(dataset_file)
    task = read_task(dataset["task"])
    named = {int(value): name for value, name in dataset["labels"].items()}
    labels = number_labels(task, named)
    shape = (len(task.channels), *[divisor] * task.spatial_dims)
    weights = read_weights(
        Path(checkpoint), network_config=network_config, shape=shape, outputs=len(task.outputs)
    )
    description = json.loads((authored / "metadata.json").read_text(encoding="utf-8"))
    with replace_folder(final) as folder:
        config = read_inference_config(authored, kind=task.kind)
        config |= {"network_def": dict(network_config), "window": list(window)}
        config["outputs"] = {name: list(values) for name, values in labels.outputs.items()}
        _fit_to_scans(config, channels=task.channels, spacing_mm=dataset["settings"]["spacing_mm"])
        config = vendor_targets(config, scripts=folder / "scripts")
        metadata = complete_metadata(
            description, dataset=dataset, task=task, labels=labels, divisor=divisor
        )
        metadata["required_packages_version"] |= list_required_packages(folder / "scripts")
        metadata["data_source"] = describe_cases(dataset, cases)
        metadata["modality_dropout"] = modality_dropout
        metadata["eval_metrics"] = list_scores(metrics)
        card = format_model_card(metadata, dataset=dataset, metrics=metrics, config=config)
        _write(folder / "docs" / "README.md", card)
        _write(folder / "scripts" / "__init__.py", '"""The code that this bundle needs."""\n')
        _write(folder / "configs" / "inference.json", json.dumps(config, indent=4) + "\n")
        _write(folder / "configs" / "metadata.json", json.dumps(metadata, indent=4) + "\n")
        shutil.copyfile(authored / "logging.conf", folder / "configs" / "logging.conf")
        shutil.copyfile(authored.parent / "LICENSE", folder / "LICENSE")
        (folder / "models").mkdir()
        with (folder / "models" / "model.pt").open("wb") as file:  # a full disk is then an OSError
            torch.save(weights, file)
        image = torch.zeros(1, shape[0], *(2 * size for size in shape[1:]))
        _add_onnx(folder / "models" / "model.onnx", network_config, weights, image=image)
    return final


def read_inference_config(sources: Path, *, kind: str = "regions") -> dict[str, Any]:
    """Return the authored inference configuration for a kind of task, its macros resolved.

    MONAI resolves a macro's path from the working directory; here it is relative to the folder
    that holds `sources`, wherever the command was given.
    """
    authored = ConfigParser.load_config_file(sources / "inference.yaml")
    config: dict[str, Any] = _resolve_macros(authored, sources.parent, kind=kind)
    return config


def _resolve_macros(value: Any, root: Path, *, kind: str) -> Any:
    if isinstance(value, dict):
        return {key: _resolve_macros(item, root, kind=kind) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve_macros(item, root, kind=kind) for item in value]
    if isinstance(value, str) and value.startswith("%bundles/"):
        file, _, key = value[1:].replace("tasks/regions", f"tasks/{kind}").partition("#")
        found = ConfigParser(ConfigParser.load_config_file(root / file))[key]
        return _resolve_macros(found, root, kind=kind)
    return value


def _fit_to_scans(
    config: dict[str, Any], *, channels: Sequence[str], spacing_mm: Sequence[float] | None
) -> None:
    """Name the files of a case after its channels, and prepare it as training did."""
    config["image"] = [f"$@dataset_dir + '/{file_name(name)}.nii.gz'" for name in channels]
    steps = config["preprocessing"]["transforms"]
    for step in list(steps):
        if "channels" in step:
            step["channels"] = list(channels)
        if "pixdim" in step:
            if spacing_mm is None:
                steps.remove(step)
            step["pixdim"] = spacing_mm


def _refuse_foreign_folder(folder: Path) -> None:
    if folder.exists() and not (folder / "configs" / "metadata.json").is_file():
        raise FileExistsError(f"{folder} exists and is no bundle; give another name or remove it")


def _add_onnx(
    file: Path,
    network_config: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    *,
    image: torch.Tensor,
) -> None:
    """Write the network as a graph; a bundle of one that cannot be traced goes without."""
    if find_spec("onnx") is None:
        _LOGGER.info("no %s: the package onnx is not installed", file.name)
        return
    network = make_network(network_config)
    network.load_state_dict(weights)
    try:
        write_onnx(network, file, image=image)
    except (RuntimeError, TypeError, ValueError) as error:
        _LOGGER.warning("no %s, so predict needs torch: %s", file.name, error)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
