"""Phantoms of which some are spoilt, and what a run of predict has left of them."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep import write_phantoms
from data_prep.scans import read_scan
from monai_kd.inference.judging.verdict import EMPTY
from monai_kd.inference.results.result_files import ResultFiles
from tests.damage import CORRUPTIONS, corrupt
from tests.damage.corruption import EVERY

OWN = ("utc", "seconds", "peak_memory_mib")  # of one run: what the same case has anew in another


def make_batch(folder: Path, count: int, bad: int, sizes: Sequence[int]) -> dict[str, str]:
    """Write phantoms of alternating sizes and spoil some; return the rule that each breaks."""
    each = -(-count // len(sizes))
    for place, size in enumerate(sizes):
        made = write_phantoms(folder.with_name(f"made-{size}"), cases=each, size=size, seed=place)
        for index, case in enumerate(sorted(made.glob("*/*/"))):
            number = index * len(sizes) + place
            if number < count:
                _take(case, folder / "HGG" / f"BraTS19_PHANTOM_{number + 1:03}_1")
        shutil.rmtree(made)
    names = sorted(case.name for case in (folder / "HGG").iterdir())
    spoilt = {
        names[index * count // bad + count // bad // 2]: way
        for index, way in enumerate(choose_ways(bad))
    }
    for name, way in spoilt.items():
        corrupt(folder, name, way)
    return {name: CORRUPTIONS[way].rule.code for name, way in spoilt.items()}


def choose_ways(count: int) -> list[str]:
    """Return as many corruptions, of all kinds, that must leave a case out whatever the student."""
    ways = [
        way.name
        for way in CORRUPTIONS.values()
        if way.rule.severity == "error" and way.rule.code[1] in "123" and way.rule not in EMPTY
    ]
    if count > len(ways):
        raise SystemExit(f"{count} bad cases: only {len(ways)} ways to spoil one are known")
    return [ways[index * len(ways) // count] for index in range(count)]


def _take(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for name in EVERY:
        (source / f"{source.name}_{name}.nii.gz").rename(target / f"{target.name}_{name}.nii.gz")


class Results:
    """What a run has left of a batch whose bad cases are known, with the rule that each breaks."""

    def __init__(self, output: Path, cases: Path, bad: Mapping[str, str], *, reports: bool) -> None:
        self.output, self.cases, self.bad, self.reports = output, cases, bad, reports
        names = sorted(case.name for case in (cases / "HGG").iterdir())
        self.names = names
        self.good = [name for name in names if name not in bad]

    def of(self, name: str) -> ResultFiles:
        """The files of a case."""
        return ResultFiles(self.output, name)

    def at(self, output: Path) -> "Results":
        """The same batch in another folder."""
        return Results(output, self.cases, self.bad, reports=self.reports)

    def is_there(self, name: str) -> bool:
        """Tell whether a case is done, by what is written last of it."""
        files = self.of(name)
        return files.record.exists() and (not self.reports or files.report.exists())

    def files(self, name: str) -> Iterator[Path]:
        """All that a whole result has."""
        files = self.of(name)
        yield from (files.label, files.record)
        if self.reports:
            yield files.report

    def is_whole(self, name: str) -> bool:
        """The mask is readable to its last byte and on the scan's voxels, the rest is complete."""
        files = self.of(name)
        if not all(path.exists() for path in self.files(name)):
            return False
        scan = read_scan(self.cases / "HGG" / name / f"{name}_t1ce.nii.gz")
        mask = read_scan(files.label)
        same = mask.voxels.shape == scan.voxels.shape and np.array_equal(mask.affine, scan.affine)
        told = json.loads(files.record.read_text("utf-8"))["case"] == name
        ended = not self.reports or files.report.read_text("utf-8").rstrip().endswith("</html>")
        return same and told and ended

    def names_reason(self, name: str, errors: str) -> bool:
        """Tell whether the rule stands beside the case's name in its record and on stderr."""
        code, path = self.bad[name], self.of(name).left_out
        reasons = json.loads(path.read_text("utf-8"))["reasons"] if path.exists() else []
        told = [line for line in errors.splitlines() if name in line]
        return any(r["code"] == code for r in reasons) and len(told) == 1 and code in told[0]

    def freeze(self, name: str) -> list[tuple[int, bytes]]:
        """The times and bytes of a case's files."""
        return [(path.stat().st_mtime_ns, path.read_bytes()) for path in self.files(name)]

    def record(self, name: str) -> dict[str, Any]:
        """What is told of a case, apart from what is a run's own."""
        files = self.of(name)
        path = files.left_out if name in self.bad else files.record
        told: dict[str, Any] = json.loads(path.read_bytes())
        own = {key: value for key, value in told["provenance"].items() if key not in OWN}
        return told | {"provenance": own}

    def summary(self) -> list[dict[str, str]]:
        """The rows of the summary, apart from what is a run's own."""
        with (self.output / "summary.csv").open(encoding="utf-8", newline="") as file:
            return [{k: v for k, v in row.items() if k not in OWN} for row in csv.DictReader(file)]
