"""A bundle with random weights, and the mask that MONAI makes by its own configuration."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.bundle import ConfigWorkflow

from monai_kd.export import pack_bundle
from monai_kd.inference.student import Student
from monai_kd.networks import EfficientNetStudent
from tests.made_up_run import write_facts

BUNDLES = Path(__file__).parents[2] / "bundles"
TARGET = "monai_kd.networks.EfficientNetStudent"


def pack_random(
    folder: Path,
    definition: Mapping[str, Any],
    *,
    window: Sequence[int],
    dataset: Mapping[str, Any] | None = None,
) -> Path:
    """Pack a student as a trained one would be; it finds each output in about half of the voxels.

    `dataset` is the list that it was trained on, by default of tumours.
    """
    torch.manual_seed(0)
    network = EfficientNetStudent(**definition)
    image = torch.randn(2, definition.get("in_channels", 4), 32, 32, 32)
    network(image)  # batch norm has statistics of its own
    weights = {k: torch.zeros(3) if v.shape == (3,) else v for k, v in network.state_dict().items()}
    torch.save(weights, folder / "model.pt")
    facts = write_facts(folder)
    if dataset is not None:
        facts["dataset_file"].write_text(json.dumps(dataset))
    return pack_bundle(
        folder / "student",
        network_config={"_target_": TARGET, **definition},
        checkpoint=folder / "model.pt",
        window=window,
        divisor=4,
        sources=BUNDLES,
        **facts,
    )


def change_facts(bundle: Path, name: str = "metadata", **facts: Any) -> None:
    """Overwrite some of what a file of a bundle's configuration says."""
    file = bundle / "configs" / f"{name}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


def segment_in_monai(
    paths: list[str], student: Student, window: Sequence[int], output: Path
) -> np.ndarray:
    output.mkdir()
    ours = (student.folder / "configs" / "inference.json").read_text()
    ours = re.sub(r"scripts\.efficientnet_student\.", "monai_kd.networks.", ours)
    config = output / "inference.json"  # scripts of two bundles would be one module
    config.write_text(re.sub(r"scripts\.\w+\.", "monai_kd.inference.transforms.", ours))
    workflow = ConfigWorkflow(
        str(config),
        workflow_type="infer",
        logging_file=False,
        window=list(window),
        datalist=[paths],
        checkpoint=str(student.checkpoint),
        output_dir=str(output),
        device="cpu",
    )
    workflow.initialize()
    workflow.run()
    (file,) = output.rglob("*.nii.gz")
    mask, scan = nibabel.load(file), nibabel.load(paths[0])
    np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-5)
    assert (mask.shape, mask.get_data_dtype()) == (scan.shape, np.uint8)
    return np.asarray(mask.dataobj)
