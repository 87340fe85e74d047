"""What `monai-kd predict` and plain MONAI make of damaged and odd inputs: docs/torture.md.

    python -m tests.acceptance.torture BUNDLE [--output FILE]

Each input is a folder of two phantoms, one of them spoilt, and each pipeline a process of its own
with the same network and weights. It takes four minutes on one core.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from data_prep import write_phantoms
from data_prep.files import write_bytes
from monai_kd.inference.student import read_student
from tests.acceptance.torture_pipelines import EDGE, MEMORY_GB, SECONDS
from tests.acceptance.torture_results import (
    HARMLESS,
    REFUSED,
    RIGHT,
    SAME,
    SILENT,
    Seen,
    Study,
    needs,
)
from tests.acceptance.torture_settings import SETTINGS
from tests.damage import CORRUPTIONS, ODDITIES, Corruption, corrupt

CASE, NEIGHBOUR = "BraTS19_PHANTOM_001_1", "BraTS19_PHANTOM_002_1"
PAGE = """# Damaged and odd inputs: monai-kd and plain MONAI

Made by `python -m tests.acceptance.torture BUNDLE`. Each input is a folder of two phantoms of
{edge} voxels a side, one of which is spoilt. Left: `monai-kd predict FOLDER`. Right: MONAI {monai} with
the steps of the zoo's `brats_mri_segmentation` (`LoadImaged`, `NormalizeIntensityd`,
`SlidingWindowInferer`, `Activationsd`, `AsDiscreted`, `SaveImaged`) by `monai.bundle run` on a list
of the files. Both have the same network and weights, a process of their own, {memory} GB and
{seconds} s. Lines are those on standard error, without the {usual} that MONAI always writes.

*Silently wrong*: exit code 0, no word on this input, and a result that should not be: a mask whose
Dice with the undamaged case's mask (by the same pipeline) is below 0.9, no mask, or any mask where
an [error](checks.md) asks for a refusal. *Not mentioned*: the same for what should be looked at,
where the mask is as without the damage. *Told*: three lines at most, or a CHECK. *Right*: harmless,
and the mask is as it should be. *Neighbour lost*: the other, sound case has no result.

What is read right by both stands here as well: big-endian, NIfTI-2, names of any script, and all
that is wrong with labels, which no segmentation reads. What MONAI accepts without a word is often
as right as before: the counts tell how often. Ours is the stricter one: a bad checksum, or a header
that says where left is in two ways, is refused although the mask would be the same, and one name
for two cases ends the run before any work. Of one patient under two names the second is marked,
if one process has both.
Phantoms are not patients, and this zoo-style bundle is not the zoo's own: its steps are.
"""
HEADER = ("input", "should be", "monai-kd predict", "plain MONAI {monai}")


class Row(NamedTuple):
    """One input and what both made of it."""

    title: str
    needed: str
    ours: Seen
    zoo: Seen


def main() -> None:
    """Spoil a phantom in each way, run both, write the page."""
    parser = argparse.ArgumentParser(description="Compare on damaged inputs with plain MONAI.")
    parser.add_argument("bundle", type=Path, help="a packed bundle with models/model.onnx")
    parser.add_argument("--output", type=Path, default=Path("docs/torture.md"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = write_phantoms(Path(scratch) / "source", cases=2, size=EDGE, workers=1)
        study = Study(read_student(options.bundle), source, CASE, NEIGHBOUR)
        scans = [_spoil(study, way) for way in (*CORRUPTIONS.values(), *ODDITIES.values())]
        settings = [_set(study, title) for title in SETTINGS]
    page = _format(scans, settings, study.usual)
    write_bytes(options.output, page.encode())


def _spoil(study: Study, way: Corruption) -> Row:
    root = study.source.with_name(way.name)
    shutil.copytree(study.source, root)
    corrupt(root, CASE, way.name)
    row = Row(way.title, needs(way), *study.compare(root, needs(way)))
    shutil.rmtree(root)
    return _tell(row)


def _set(study: Study, title: str) -> Row:
    needed, ours, zoo = SETTINGS[title]
    return _tell(Row(title, needed, ours(study), zoo(study)))


def _tell(row: Row) -> Row:
    sys.stdout.write(f"{row.title} | {row.needed} | {row.ours.text} | {row.zoo.text}\n")
    sys.stdout.flush()
    return row


def _format(scans: Sequence[Row], settings: Sequence[Row], usual: int) -> str:
    facts = {"monai": version("monai"), "edge": EDGE, "memory": MEMORY_GB, "seconds": SECONDS}
    parts = [
        PAGE.format(**facts, usual=usual),
        f"## {len(scans)} scans\n\n{_table(scans, facts)}",
        f"## {len(settings)} settings\n\n{_table(settings, facts)}",
        f"## Counted\n\n{_count([*scans, *settings])}",
    ]
    return "\n".join(parts)


def _table(rows: Sequence[Row], facts: dict[str, object]) -> str:
    header = " | ".join(HEADER).format(**facts)
    lines = [f"| {header} |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {row.title} | {row.needed} | {_cell(row.ours)} | {_cell(row.zoo)} |" for row in rows
    ]
    return "\n".join(line.replace("<", "&lt;") for line in lines) + "\n"


def _cell(seen: Seen) -> str:
    outcome = f"**{seen.outcome}**" if seen.outcome in (SILENT, REFUSED) else seen.outcome
    return f"{outcome}: {seen.text}".replace("|", "\\|")


def _count(rows: Sequence[Row]) -> str:
    columns = [[row.ours for row in rows], [row.zoo for row in rows]]
    ours, zoo = (Counter(seen.outcome for seen in column) for column in columns)
    outcomes = sorted({*ours, *zoo}, key=lambda outcome: (outcome != RIGHT, -zoo[outcome]))
    harmless = sum(row.needed == HARMLESS for row in rows)
    counts = {outcome: [ours[outcome], zoo[outcome]] for outcome in outcomes}
    counts |= {
        f"{SILENT}, yet Dice at least {SAME}": [sum(map(_is_near, column)) for column in columns],
        "neighbour lost": [sum(seen.neighbour_lost for seen in column) for column in columns],
        "most lines on standard error": [max(s.lines for s in column) for column in columns],
    }
    lines = [f"Of {len(rows)} inputs {harmless} are harmless.\n"]
    lines += ["| outcome | monai-kd predict | plain MONAI |", "| --- | --- | --- |"]
    lines += [f"| {name} | {first} | {second} |" for name, (first, second) in counts.items()]
    return "\n".join(lines) + "\n"


def _is_near(seen: Seen) -> bool:
    """Tell what was accepted though it should not be, and did the mask little harm."""
    return seen.outcome == SILENT and seen.dice is not None and seen.dice >= SAME


if __name__ == "__main__":
    main()
