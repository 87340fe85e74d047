"""One case with its voxels, and the next one read while it is computed."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from data_prep.checks import Inspection, inspect_case
from data_prep.dicom.series import DicomCase, convert_dicom
from data_prep.layouts import find_dataset
from data_prep.registration.coregistration import Coregistration, coregister
from data_prep.scans import Scan, count_bytes
from monai_kd.inference.budget import READ_TIMES, check_need
from monai_kd.inference.requests.requests import Request
from monai_kd.inference.student import Student

THREADS = 2  # that read and check, while the network computes the case before

Opened = TypeVar("Opened")


@dataclass(frozen=True, eq=False)
class OpenedCase:
    """A case to be segmented by `student`; `inspection` is of the scans as they were given.

    `staging` holds the scans of a DICOM case as files, as long as this object is open.
    """

    request: Request
    student: Student
    inspection: Inspection
    seconds: float
    dicom: DicomCase | None = None
    staging: "TemporaryDirectory[str] | None" = None
    coregistration: Coregistration | None = None

    @property
    def ready(self) -> Inspection:
        """The scans to segment: as given, or as they were brought together."""
        return self.coregistration.inspection if self.coregistration else self.inspection

    @cached_property
    def scans(self) -> dict[str, Scan]:
        """Those of them that the student takes, in its order; the mask lies on the first."""
        return {name: self.ready.scans[name] for name in self.student.among(self.ready.scans)}

    @property
    def reference(self) -> str:
        """The channel on whose voxels the mask lies."""
        return next(iter(self.scans))

    def close(self) -> None:
        """Remove what was only there for this case."""
        if self.staging is not None:
            self.staging.cleanup()


def open_case(
    request: Request, student: Student, *, together: bool = False, most_bytes: int | None = None
) -> OpenedCase:
    """Read and check all scans of a case; a folder of DICOM is brought into files first.

    Bring `together` those of the student's channels that lie apart, onto the first. Raise a
    DatasetError where the scans would take more memory than `most_bytes`.
    """
    start = time.perf_counter()
    opened = _open(request, student, start, most_bytes)
    if not together:
        return opened
    try:
        found = coregister(opened.inspection, modalities=student.channels)
    except BaseException:
        opened.close()
        raise
    return replace(opened, coregistration=found, seconds=time.perf_counter() - start)


def _open(request: Request, student: Student, start: float, most_bytes: int | None) -> OpenedCase:
    if request.dicom is None:
        voxels = sum(map(count_bytes, request.case.files))
        check_need("reading its scans", READ_TIMES * voxels, most_bytes)
        inspection = inspect_case(request.case, dataset=request.dataset, threads=THREADS)
        return OpenedCase(request, student, inspection, time.perf_counter() - start)
    staging = TemporaryDirectory(prefix="monai-kd-")
    try:
        folder, dicom = convert_dicom(request.dicom, Path(staging.name), choices=request.series)
        dataset = find_dataset(folder, partial=True)
        case = replace(dataset.cases[0], name=request.name, label=None)
        inspection = inspect_case(case, dataset=dataset, threads=THREADS)
    except BaseException:
        staging.cleanup()
        raise
    found = replace(request, case=case, dataset=replace(dataset, layout="DICOM"))
    return OpenedCase(found, student, inspection, time.perf_counter() - start, dicom, staging)


def read_ahead(
    requests: Sequence[Request], open_one: Callable[[Request], Opened]
) -> Iterator[tuple[Request, Future[Opened]]]:
    """Give each request with its case, the next being read meanwhile: two are held at the most.

    The first is being read from this call on. The caller lets go of a case before it asks for the
    next.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="reader")
    first = [pool.submit(open_one, request) for request in requests[:1]]
    return _read_on(requests, open_one, pool, first)


def _read_on(
    requests: Sequence[Request],
    open_one: Callable[[Request], Opened],
    pool: ThreadPoolExecutor,
    pending: list[Future[Opened]],
) -> Iterator[tuple[Request, Future[Opened]]]:
    with pool:
        try:
            for number, request in enumerate(requests, start=1):
                pending[0].exception()  # wait: one case is read at a time
                pending += [pool.submit(open_one, later) for later in requests[number : number + 1]]
                yield request, pending.pop(0)
        finally:
            for future in pending:
                future.cancel()
