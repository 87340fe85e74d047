"""One scan under the names of two cases: one of them is not the patient that it says."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from data_prep.checks import Inspection
from data_prep.findings import Finding
from data_prep.rules import Rule


class Twins:
    """The hashes of all scans of a run, and the case that had each of them first."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def remember(self, record: Mapping[str, Any]) -> None:
        """Take note of a case that an earlier run has done."""
        for scan in record.get("sequences", {}).values():
            self._owners.setdefault(scan.get("sha256"), record["case"])

    def find(self, inspection: Inspection) -> list[Finding]:
        """Say of a scan that has the bytes of one in an earlier case."""
        name = inspection.case.name
        for path, sha256 in inspection.hashes.items():
            owner = self._owners.setdefault(sha256, name)
            if owner != name:
                detail = f"the same bytes as in case {owner}"
                return [
                    Finding(Rule.SAME_SCAN, name, PurePath(path).name, detail, weighed="warning")
                ]
        return []
