import errno
import io
import logging
import os
import signal
import subprocess
import sys

import pytest
from ignite.engine import Engine
from torch.utils.data import DataLoader

from monai_kd.data import ViewBankError
from monai_kd.errors import UserError
from monai_kd.experiment import ExperimentError, report_in_one_line
from monai_kd.networks import EfficientNetStudent


@pytest.fixture
def tell(monkeypatch, capsys):
    """What a person sees when this is raised deep within MONAI."""

    def told(raising, *kinds):
        monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
        report_in_one_line(*kinds)
        try:
            try:
                raising()
            except Exception as cause:
                raise RuntimeError("wrapped") from cause
        except RuntimeError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        return capsys.readouterr().err

    return told


def stop(error):
    def raising():
        raise error

    return raising


@pytest.mark.parametrize(
    "error", [UserError("fix it"), ExperimentError("fix it"), LookupError("fix it")]
)
def test_a_known_error_ends_in_one_line_however_deep_it_lies(tell, error):
    assert tell(stop(error), LookupError) == "error: fix it\n"


def test_a_fault_of_our_own_code_keeps_its_traceback(tell):
    told = tell(lambda: EfficientNetStudent(4))
    assert "Traceback" in told
    assert "ValueError: spatial_dims is 4, expected 2 or 3.\n" in told


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_in_one_line_that_says_how_to_go_on(tell, number):
    told = tell(stop(OSError(number, os.strerror(number))))
    assert told.startswith("error: no space is left on the disk: free some, and run the same")
    assert told.count("\n") == 1


def test_a_full_disk_is_found_behind_what_torch_makes_of_it(tell):
    def save():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904

    assert tell(save).startswith("error: no space is left on the disk")


def test_the_console_shows_no_announcement_of_an_error_that_is_shown_anyway(tell, monkeypatch):
    console, log = (logging.StreamHandler(io.StringIO()) for _ in range(2))
    monkeypatch.setattr(logging.getLogger(), "handlers", [console])
    tell(lambda: None)
    logging.getLogger().addHandler(log)  # a run's log, opened later, has all
    with pytest.raises(KeyboardInterrupt):
        Engine(lambda *_: stop(KeyboardInterrupt())()).run([0])
    assert console.stream.getvalue() == ""
    assert "terminating due to exception" in log.stream.getvalue()


class _Views:
    def __len__(self):
        return 1

    def __getitem__(self, _index):
        raise ViewBankError("the view bank has no such view: fill it")


def test_an_error_in_a_worker_of_a_loader_ends_in_one_line_too(tell):
    told = tell(lambda: next(iter(DataLoader(_Views(), num_workers=1))))
    assert told == "error: the view bank has no such view: fill it\n"


@pytest.mark.parametrize("error", [OSError("disk on fire"), ValueError("disk on fire")])
def test_an_error_of_others_keeps_its_traceback(tell, error):
    told = tell(stop(error))
    assert "Traceback" in told
    assert "disk on fire" in told


def test_an_interrupt_says_that_nothing_is_lost():
    script = (
        "from monai_kd.experiment import report_in_one_line as r; r(); raise KeyboardInterrupt()"
    )
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == -signal.SIGINT
    assert finished.stderr.startswith("interrupted: run the same command again")
    assert finished.stderr.count("\n") == 1
