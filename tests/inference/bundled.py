"""The mask that MONAI makes by a bundle's own configuration."""

import re
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from monai.bundle import ConfigWorkflow

from monai_kd.inference.student import Student


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
