import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import set_determinism

ROOT = Path(__file__).parents[2]
SMALL = {
    "device": "cpu",
    "phantom_cases": 8,
    "phantom_size": 32,
    "max_epochs": 6,
    "teacher_epochs": 1,
    "val_interval": 1,
}
WINDOW = [32, 32, 32]
# Without the first, which changes how this process ends.
CHECKS = ConfigParser.load_config_file(ROOT / "bundles/distill.yaml")["initialize"][1:]
DEADLINE_SECONDS = 240


def command(runs_dir, *, small=SMALL | {"window": WINDOW}, **overrides):
    """The README's main command, made small by overrides."""
    main = {"config_file": "bundles/distill.yaml", "device": "cpu"}
    settings = {**main, **small, "runs_dir": runs_dir, **overrides}
    options = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    return [sys.executable, "-m", "monai.bundle", "run", "training", *options]


def run_main_job(runs_dir, **overrides):
    return subprocess.run(
        command(runs_dir, **overrides),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A small main job, killed while its student was learning and started again to its end."""
    runs = tmp_path_factory.mktemp("runs")
    folder = runs / "phantom"
    kill_when_there(command(runs), wanted=folder / "student" / "history.json")
    epochs_before = len(json.loads((folder / "student" / "history.json").read_text())["records"])
    second = run_main_job(runs)
    assert second.returncode == 0, second.stderr[-3000:]
    return SimpleNamespace(runs=runs, folder=folder, epochs_before=epochs_before, process=second)


@pytest.fixture
def make_workflow(monkeypatch):
    """The main job with overlays of bundles/ in this process, small, nothing of it done yet."""
    monkeypatch.chdir(ROOT)

    def make(*overlays, **settings):
        files = [f"bundles/{name}.yaml" for name in ("distill", *overlays)]
        fixed = {"meta_file": "bundles/metadata.json", "logging_file": False, "run_id": "training"}
        small = {**SMALL, "window": WINDOW, "initialize": CHECKS}
        return ConfigWorkflow(files, **fixed, **small | settings)

    yield make
    set_determinism(None)


@pytest.fixture
def start(make_workflow, finished_run, tmp_path):
    """The main job with overlays, initialised, beside the finished run and on its phantoms."""

    def start(*overlays, **settings):
        places = {"runs_dir": str(finished_run.runs), "run_name": tmp_path.name}
        workflow = make_workflow(*overlays, **places, **settings)
        workflow.initialize()
        return workflow

    return start


def kill_when_there(arguments, *, wanted):
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not wanted.exists():
        assert process.poll() is None, process.stderr.read().decode()[-3000:]
        assert time.monotonic() < deadline, f"no {wanted} in time"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
