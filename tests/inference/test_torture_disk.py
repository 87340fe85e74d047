"""What disks, other runs and kills do to results, through the command in its own process."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.damage.command import (
    ROOT,
    copy_case,
    find_broken,
    is_hidden,
    list_masks,
    predict,
    words,
)

CASES = 12
TRIES = 12
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
# Runs the command once per line, each time in a process of its own that need not import again.
WARM = """
import os, sys
from monai_kd import cli
from monai_kd.inference.running import command
for line in sys.stdin:
    run = os.fork()
    if not run:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(cli.main(line.rstrip("\\n").split("\\t")))
    print(run, flush=True)
    print(os.WTERMSIG(os.waitpid(run, 0)[1]), flush=True)
"""
PRIVATE_MOUNT = """
mount -t tmpfs -o size=2m full "$1" && kept="$2" && cd "$3" && shift 3 && "$@"
code=$? && cp -R "${kept%/kept}/out/." "$kept" && exit $code
"""
CANNOT_WRITE = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


def test_a_disk_that_fills_up_leaves_whole_results_and_three_lines(scans, out, bundle, tmp_path):
    kept = tmp_path / "kept"
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", PRIVATE_MOUNT, "sh"]
    if subprocess.run([*mount[:4], "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mounts of one's own here")
    out.mkdir()
    kept.mkdir()
    before = [*mount, str(out), str(kept), str(ROOT)]
    done = predict(scans, out, bundle, "--probabilities", before=before)
    whole = list_masks(kept)
    assert (done.code, len(done.faults) <= 3) == (1, True)
    assert "no space left on the disk - make room" in done.faults[0]
    assert 1 <= len(whole) < CASES
    assert sorted(path.stem for path in kept.glob("*.json")) == whole
    assert not find_broken(kept)


def test_a_folder_that_may_not_be_written_is_one_line(one, out, bundle):
    out.mkdir()
    out.chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = predict(one, out, bundle, before=CANNOT_WRITE)
    assert (done.code, len(done.faults), list(out.iterdir())) == (2, 1, [])
    assert f"cannot write in {out}: Permission denied" in done.faults[0]


def test_scans_and_folders_that_may_not_be_read_are_named_and_the_others_done(
    scans, one, out, bundle
):
    for name in ("P2", "P3"):
        copy_case(next(scans.glob("*/*")), one / name)
    (one / "P2" / "P2_t2.nii.gz").chmod(0)
    (one / "P3").chmod(0)
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if CANNOT_WRITE else []
    done = predict(one, out, bundle, before=drop)
    (one / "P3").chmod(stat.S_IRWXU)
    assert done.code == 1
    assert [line.split(": ")[0] for line in done.faults] == ["ERROR P2", "ERROR P3"]
    assert all("Permission denied" in line and "[E105]" in line for line in done.faults)
    assert list_masks(out) == ["P1"]


def test_a_full_disk_under_log_and_screen_harms_no_result(one, out, bundle):
    out.mkdir()
    (out / "predict.log").symlink_to("/dev/full")
    with Path("/dev/full").open("w") as full:
        settings = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        done = predict(one, out, bundle, **settings)
    assert (done.code, done.faults, list_masks(out)) == (0, [], ["P1"])


def test_twelve_kills_while_writing_leave_no_file_that_is_not_whole(scans, out, bundle):
    options, caught = ("--probabilities", "--continue"), []
    with subprocess.Popen([sys.executable, "-c", WARM], cwd=ROOT, **PIPES) as warm:
        for number in range(TRIES):
            warm.stdin.write("\t".join(words(scans, out, bundle, *options)[3:]) + "\n")
            warm.stdin.flush()
            run = int(warm.stdout.readline())
            _wait_for_writing(out, writes=1 + number % 4)
            os.kill(run, signal.SIGKILL)
            assert warm.stdout.readline() == f"{signal.SIGKILL}\n"
            caught += [path for path in out.rglob("*") if is_hidden(path, out)]
            assert not find_broken(out)
        warm.stdin.close()
    done = predict(scans, out, bundle, *options)
    assert (done.code, done.faults, len(list_masks(out))) == (0, [], CASES)
    assert caught
    assert not [path for path in out.rglob("*") if is_hidden(path, out)]


def _wait_for_writing(out, writes):
    seen, end = set(), time.monotonic() + 60
    while len(seen) < writes and time.monotonic() < end:
        seen.update(path.name for path in out.glob(".partial-*"))
        time.sleep(0.0002)


def test_of_two_runs_in_one_folder_the_second_ends_in_one_line(scans, out, bundle):
    first = subprocess.Popen(words(scans, out, bundle), cwd=ROOT, stdout=subprocess.DEVNULL)
    lock = out / ".predict.lock"
    while first.poll() is None and not (lock.exists() and lock.stat().st_size):
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = predict(scans, out, bundle, "--overwrite")
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    assert (second.code, len(second.faults)) == (2, 1)
    assert f"in use by process {first.pid}" in second.faults[0]
    assert len(list_masks(out)) == CASES
    assert not find_broken(out)
