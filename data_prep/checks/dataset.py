"""All cases of a dataset, each checked by itself in parallel, then beside the others."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from data_prep.case import Case, Dataset
from data_prep.checks.geometry import write_mm, write_shape
from data_prep.checks.inspection import Inspection, inspect_case, merge_alike
from data_prep.findings import (
    WHOLE_DATASET,
    Finding,
    errors_of,
    gravest_first,
    spoilt_cases,
)
from data_prep.parallel import map_in_parallel
from data_prep.rules import Rule
from data_prep.scans.grid import Grid
from data_prep.schemes import LabelScheme

SMALL_BYTES = 32 * 2**20  # less is read before a second process has started
MOST = 0.8  # of the cases have the usual grid, or there is no usual one
FEWEST = 5  # cases among which one can be unusual

Trait = TypeVar("Trait", tuple[int, int, int], tuple[float, ...])


@dataclass(frozen=True)
class CheckReport:
    """All findings, errors first, and the sha256 of each file that could be read."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    hashes: Mapping[Path, str]

    @property
    def usable_cases(self) -> tuple[Case, ...]:
        """The cases without an error; none where the dataset as a whole has one."""
        spoilt = spoilt_cases(self.findings)
        if WHOLE_DATASET in spoilt:
            return ()
        return tuple(case for case in self.dataset.cases if case.name not in spoilt)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the cases that have an error, whether their files could be listed or not."""
        return tuple(sorted(spoilt_cases(self.findings) - {WHOLE_DATASET}))

    @property
    def exit_code(self) -> int:
        """0: no error; 1: some cases are left out; 2: nothing is usable."""
        if not self.usable_cases:
            return 2
        return 1 if spoilt_cases(self.findings) else 0


def check_dataset(dataset: Dataset, *, workers: int | None = None) -> CheckReport:
    """Read every file of every case to its last byte, in `workers` processes, and judge it."""
    settings = replace(dataset, cases=(), findings=())  # what is sent along with every case
    inspected = map_in_parallel(
        partial(summarise_case, dataset=settings),
        dataset.cases,
        title="Checking cases",
        workers=1 if _is_small(dataset) else workers,
    )
    found = [finding for one, _ in inspected for finding in one.findings]
    found += [*dataset.findings, *_compare_cases(dataset, inspected)]
    hashes = {path: digest for one, _ in inspected for path, digest in one.hashes.items()}
    return CheckReport(dataset, gravest_first(found), hashes)


def summarise_case(case: Case, *, dataset: Dataset) -> tuple[Inspection, Grid | None]:
    """Inspect a case and let its voxels go: what travels between processes is light.

    Return the grid of its first image with it.
    """
    inspection = inspect_case(case, dataset=dataset, looks=True)
    first = next(iter(inspection.scans.values()), None)
    return replace(inspection, scans={}, label=None), None if first is None else first.grid


def _is_small(dataset: Dataset) -> bool:
    files = (file for case in dataset.cases for file in case.files)
    return sum(file.stat().st_size for file in files if file.is_file()) < SMALL_BYTES


def find_same_scans(
    cases: Iterable[tuple[Case, Mapping[Path, str]]], *, root: Path
) -> list[Finding]:
    """Tell which cases hold the bytes of an earlier one: they would leak from training to test.

    With each case come the hashes of its files. Labels may be alike.
    """
    first: dict[str, str] = {}
    found = []
    for case, hashes in cases:
        for path in dict.fromkeys(image.path for image in case.images.values()):
            earlier = first.setdefault(hashes.get(path, f"unread {path}"), case.name)
            if earlier != case.name:
                file = path.relative_to(root).as_posix()
                detail = f"the same bytes as in case {earlier}"
                found.append(Finding(Rule.SAME_SCAN, case.name, file, detail))
    return merge_alike(found)


def judge_values(values: Iterable[float], scheme: LabelScheme | None) -> Iterator[Finding]:
    """Tell where the values of all labels together have no meaning, or lack a region."""
    present = sorted(set(values))
    if present and scheme is None:
        seen = ", ".join(f"{value:g}" for value in present[:10])
        detail = f"labels hold 0, {seen}, and nothing says what they are"
        yield Finding(Rule.NO_SCHEME, WHOLE_DATASET, "", detail)
    regions = scheme.regions if present and scheme else {}
    for region, members in regions.items():
        if not set(members) & set(present):
            wanted = " or ".join(map(str, members))
            detail = f"no label of the whole dataset has {region}, value {wanted}"
            yield Finding(Rule.EMPTY_REGION, WHOLE_DATASET, "", detail)


def _compare_cases(
    dataset: Dataset, inspected: Sequence[tuple[Inspection, Grid | None]]
) -> Iterator[Finding]:
    sound = [(one, grid) for one, grid in inspected if not errors_of(one.findings)]
    yield from find_same_scans(((one.case, one.hashes) for one, _ in sound), root=dataset.root)
    yield from _odd_grids({one.case.name: grid for one, grid in sound if grid is not None})
    values = (value for one, _ in inspected for value in one.label_counts)
    yield from judge_values(values, dataset.scheme)


def _odd_grids(grids: Mapping[str, Grid]) -> Iterator[Finding]:
    shapes = {name: grid.shape for name, grid in grids.items()}
    spacings = {name: tuple(grid.spacing_mm.round(3).tolist()) for name, grid in grids.items()}
    for name, (own, usual) in _unusual(shapes).items():
        detail = f"{write_shape(own)} voxels, others have {write_shape(usual)}"
        yield Finding(Rule.ODD_GRID, name, "", detail)
    for name, (length, usual_length) in _unusual(spacings).items():
        detail = f"voxels of {write_mm(length)} mm, others have {write_mm(usual_length)}"
        yield Finding(Rule.ODD_GRID, name, "", detail)


def _unusual(traits: Mapping[str, Trait]) -> dict[str, tuple[Trait, Trait]]:
    """The few cases that differ from what nearly all have: their own trait and the usual one."""
    if len(traits) < FEWEST:
        return {}
    usual, count = Counter(traits.values()).most_common(1)[0]
    if count < MOST * len(traits):
        return {}
    return {name: (trait, usual) for name, trait in traits.items() if trait != usual}
