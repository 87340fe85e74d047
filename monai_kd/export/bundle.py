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

from monai_kd.export.folders import replace_folder
from monai_kd.export.metadata import complete_metadata
from monai_kd.export.model_card import format_model_card
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
    window: Sequence[int],
    divisor: int,
    metrics_file: StrPath,
    data_note: str,
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
        window: size in voxels (D H W) of the sliding window.
        divisor: the network takes spatial sizes that are multiples of this.
        metrics_file: `metrics.json` of the run.
        data_note: plain words on the cases it was trained and measured on.
        modality_dropout: share of the training windows that lacked some of their sequences.
        sources: folder of the authored `inference.yaml`, `metadata.json` and `logging.conf`; the
            licence lies beside that folder.
    """
    final, authored = Path(bundle_dir), Path(sources).absolute()
    _refuse_foreign_folder(final)
    metrics = json.loads(Path(metrics_file).read_text(encoding="utf-8"))
    description = json.loads((authored / "metadata.json").read_text(encoding="utf-8"))
    weights = read_weights(
        Path(checkpoint),
        network_config=network_config,
        channels=_channels_of(description),
        divisor=divisor,
    )
    with replace_folder(final) as folder:
        config = read_inference_config(authored)
        config |= {"network_def": dict(network_config), "window": list(window)}
        config = vendor_targets(config, scripts=folder / "scripts")
        metadata = complete_metadata(
            description,
            metrics=metrics,
            required_packages=list_required_packages(folder / "scripts"),
            divisor=divisor,
            data_note=data_note,
            modality_dropout=modality_dropout,
        )
        card = format_model_card(metadata, metrics=metrics, window=window)
        _write(folder / "docs" / "README.md", card)
        _write(folder / "scripts" / "__init__.py", '"""The code that this bundle needs."""\n')
        _write(folder / "configs" / "inference.json", json.dumps(config, indent=4) + "\n")
        _write(folder / "configs" / "metadata.json", json.dumps(metadata, indent=4) + "\n")
        shutil.copyfile(authored / "logging.conf", folder / "configs" / "logging.conf")
        shutil.copyfile(authored.parent / "LICENSE", folder / "LICENSE")
        (folder / "models").mkdir()
        with (folder / "models" / "model.pt").open("wb") as file:  # a full disk is then an OSError
            torch.save(weights, file)
        image = torch.zeros(1, _channels_of(description)[0], *[2 * divisor] * 3)
        _add_onnx(folder / "models" / "model.onnx", network_config, weights, image=image)
    return final


def read_inference_config(sources: Path) -> dict[str, Any]:
    """Return the authored inference configuration with its macros resolved.

    MONAI resolves a macro's path from the working directory; here it is relative to the folder
    that holds `sources`, wherever the command was given.
    """
    authored = ConfigParser.load_config_file(sources / "inference.yaml")
    parser = ConfigParser(_root_macros(authored, sources.parent))
    parser.resolve_macro_and_relative_ids()
    config: dict[str, Any] = parser.get()
    return config


def _root_macros(config: Any, root: Path) -> Any:
    if isinstance(config, dict):
        return {key: _root_macros(value, root) for key, value in config.items()}
    if isinstance(config, list):
        return [_root_macros(item, root) for item in config]
    if isinstance(config, str) and config.startswith("%bundles/"):
        return f"%{root / config[1:]}"
    return config


def _refuse_foreign_folder(folder: Path) -> None:
    if folder.exists() and not (folder / "configs" / "metadata.json").is_file():
        raise FileExistsError(f"{folder} exists and is no bundle; give another name or remove it")


def _channels_of(description: Mapping[str, Any]) -> tuple[int, int]:
    tensors = description["network_data_format"]
    image, pred = tensors["inputs"]["image"], tensors["outputs"]["pred"]
    return image["num_channels"], pred["num_channels"]


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
