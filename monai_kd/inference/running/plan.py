"""Which cases of a request this run has to do, in view of what lies in the output folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_prep.errors import DatasetError
from data_prep.rules import Rule
from data_prep.schemes import LabelScheme
from monai_kd.inference.judging.twins import Twins
from monai_kd.inference.requests.opened_case import open_case
from monai_kd.inference.requests.requests import Request
from monai_kd.inference.results.record import tool_name
from monai_kd.inference.results.result_files import ResultFiles, find_change, read_record
from monai_kd.inference.running.batch import Tally
from monai_kd.inference.screen import Screen
from monai_kd.inference.student import Student


def refuse_existing(requests: Iterable[Request], output: Path) -> None:
    """Stop before anything that lies in the folder would be replaced."""
    found = [ResultFiles(output, request.name).present for request in requests]
    present = [path for path in found if path is not None]
    if present:
        raise DatasetError(
            f"{output} holds results of {len(present)} of these {len(found)} cases, such as "
            f"{present[0].name}; give --continue to keep what is still true, or --overwrite"
        )


def skip_whole(  # noqa: PLR0913  (what a run was asked for, all of which may have changed)
    requests: Iterable[Request],
    output: Path,
    *,
    student: Student,
    scheme: LabelScheme,
    probabilities: bool,
    uncertainty: bool,
    reports: bool,
    coregister: bool,
    tally: Tally,
    twins: Twins,
    screen: Screen,
) -> list[Request]:
    """Return the requests without a whole and true result; say of the others' why it is redone."""
    redone = []
    for request in requests:
        files = ResultFiles(output, request.name)
        wanted = [files.probability(name) for name in student.regions if probabilities]
        wanted += [files.uncertainty] if uncertainty else []
        wanted += [files.report] if reports else []
        wanted += [files.dicom] if _had_dicom(files) else []
        change = (
            None
            if files.present is None
            else _find_change(request, files, student, scheme, wanted=wanted, coregister=coregister)
        )
        record = read_record(files.record)
        if files.present is None or change or record is None:
            redone.append(request)
            if change:
                screen.say(f"{request.name}  done again: {change}")
        else:
            tally.count(record)
            twins.remember(record)
            screen.say(f"{request.name}  whole, kept")
    return redone


def _had_dicom(files: ResultFiles) -> bool:
    """Tell whether a mask in DICOM belongs to the result."""
    record = read_record(files.record) or {}
    from_dicom = any("series" in one for one in record.get("sequences", {}).values())
    refused = any(reason["code"] == Rule.NO_DICOM_MASK.code for reason in record.get("reasons", ()))
    return from_dicom and not refused


def _find_change(
    request: Request,
    files: ResultFiles,
    student: Student,
    scheme: LabelScheme,
    **asked: Any,
) -> str | None:
    asked |= {"tool": tool_name(), "bundle_sha256": student.sha256, "scheme": scheme.name}
    if request.dicom is None:
        return find_change(files, request.case, **asked)
    try:
        opened = open_case(request)
    except Exception:  # it will be told when its turn comes
        return "its DICOM files have changed"
    series = opened.dicom.series if opened.dicom else {}
    asked["hashes"] = {name: one.sha256 for name, one in series.items()}
    try:
        return find_change(files, opened.request.case, **asked)
    finally:
        opened.close()
