"""What a run would do, without a file written: channels, findings, window and time."""

import time
from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from monai_kd.inference.judging.failures import explain, write_line
from monai_kd.inference.requests.opened_case import OpenedCase, read_ahead
from monai_kd.inference.requests.requests import Request
from monai_kd.inference.running.batch import Tally
from monai_kd.inference.running.case_run import CaseRun
from monai_kd.inference.screen import Screen
from monai_kd.inference.segmenting.preparation import Prepared
from monai_kd.inference.segmenting.windows import choose_window, count_voxels, count_windows
from monai_kd.inference.stopwatch import Stopwatch

PROBE_EDGE = 64  # voxels: large enough that a network works at its usual speed


def rehearse(
    requests: Sequence[Request],
    run: CaseRun,
    *,
    screen: Screen,
    open_one: Callable[[Request], OpenedCase],
) -> Tally:
    """Read and judge every case, and say its window and about how long it would take."""
    tally, total = Tally(), 0.0
    per_voxel = _time_a_voxel(run) * (2 if run.calibration else 1)  # opinions
    for request, pending in read_ahead(requests, open_one):
        try:
            opened = pending.result()
            try:
                total += _rehearse_one(opened, run, per_voxel, tally=tally, screen=screen)
            finally:
                opened.close()
        except Exception as error:  # as in the run itself
            tally.failed += 1
            screen.complain(write_line(explain(error, request.name)), error)
        del pending
    can = f"{tally.whole} of {len(requests)} cases can be segmented"
    screen.say(f"{can}, in about {total:.1f} s, reports apart")
    return tally


def _rehearse_one(
    opened: OpenedCase, run: CaseRun, per_voxel: float, *, tally: Tally, screen: Screen
) -> float:
    """Say what there is to be said of one case, and return how long it will take."""
    watch = Stopwatch()
    verdict, prepared = run.prepare(opened, screen.say, watch)
    for reason in verdict.reasons:
        if reason.severity != "note":
            screen.say(f"  {reason}")
    voxels, windows = _plan_windows(opened, run, prepared)
    around = 2 * watch.seconds["prepare"]  # what is done before is undone after
    seconds = opened.seconds + around + voxels * per_voxel
    tally.count({"verdict": verdict.name})
    screen.say(f"{opened.request.name}  {windows}  about {seconds:.1f} s   {verdict.name}")
    return seconds


def _plan_windows(opened: OpenedCase, run: CaseRun, prepared: Prepared) -> tuple[int, str]:
    """Return how many voxels the network will see, and in which windows."""
    _, x, y, z = prepared.image.shape
    shape = (x, y, z)
    student = run.job.student
    most_voxels = count_voxels(run.runtime, shape, run.spare_bytes(opened))
    window = prepared.window or choose_window(
        shape, divisor=student.divisor, most_voxels=most_voxels
    )
    count = count_windows(shape, window)
    edges = " x ".join(map(str, window))
    words = f"window of {edges}" if count == 1 else f"{count} windows of {edges}"
    return count * prod(window), words


def _time_a_voxel(run: CaseRun) -> float:
    student = run.job.student
    edge = -(-PROBE_EDGE // student.divisor) * student.divisor
    image = np.zeros((len(student.channels), edge, edge, edge), dtype=np.float32)
    run.runtime.run(image)
    start = time.perf_counter()
    run.runtime.run(image)
    return (time.perf_counter() - start) / edge**3
