"""The order of work and what ends it, with small cases in the place of scans."""

import os
import signal
import threading
import weakref
from dataclasses import dataclass, field
from errno import ENOSPC

import pytest

from data_prep.errors import DatasetError
from data_prep.findings import Finding, LeftOutError
from data_prep.rules import Rule
from monai_kd.inference.budget import count_threads, measure_free_memory, parse_size
from monai_kd.inference.judging.failures import explain, write_line
from monai_kd.inference.requests.opened_case import read_ahead
from monai_kd.inference.running.batch import Batch, Tally, describe_result
from monai_kd.inference.running.shards import Shard
from monai_kd.inference.screen import Screen

FULL = OSError(ENOSPC, "No space left on device")


@dataclass(frozen=True)
class _Named:
    name: str


@dataclass(eq=False)
class _Opened:
    request: _Named
    voxels: bytearray = field(default_factory=lambda: bytearray(100))

    def close(self):
        self.voxels = bytearray()


@dataclass
class _Stage:
    """Runs a batch of cases called a, b, c, ... and notes what happened."""

    faults: dict = field(default_factory=dict)
    report_faults: dict = field(default_factory=dict)
    finished: list = field(default_factory=list)
    left_out: list = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def run(self, names="abcd", open_one=_Opened):
        batch = Batch(
            finish=self.finish,
            afterwards=self.report,
            leave_out=lambda name, error: self.left_out.append(name),
            tally=self.tally,
            screen=Screen(quiet=True),
        )
        batch.run(read_ahead([_Named(name) for name in names], open_one), len(names))
        return self

    def finish(self, opened, tell):
        name = opened.request.name
        if name in self.faults:
            raise self.faults[name]
        self.finished.append(name)
        return {"case": name, "verdict": "PASS", "reasons": [], "volumes_ml": {}}

    def report(self, opened, record):
        if record["case"] in self.report_faults:
            raise self.report_faults[record["case"]]


def test_a_case_that_fails_is_left_out_and_the_others_go_on():
    stage = _Stage(faults={"b": RuntimeError("odd"), "c": MemoryError()}).run()
    assert (stage.finished, stage.left_out) == (["a", "d"], ["b", "c"])
    assert stage.tally.exit_code() == 1


def test_a_case_that_cannot_be_opened_is_left_out_too():
    def open_one(request):
        if request.name == "a":
            raise OSError("no DICOM")
        return _Opened(request)

    stage = _Stage().run(open_one=open_one)
    assert (stage.finished, stage.left_out) == (list("bcd"), ["a"])


def test_a_report_that_fails_is_told_and_its_case_stays_whole(capsys):
    stage = _Stage(report_faults={"a": ValueError("no picture")}).run("ab")
    assert stage.tally.whole == 2
    assert stage.tally.exit_code() == 1
    assert capsys.readouterr().err.startswith("ERROR a, report: ValueError: no picture")


def test_the_next_case_is_opened_meanwhile_and_no_third_is_held():
    alive, most = weakref.WeakSet(), []
    second = threading.Event()

    def open_one(request):
        opened = _Opened(request)
        alive.add(opened)
        if request.name == "b":
            second.set()
        return opened

    class Watching(_Stage):
        def finish(self, opened, tell):
            assert second.wait(10)
            most.append(len(alive))
            return super().finish(opened, tell)

    Watching().run("abcdefgh", open_one)
    assert max(most) <= 2


@pytest.mark.parametrize("count", [1, 3, 7])
def test_shards_share_all_cases_and_none_twice(count):
    cases = [_Named(name) for name in "abcde"]
    shards = [Shard(number, count).take(cases) for number in range(1, count + 1)]
    assert sorted(case.name for shard in shards for case in shard) == list("abcde")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FULL, "E701"),
        (PermissionError(13, "Permission denied", "out/a.json"), "E702"),
        (MemoryError(), "E703"),
        (RuntimeError("odd"), Rule.NOT_UNDERSTOOD.code),
    ],
)
def test_every_failure_is_one_line_with_code_case_and_mend(error, code):
    line = write_line(explain(error, "case-07"))
    assert line.startswith("ERROR case-07: ")
    assert " - " in line
    assert line.endswith(f"[{code}]")
    assert "\n" not in line


@pytest.mark.parametrize("told", ["4.dcm: cut - copy it again", "values outshine; export it"])
def test_a_mend_is_told_once(told):
    (reason,) = explain(DatasetError(told), "case-07")
    assert reason.text == told


def test_several_reasons_are_told_as_one_line_that_counts_the_rest():
    found = [Finding(Rule.EMPTY_FILE, "p\n1", f"{n}.nii.gz", "0 bytes") for n in "ab"]
    line = write_line(explain(LeftOutError(found), "p\n1"))
    told = "ERROR p\\n1: a.nii.gz: 0 bytes - copy or download it again [E102], and 1 more"
    assert line == told


def test_a_result_is_told_with_its_interval():
    volumes = {"WT": {"value": 84.14, "low": 80.0, "high": 88.0}}
    volumes["TC"] = {"value": 31.0, "low": None, "high": None}
    record = {"case": "p1", "verdict": "PASS", "reasons": [], "volumes_ml": volumes}
    assert describe_result(record) == "p1  WT 84.1 [80.0-88.0] ml  TC 31.0   PASS"


def test_the_interpreters_own_handler_returns_after_a_batch():
    before = signal.getsignal(signal.SIGINT)
    _Stage().run()
    assert signal.getsignal(signal.SIGINT) is before


def test_sizes_of_memory_are_read_as_people_write_them():
    assert parse_size("6G") == parse_size("6 GiB") == parse_size("6144m") == 6 * 2**30


def _machine(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_tightest_of_machine_and_groups_limits_the_memory(tmp_path):
    _machine(tmp_path, proc__meminfo="MemTotal: 9 kB\nMemAvailable: 8388608 kB\n")
    alone = measure_free_memory(tmp_path)
    _machine(
        tmp_path,
        proc__self__cgroup="0::/job/step\n",
        sys__fs__cgroup__job__memoryDOTmax=str(2**31),
        sys__fs__cgroup__job__memoryDOTcurrent=str(2**30 + 2**20),
        sys__fs__cgroup__job__memoryDOTstat=f"anon 1\ninactive_file {2**20}\n",
        sys__fs__cgroup__job__step__memoryDOTmax="max",
        sys__fs__cgroup__job__step__memoryDOTcurrent="1",
    )
    assert alone == int(2**33 * 0.9)
    assert measure_free_memory(tmp_path) == int(2**30 * 0.9)


def test_a_quota_of_half_a_core_is_one_thread(tmp_path):
    _machine(
        tmp_path,
        proc__self__cgroup="0::/\n",
        sys__fs__cgroup__cpuDOTmax="50000 100000\n",
    )
    assert count_threads(tmp_path) == 1
    assert count_threads(tmp_path / "nothing") >= 1
    assert count_threads(tmp_path) <= (os.cpu_count() or 1)
