"""Below the output folder a result is named after its scan, and never lies anywhere else."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Transform


class ResultName:
    """For `output_name_formatter` of MONAI's `SaveImage`: the scan's path below all that is listed.

    So `P1/scan.nii.gz` and `P2/scan.nii.gz` keep apart. A scan that is not listed, where somebody
    gives the data set other cases, is named by its whole path. Nothing is read from the disk.

    >>> name = ResultName([["/data/P1/a.nii.gz"], ["/data/P2/a.nii.gz"]])
    >>> name({"filename_or_obj": "/data/P2/a.nii.gz"}, None)["subject"]
    'P2/a.nii.gz'
    >>> name({"filename_or_obj": "/other/a.nii.gz"}, None)["subject"]
    'other/a.nii.gz'
    """

    def __init__(self, datalist: Sequence[Any]) -> None:
        self.folders = {str(_first_of(case).parent) for case in datalist}
        self.root = os.path.commonpath(self.folders) if self.folders else None

    def __call__(self, metadict: Mapping[str, Any] | None, saver: Transform) -> dict[str, Any]:
        """Return the name, relative, and the number of the patch."""
        found = metadict or {}
        file = found.get("filename_or_obj")
        subject = self._shorten(file) if file else str(getattr(saver, "_data_index", 0))
        return {"subject": subject, "idx": found.get("patch_index")}

    def _shorten(self, file: str) -> str:
        path = Path(file).absolute()
        is_listed = str(path.parent) in self.folders
        return str(path.relative_to(self.root if self.root and is_listed else path.anchor))


def _first_of(case: Any) -> Path:
    image = case["image"] if isinstance(case, Mapping) else case
    return Path(image if isinstance(image, str | Path) else image[0]).absolute()
