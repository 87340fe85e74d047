import signal
import subprocess
import sys

import pytest

SCRIPT = """
from monai_kd.experiment import ExperimentError, report_in_one_line
report_in_one_line(LookupError)
try:
    raise {error}
except Exception as cause:
    raise RuntimeError("wrapped") from cause
"""


def run_script(error):
    command = [sys.executable, "-c", SCRIPT.format(error=error)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("error", ["ExperimentError('mend it')", "LookupError('mend it')"])
def test_a_known_error_ends_in_one_line_however_deep_it_lies(error):
    finished = run_script(error)
    assert finished.returncode == 1
    assert finished.stderr == "error: mend it\n"


def test_an_interrupt_says_that_nothing_is_lost():
    finished = run_script("KeyboardInterrupt()")
    assert finished.returncode == -signal.SIGINT
    assert finished.stderr.startswith("interrupted: the same command goes on")
    assert finished.stderr.count("\n") == 1


def test_an_unknown_error_keeps_its_traceback():
    finished = run_script("OSError('disk on fire')")
    assert finished.returncode == 1
    assert "Traceback" in finished.stderr
    assert "disk on fire" in finished.stderr
