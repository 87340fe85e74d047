"""What is wanted of each case of a run, all of which may have changed since an earlier one."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import DatasetError
from data_prep.rules import Rule
from data_prep.schemes import LabelScheme
from monai_kd.inference.judging.twins import Twins
from monai_kd.inference.requests.opened_case import open_case
from monai_kd.inference.requests.requests import Request
from monai_kd.inference.results.result_files import ResultFiles, find_change, read_record
from monai_kd.inference.running.batch import Tally
from monai_kd.inference.screen import Screen
from monai_kd.inference.student import Student
from monai_kd.version import tool_name


@dataclass(frozen=True)
class Job:
    """The student, the values of its masks, and what is written beside them into `output`."""

    student: Student
    scheme: LabelScheme
    output: Path
    probabilities: bool = False
    uncertainty: bool = False
    reports: bool = False
    coregister: bool = False

    def files_of(self, case: str) -> ResultFiles:
        """Where the results of a case lie."""
        return ResultFiles(self.output, case, self.student.outputs)

    def refuse_existing(self, requests: Iterable[Request]) -> None:
        """Stop before anything that lies in the folder would be replaced."""
        found = [self.files_of(request.name).present for request in requests]
        present = [path for path in found if path is not None]
        if present:
            raise DatasetError(
                f"{self.output} holds results of {len(present)} of these {len(found)} cases, such "
                f"as {present[0].name}; give --continue to keep what is still true, or --overwrite"
            )

    def skip_whole(
        self, requests: Iterable[Request], *, tally: Tally, twins: Twins, screen: Screen
    ) -> list[Request]:
        """Return the requests without a whole and true result; say why others are done again."""
        redone = []
        for request in requests:
            files = self.files_of(request.name)
            absent = files.present is None
            change = None if absent else self._find_change(request, files)
            record = read_record(files.record)
            if absent or change or record is None:
                redone.append(request)
                if change:
                    screen.say(f"{request.name}  done again: {change}")
            else:
                tally.count(record)
                twins.remember(record)
                screen.say(f"{request.name}  whole, kept")
        return redone

    def _find_change(self, request: Request, files: ResultFiles) -> str | None:
        asked: dict[str, Any] = {
            "tool": tool_name(),
            "bundle_sha256": self.student.sha256,
            "scheme": self.scheme.name,
            "wanted": self._list_wanted(files),
            "coregister": self.coregister,
        }
        if request.dicom is None:
            return find_change(files, request.case, **asked)
        try:
            opened = open_case(request, self.student)
        except Exception:  # it is reported when its turn comes
            return "its DICOM files have changed"
        series = opened.dicom.series if opened.dicom else {}
        asked["hashes"] = {name: one.sha256 for name, one in series.items()}
        try:
            return find_change(files, opened.request.case, **asked)
        finally:
            opened.close()

    def _list_wanted(self, files: ResultFiles) -> list[Path]:
        """The files that a whole result has beside mask and record."""
        wanted = [files.probability(name) for name in self.student.outputs if self.probabilities]
        wanted += [files.uncertainty] if self.uncertainty else []
        wanted += [files.report] if self.reports else []
        return [*wanted, files.dicom] if _had_dicom(files) else wanted


def _had_dicom(files: ResultFiles) -> bool:
    """Say whether a mask in DICOM belongs to the result."""
    record = read_record(files.record) or {}
    from_dicom = any("series" in one for one in record.get("sequences", {}).values())
    refused = any(reason["code"] == Rule.NO_DICOM_MASK.code for reason in record.get("reasons", ()))
    return from_dicom and not refused
