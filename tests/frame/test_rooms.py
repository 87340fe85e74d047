import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")

BREACHES = [
    ("data_prep/breach.py", "import torch", "data_prep knows neither torch nor monai_kd"),
    ("data_prep/breach.py", "import monai_kd.files", "data_prep knows neither torch nor monai_kd"),
    ("monai_kd/files.py", "import data_prep", "monai_kd does not import data_prep"),
    ("monai_kd/prediction/breach.py", "import torch", "prediction starts within a second"),
    ("monai_kd/prediction/breach.py", "import monai_kd.experiment", "imports downwards only"),
    ("monai_kd/data/breach.py", "import monai_kd.networks", "imports downwards only"),
    ("monai_kd/data/breach.py", "import nibabel", "data reads files"),
    ("monai_kd/networks/breach.py", "import ignite", "networks knows no engine"),
    ("monai_kd/networks/breach.py", "import monai_kd.distillation", "imports downwards only"),
    ("monai_kd/inference/breach.py", "import monai_kd.distillation", "nothing of distillation"),
    ("monai_kd/inference/breach.py", "import monai_kd.networks", "imports nothing of ours"),
    ("monai_kd/distillation/breach.py", "import logging", "distillation does no logging"),
    ("monai_kd/export/breach.py", "import monai_kd.report", "imports downwards only"),
    ("monai_kd/report/breach.py", "import torch", "report reads files"),
    ("monai_kd/helpers/__init__.py", "", "imports downwards only"),
]


def lint(folder):
    command = [LINT, "--no-cache"]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path):
    for package in ("monai_kd", "data_prep"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def test_the_rooms_as_they_stand_keep_their_rules(copy):
    finished = lint(copy)
    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize(("file", "line", "rule"), BREACHES)
def test_a_planted_breach_turns_the_check_red(copy, file, line, rule):
    path = copy / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as source:
        source.write(f"\n{line}\n")
    finished = lint(copy)
    assert finished.returncode == 1, finished.stdout
    assert f"{rule}" in finished.stdout.split("Broken contracts")[1]
