"""What `bundles/inference.yaml` promises, with a voxelwise network in the student's place."""

import itertools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

ROOT = Path(__file__).parents[3]
NAMES = ("t1ce", "t1", "t2", "flair")
BRATS = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
VOXELWISE = {"_target_": "torch.nn.Conv3d", "in_channels": 4, "out_channels": 3, "kernel_size": 1}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "model.pt"
    torch.save(torch.nn.Conv3d(4, 3, 1).state_dict(), path)
    return path


def make_scan(affine: np.ndarray = BRATS) -> nibabel.Nifti1Image:
    scan = np.zeros((26, 22, 18, 4), np.int16)
    scan[3:24, 2:20, 4:16] = np.random.default_rng(0).integers(50, 400, (21, 18, 12, 4))
    return nibabel.Nifti1Image(scan, affine)


def save_modalities(scan: nibabel.Nifti1Image, folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"{name}.nii.gz") for name in NAMES]
    for path, volume in zip(paths, nibabel.four_to_three(scan), strict=True):
        nibabel.save(volume, path)
    return paths


def open_workflow(**overrides: Any) -> ConfigWorkflow:
    return ConfigWorkflow(
        "bundles/inference.yaml",
        workflow_type="infer",
        logging_file=False,
        network_def=VOXELWISE,
        window=[16, 16, 16],
        **overrides,
    )


def segment(datalist: list[Any], *, checkpoint: Path, output: Path) -> list[Path]:
    workflow = open_workflow(
        datalist=datalist, checkpoint=str(checkpoint), output_dir=str(output), device="cpu"
    )
    workflow.initialize()
    workflow.run()
    return sorted(output.rglob("*.nii.gz"))


def test_every_property_that_consumers_ask_for_is_there(tmp_path: Path) -> None:
    workflow = open_workflow(datalist=[save_modalities(make_scan(), tmp_path)], device="cpu")
    workflow.initialize()
    assert workflow.check_properties() == []


@pytest.mark.parametrize("axes", [*itertools.permutations("RAS"), tuple("LPI"), tuple("SPL")])
def test_the_mask_lies_on_the_grid_of_the_scan_however_it_is_stored(
    axes: tuple[str, ...], checkpoint: Path, tmp_path: Path
) -> None:
    scan = make_scan()
    wanted = nibabel.orientations.axcodes2ornt(axes)
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(scan.affine), wanted)
    stored = scan.as_reoriented(turn)
    cases = [save_modalities(scan, tmp_path / "a"), save_modalities(stored, tmp_path / "b")]
    straight, turned = segment(cases, checkpoint=checkpoint, output=tmp_path / "out")
    mask, expected = nibabel.load(turned), nibabel.load(straight).as_reoriented(turn)
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_allclose(mask.affine, stored.affine, atol=1e-5)
    np.testing.assert_array_equal(mask.dataobj, expected.dataobj)
    assert set(np.unique(mask.dataobj)) == {0, 1, 2, 3}


def test_oblique_scans_of_other_voxel_sizes_get_their_own_grid_back(
    checkpoint: Path, tmp_path: Path
) -> None:
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    scan = make_scan(turned @ np.diag([0.8, 1.0, 1.5, 1.0]))
    cases = [save_modalities(scan, tmp_path)]
    (path,) = segment(cases, checkpoint=checkpoint, output=tmp_path / "out")
    mask = nibabel.load(path)
    assert mask.shape == scan.shape[:3]
    np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-5)


def test_patients_with_equal_file_names_keep_their_own_results(
    checkpoint: Path, tmp_path: Path
) -> None:
    patients = [save_modalities(make_scan(), tmp_path / patient) for patient in ("P1", "P2")]
    written = segment(patients, checkpoint=checkpoint, output=tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == [
        "P1/t1ce_seg.nii.gz",
        "P2/t1ce_seg.nii.gz",
    ]


def test_missing_weights_stop_the_work(tmp_path: Path) -> None:
    cases = [save_modalities(make_scan(), tmp_path)]
    with pytest.raises(RuntimeError) as stop:
        segment(cases, checkpoint=tmp_path / "model.pt", output=tmp_path / "out")
    assert isinstance(stop.value.__cause__, FileNotFoundError)
    assert not (tmp_path / "out").exists()
