"""What a run would do, without a file written: sequences, findings, window and time."""

import time
from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from monai_kd.inference.calibration import Calibration
from monai_kd.inference.judging.failures import explain, write_line
from monai_kd.inference.judging.judging import check_names, describe_opened, judge_case
from monai_kd.inference.judging.twins import Twins
from monai_kd.inference.judging.verdict import Verdict
from monai_kd.inference.requests.opened_case import OpenedCase, read_ahead
from monai_kd.inference.requests.requests import Request
from monai_kd.inference.running.batch import Tally
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.screen import Screen
from monai_kd.inference.segmenting.segmentation import count_excess, prepare
from monai_kd.inference.segmenting.windows import choose_window, count_voxels, count_windows
from monai_kd.inference.student import Student

PROBE_EDGE = 64  # voxels: large enough that a network works at its usual speed


def rehearse(
    requests: Sequence[Request],
    *,
    student: Student,
    runtime: Runtime,
    calibration: Calibration | None,
    most_bytes: int,
    screen: Screen,
    open_one: Callable[[Request], OpenedCase],
) -> Tally:
    """Read and judge every case, and tell its window and about how long it would take."""
    tally, total, twins = Tally(), 0.0, Twins()
    per_voxel = _time_a_voxel(student, runtime) * (2 if calibration else 1)  # opinions
    for request, pending in read_ahead(requests, open_one):
        try:
            opened = pending.result()
            try:
                verdict = _judge(opened, student, calibration, twins, screen)
                seconds, windows = _estimate(
                    opened, student, runtime, most_bytes=most_bytes, per_voxel=per_voxel
                )
                total += seconds
                tally.count({"verdict": verdict.name})
                told = f"{request.name}  {windows}  about {seconds:.1f} s   {verdict.name}"
                screen.say(told)
            finally:
                opened.close()
        except Exception as error:  # as in the run itself
            tally.failed += 1
            screen.complain(write_line(explain(error, request.name)), error)
        del pending
    can = f"{tally.whole} of {len(requests)} cases can be segmented"
    screen.say(f"{can}, in about {total:.1f} s, reports apart")
    return tally


def _judge(
    opened: OpenedCase,
    student: Student,
    calibration: Calibration | None,
    twins: Twins,
    screen: Screen,
) -> Verdict:
    check_names(opened)
    for line in describe_opened(opened):
        screen.say(line)
    alike = twins.find(opened.inspection)
    verdict = judge_case(opened, student, calibration).with_reasons(alike)
    for reason in verdict.reasons:
        if reason.severity != "note":
            screen.say(f"  {reason}")
    return verdict


def _estimate(
    opened: OpenedCase, student: Student, runtime: Runtime, *, most_bytes: int, per_voxel: float
) -> tuple[float, str]:
    """How long a case will take, and in which windows."""
    start = time.perf_counter()
    prepared = prepare(opened.ready, student, runtime, most_bytes=most_bytes)
    _, x, y, z = prepared.image.shape
    spare = most_bytes - count_excess(opened.ready.scans.values())
    shape, most_voxels = (x, y, z), count_voxels(runtime, (x, y, z), spare)
    window = choose_window(shape, divisor=student.divisor, most_voxels=most_voxels)
    count = count_windows(shape, window)
    around = 2 * (time.perf_counter() - start)  # what is done before is undone after
    edges = " x ".join(map(str, window))
    told = f"window of {edges}" if count == 1 else f"{count} windows of {edges}"
    return opened.seconds + around + count * prod(window) * per_voxel, told


def _time_a_voxel(student: Student, runtime: Runtime) -> float:
    edge = -(-PROBE_EDGE // student.divisor) * student.divisor
    image = np.zeros((len(student.modalities), edge, edge, edge), dtype=np.float32)
    runtime.run(image)
    start = time.perf_counter()
    runtime.run(image)
    return (time.perf_counter() - start) / edge**3
