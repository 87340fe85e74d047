"""Every way in which a dataset can be wrong: code, severity, what it is, how to mend it.

An error leaves the case out, a warning and a note do not. The codes: 1 the file, 2 its geometry,
3 its intensities, 4 the label, 5 the dataset.
"""

from enum import Enum
from typing import Literal

Severity = Literal["error", "warning", "note"]


class Rule(Enum):
    """One rule; the value is (code, severity, title, mend)."""

    TRUNCATED = ("E101", "error", "file ends early", "copy or download it again")
    EMPTY_FILE = ("E102", "error", "file of zero bytes", "copy or download it again")
    BIT_ROT = ("E103", "error", "gzip checksum mismatch", "copy or download it again")
    NOT_A_FILE = ("E104", "error", "not a regular file", "put the scan itself there")
    UNREADABLE = ("E105", "error", "cannot be opened", "check that it exists and who may read it")
    NOT_NIFTI = ("E106", "error", "not a NIfTI file", "convert the scan to NIfTI")
    IS_DICOM = ("E107", "error", "DICOM named as NIfTI", "convert it, for example with dcm2niix")
    BAD_HEADER = ("E108", "error", "header makes no sense", "export the scan again")
    ABSURD_SIZE = ("E109", "error", "header claims an absurd size", "export the scan again")
    TRAILING_BYTES = ("E110", "error", "more data than the header claims", "export it again")
    PLAIN_AS_GZIP = ("N111", "note", "named .gz, not compressed", "rename it to .nii")

    def __init__(self, code: str, severity: Severity, title: str, mend: str) -> None:
        self.code = code
        self.severity: Severity = severity
        self.title = title
        self.mend = mend
