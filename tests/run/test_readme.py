import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.run.conftest import ROOT

pytestmark = pytest.mark.run

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
RUN_ELSEWHERE = {
    "make distill": ".ci/run",
    "make test": ".ci/run",
    "python -m monai.bundle run training --config_file bundles/distill.yaml": "test_main_job.py",
}

CHECK = "monai-kd check FOLDER"
PREDICT = "monai-kd predict FOLDER -o OUT --bundle runs/phantom/bundle"


def run_block(block, *, folder):
    """Run a block as a person would, with the tests' interpreter as `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-ec", block],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(finished_run, tmp_path):
    """A folder in which `runs/phantom` is the finished run, and FOLDER holds one case's files."""
    shutil.copytree(finished_run.folder / "bundle", tmp_path / "runs/phantom/bundle")
    folder = tmp_path / "FOLDER"
    folder.mkdir()
    case = next(finished_run.runs.glob("phantoms-*/HGG/*"))
    for name in ("t1ce", "t1", "t2", "flair"):
        shutil.copy(case / f"{case.name}_{name}.nii.gz", folder / f"{name}.nii.gz")
    return tmp_path


def test_every_command_of_the_readme_is_run_somewhere():
    assert len(BLOCKS) == 6
    for block in BLOCKS:
        command = block.strip()
        tried = command in (CHECK, PREDICT) or command.startswith("cd runs/phantom/bundle\n")
        assert tried or command in RUN_ELSEWHERE, command
    ci = (ROOT / ".ci/run").read_text()
    assert all(command in ci for command, place in RUN_ELSEWHERE.items() if place == ".ci/run")


def test_every_link_of_readme_and_docs_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_check_of_a_folder_passes_phantoms_and_prints_their_mapping(finished_run, tmp_path):
    shutil.copytree(next(finished_run.runs.glob("phantoms-*")), tmp_path / "FOLDER")
    finished = run_block(CHECK, folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    for word in ("t1ce", "brats2021", "8 usable cases: 0 errors"):
        assert word in finished.stdout


def test_the_sharers_command_accepts_the_bundle(project):
    (block,) = [block for block in BLOCKS if "verify_net_in_out" in block]
    finished = run_block(block, folder=project)
    assert finished.returncode == 0, finished.stderr[-2000:]


def test_the_clinicians_command_writes_mask_record_and_report_of_a_case(project):
    assert f"{PREDICT}\n" in BLOCKS
    finished = run_block(PREDICT, folder=project)
    assert finished.returncode == 0, finished.stderr[-2000:]
    written = {path.name for path in (project / "OUT").iterdir()}
    assert {"FOLDER_seg.nii.gz", "FOLDER.json", "FOLDER_report.html"} <= written
    mask = nibabel.load(project / "OUT/FOLDER_seg.nii.gz")
    scan = nibabel.load(project / "FOLDER/t1ce.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    assert mask.shape == scan.shape
    np.testing.assert_allclose(mask.affine, scan.affine)
