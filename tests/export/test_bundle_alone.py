"""The packed bundle where `monai_kd` cannot be imported, by the commands of its own model card."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

NAMES = ("t1ce", "t1", "t2", "flair")
BRATS = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
REFUSAL = """
import sys

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("monai_kd", "data_prep"):
            raise ModuleNotFoundError(f"{name} is not there")

sys.meta_path.insert(0, Refusal())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text(REFUSAL)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    return kept | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


def call(*words: str, bundle: Path, environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "monai.bundle", *words]
    done = subprocess.run(
        command, cwd=bundle, env=environment, capture_output=True, text=True, check=False
    )
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    assert "ERROR" not in log
    assert "Traceback" not in log
    return log


def save_case(scan: nibabel.Nifti1Image, folder: Path) -> list[str]:
    folder.mkdir(parents=True)
    paths = [str(folder / f"{name}.nii.gz") for name in NAMES]
    for path, volume in zip(paths, nibabel.four_to_three(scan), strict=True):
        nibabel.save(volume, path)
    nibabel.save(scan, folder / "scan4d.nii.gz")
    return paths


def make_scan(*, storage: str) -> nibabel.Nifti1Image:
    voxels = np.zeros((40, 36, 30, 4), np.int16)
    voxels[4:37, 3:33, 4:27] = np.random.default_rng(0).integers(50, 400, (33, 30, 23, 4))
    scan = nibabel.Nifti1Image(voxels, BRATS)
    wanted = nibabel.orientations.axcodes2ornt(tuple(storage))
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(BRATS), wanted)
    return scan.as_reoriented(turn)


def assert_same_grid(mask: nibabel.Nifti1Image, scan: nibabel.Nifti1Image) -> None:
    assert mask.get_data_dtype() == np.uint8
    assert mask.shape == scan.shape[:3]
    np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-5)


def test_the_zoo_accepts_the_network(bundle: Path, environment: dict[str, str]) -> None:
    files = ("--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json")
    words = ("verify_net_in_out", "--net_id", "network_def", *files)
    assert "verified with no error" in call(*words, bundle=bundle, environment=environment)


def test_four_files_and_one_4d_file_give_the_same_mask_in_the_space_of_the_scan(
    bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    scans = {storage: make_scan(storage=storage) for storage in ("LPS", "PSR")}
    cases = []
    for storage, scan in scans.items():
        cases.append({"image": save_case(scan, tmp_path / storage)})
        cases.append({"image": str(tmp_path / storage / "scan4d.nii.gz")})
    words = ("run", "--config_file", "configs/inference.json", "--datalist", str(cases))
    call(*words, "--output_dir", str(tmp_path / "out"), bundle=bundle, environment=environment)
    for storage, scan in scans.items():
        four, one = (
            nibabel.load(tmp_path / "out" / storage / f"{name}_seg.nii.gz")
            for name in ("t1ce", "scan4d")
        )
        assert_same_grid(four, scan)
        assert_same_grid(one, scan)
        np.testing.assert_array_equal(four.dataobj, one.dataobj)
        assert set(np.unique(four.dataobj)) == {0, 1, 2, 3}


def test_the_shortest_command_segments_the_scan_in_the_input_folder(
    bundle: Path, environment: dict[str, str]
) -> None:
    scan = make_scan(storage="LPS")
    save_case(scan, bundle / "input")
    call("run", "--config_file", "configs/inference.json", bundle=bundle, environment=environment)
    (mask,) = (bundle / "output").iterdir()
    assert_same_grid(nibabel.load(mask), scan)
