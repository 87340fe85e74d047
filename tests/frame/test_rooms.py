"""Each room keeps its rules, and a breach of any of them is named."""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
CONTRACT = "importlinter:contract:"
CONFIG = ConfigParser()
CONFIG.read(ROOT / "setup.cfg")
NAMES = {s.removeprefix(CONTRACT): CONFIG[s]["name"] for s in CONFIG if s.startswith(CONTRACT)}

BREACHES = """
rooms             monai_kd.data                   monai_kd.networks
rooms             monai_kd.networks               monai_kd.distillation
rooms             monai_kd.export                 monai_kd.report
rooms             monai_kd.inference              monai_kd.experiment
data-prep         data_prep                       torch
data-prep         data_prep.scans                 monai_kd.files
scans             data_prep.scans.grid            data_prep.scans.nifti
data-prep-rooms   data_prep.scans                 data_prep.layouts
data-prep-rooms   data_prep.layouts               data_prep.checks
no-data-prep      monai_kd.distillation           data_prep.case
data              monai_kd.data                   nibabel
no-data-prep      monai_kd.experiment             data_prep.case
data              monai_kd.data                   data_prep.case
networks          monai_kd.networks               ignite
distillation      monai_kd.distillation           logging
export            monai_kd.inference              monai_kd.distillation
report            monai_kd.report                 torch
transforms        monai_kd.inference.transforms   monai_kd.networks
inference-rooms   monai_kd.inference.requests     monai_kd.inference.running
inference-rooms   monai_kd.inference.runtimes     monai_kd.inference.judging
inference         monai_kd.inference.running      torch
inference         monai_kd.inference.segmenting   monai
"""
PLANTED = [tuple(line.split()) for line in BREACHES.split("\n") if line]
NEW_ROOMS = [(key, CONFIG[CONTRACT + key]["containers"]) for key in NAMES if key.endswith("rooms")]


def lint(folder):
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    given = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    return subprocess.run([LINT, "--no-cache"], check=False, **given)


def plant(folder, module, content=""):
    path = folder / f"{module.replace('.', '/')}.py"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as source:
        source.write(content)


def name_breach(number):
    """A new file of a room, or the file that a contract names."""
    room = PLANTED[number][1]
    is_file = (ROOT / f"{room.replace('.', '/')}.py").is_file()
    return room if is_file else f"{room}.breach_{number}"


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """What is said of each contract once all breaches are planted at once."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("monai_kd", "data_prep"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.gz"))
    shutil.copy(ROOT / "setup.cfg", folder)
    for number, (*_, imported) in enumerate(PLANTED):
        plant(folder, name_breach(number), f"import {imported}\n")
    for _, container in NEW_ROOMS:
        plant(folder, f"{container}.helpers.__init__")
    finished = lint(folder)
    assert finished.returncode == 1, finished.stdout
    parts = re.split(r"\n(.+)\n-{9,}\n", finished.stdout.split("Broken contracts")[1])
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_rooms_as_they_stand_keep_their_rules():
    finished = lint(ROOT)
    assert finished.returncode == 0, finished.stdout


def test_no_contract_has_an_exception_and_each_has_a_breach_planted():
    assert not [key for key in NAMES if "ignore_imports" in CONFIG[CONTRACT + key]]
    assert {key for key, *_ in PLANTED} == set(NAMES)


@pytest.mark.parametrize("number", range(len(PLANTED)), ids=[" ".join(row) for row in PLANTED])
def test_a_planted_breach_is_named_under_its_contract(broken, number):
    key, _, imported = PLANTED[number]
    assert f"- {name_breach(number)} -> {imported} " in re.sub(" +", " ", broken[NAMES[key]])


@pytest.mark.parametrize(("key", "container"), NEW_ROOMS)
def test_a_new_room_needs_its_place(broken, key, container):
    assert f"- {container}.helpers\n" in broken[NAMES[key]]
