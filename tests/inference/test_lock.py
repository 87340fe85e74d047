import errno
import fcntl
import os
import subprocess
import sys

import pytest

from data_prep import DatasetError
from monai_kd.inference.running.lock import hold_folder
from monai_kd.inference.running.shards import WHOLE, Shard

HOLD = """
import sys, time
from pathlib import Path
from monai_kd.inference.running.lock import hold_folder
from monai_kd.inference.running.shards import Shard
with hold_folder(Path(sys.argv[1]), Shard(int(sys.argv[2]), int(sys.argv[3]))):
    print("held", flush=True)
    time.sleep(60)
"""


LOCKLESS = """
import errno, fcntl
def refuse(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
"""


@pytest.fixture
def holder(tmp_path):
    started = []

    def start(shard, disk=""):
        words = map(str, (tmp_path, shard.number, shard.count))
        command = [sys.executable, "-c", disk + HOLD, *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "held\n"
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _try(folder, shard=WHOLE):
    with hold_folder(folder, shard):
        return True


def test_a_folder_is_free_again_and_clean_afterwards(tmp_path):
    assert _try(tmp_path)
    assert _try(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (Shard(1, 2), Shard(2, 2), True),
        (Shard(1, 2), Shard(1, 2), False),
        (Shard(1, 2), Shard(2, 3), False),
        (Shard(1, 2), WHOLE, False),
        (WHOLE, Shard(1, 2), False),
    ],
)
def test_only_shards_of_one_batch_share_a_folder(tmp_path, holder, first, second, both):
    holder(first)
    if both:
        assert _try(tmp_path, second)
    else:
        with pytest.raises(DatasetError, match="in use"):
            _try(tmp_path, second)


def _refuse(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("second", [WHOLE, Shard(1, 2)])
def test_without_locks_of_the_kernel_a_living_process_keeps_and_a_dead_one_does_not(
    tmp_path, holder, monkeypatch, second
):
    process = holder(WHOLE, LOCKLESS)
    monkeypatch.setattr(fcntl, "flock", _refuse)
    with pytest.raises(DatasetError, match=f"in use by process {process.pid} "):
        _try(tmp_path, second)
    process.kill()
    process.wait()
    assert _try(tmp_path, second)
    assert _try(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_locks_of_the_kernel_another_machine_is_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", _refuse)
    (tmp_path / ".predict.held").write_text(f"{os.getpid() + 1}\nelsewhere\n")
    with pytest.raises(DatasetError, match="on elsewhere"):
        _try(tmp_path)
