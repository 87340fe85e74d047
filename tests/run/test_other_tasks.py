"""Tasks that are no tumour run from scans to a bundle and a prediction, by YAML alone."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

from data_prep import write_phantoms
from monai_kd import cli
from tests.run.conftest import run_main_job

pytestmark = pytest.mark.run
SMALL = {"max_epochs": 1, "teacher_epochs": 1}


def write_task(folder, channels, classes, cases):
    """A task of the decathlon of `(image, label, spacing in mm)` by name."""
    for kind in ("imagesTr", "labelsTr"):
        (folder / kind).mkdir(parents=True)
    for name, (image, label, spacing_mm) in cases.items():
        affine = np.diag([spacing_mm] * 3 + [1.0])
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / "imagesTr" / name)
        nibabel.save(nibabel.Nifti1Image(label, affine), folder / "labelsTr" / name)
    content = {
        "modality": {str(number): name for number, name in enumerate(channels)},
        "labels": {str(value): name for value, name in enumerate(["background", *classes])},
        "training": [{"image": f"imagesTr/{n}", "label": f"labelsTr/{n}"} for n in cases],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def read_phantoms(folder):
    """Phantoms as one modality and two classes, the tumour and what lies around it."""
    write_phantoms(folder, cases=8, size=(34, 36, 32), layout="msd", workers=1)
    for path in sorted((folder / "imagesTr").glob("*.nii.gz")):
        image = np.asarray(nibabel.load(path).dataobj)[..., 0]
        label = np.asarray(nibabel.load(folder / "labelsTr" / path.name).dataobj)
        yield path.name, (image, np.where(label > 1, 1, 2 * label).astype(np.uint8), 1.0)


def make_layers(number):
    """Nested boxes of three brightnesses, seen in five channels."""
    random = np.random.default_rng(number)
    label = np.zeros((36, 40, 33), np.uint8)
    for value in (1, 2, 3):
        label[4 * value : -4 * value, 5 * value : -5 * value, 4 * value : -4 * value] = value
    noise = random.normal(100, 5, (*label.shape, 5))
    return (noise + 40 * label[..., None] * np.arange(1, 6)).astype(np.float32), label, 2.0


def run(folder, dataset_dir, overlay):
    """The main job with an overlay of these keys; its folder."""
    (folder / "task.yaml").write_text(yaml.safe_dump(overlay))
    files = f"['bundles/distill.yaml','{folder / 'task.yaml'}']"
    settings = {"config_file": files, "dataset_dir": dataset_dir, "run_name": "own", **SMALL}
    finished = run_main_job(folder / "runs", small={}, **settings)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "Dice on the test cases" in finished.stdout
    return folder / "runs" / "own"


def predict(run_dir, scan, output):
    arguments = ["predict", scan, "-o", output, "--bundle", run_dir / "bundle"]
    assert cli.main([str(argument) for argument in arguments]) == 0
    (mask,) = Path(output).glob("*_seg.nii.gz")
    found, given = nibabel.load(mask), nibabel.load(scan)
    np.testing.assert_allclose(found.affine, given.affine, atol=1e-5)
    assert found.shape == given.shape[:3]
    return set(np.unique(np.asarray(found.dataobj)).tolist())


def test_phantoms_as_a_task_of_one_modality_and_two_classes_take_an_overlay_of_one_key(tmp_path):
    phantoms = dict(read_phantoms(tmp_path / "made"))
    task = write_task(tmp_path / "Task99", ["MRI"], ["Inner", "Outer"], phantoms)
    folder = run(tmp_path, task, {"recipe": "small"})
    stated = json.loads((folder / "dataset.json").read_text())["task"]
    assert (stated["kind"], stated["channels"]) == ("classes", ["MRI"])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["outputs"] == ["Inner", "Outer"]
    assert "Inner" in (folder / "report.html").read_text()
    scan = sorted((task / "imagesTr").iterdir())[0]
    assert predict(folder, scan, tmp_path / "out") <= {0, 1, 2}


def test_a_task_that_nobody_planned_for_runs_to_a_prediction(tmp_path):
    cases = {f"layers_{number}.nii.gz": make_layers(number) for number in range(8)}
    names = ["CT", "PET", "MR a", "MR b", "US"]
    task = write_task(tmp_path / "Task98", names, ["shell", "middle", "heart"], cases)
    folder = run(tmp_path, task, {"recipe": "small", "spacing_mm": [2.0, 2.0, 2.0]})
    metadata = json.loads((folder / "bundle" / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["inputs"]["image"]["num_channels"] == 5
    assert "middle_dice" in metadata["eval_metrics"]
    config = json.loads((folder / "bundle" / "configs" / "inference.json").read_text())
    assert config["preprocessing"]["transforms"][3]["pixdim"] == [2.0, 2.0, 2.0]
    assert config["image"][2].endswith("'/MR_a.nii.gz'")
    scan = sorted((task / "imagesTr").iterdir())[0]
    assert predict(folder, scan, tmp_path / "out") <= {0, 1, 2, 3}
