"""What `monai-kd predict` and plain MONAI make of damaged and odd inputs: docs/torture.md.

    python -m tests.acceptance.torture BUNDLE [--output FILE]

Each input is a folder of two phantoms, one of them spoilt, and each pipeline a process of its own
with the same network and weights. It takes four minutes on one core. The exit code is 1 where
predict is silently wrong or ends in a traceback.
"""

import argparse
import json
import os
import pickle
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep import write_phantoms
from data_prep.brats.sequences import SEQUENCES
from data_prep.files import write_bytes
from monai_kd.inference.student import Student, read_student
from tests.acceptance.pipelines import (
    EDGE,
    HANGS,
    MEMORY_GB,
    SECONDS,
    Ran,
    clear,
    list_images,
    predict,
    run_zoo,
)
from tests.damage import CORRUPTIONS, ODDITIES, Corruption, corrupt

CASE, NEIGHBOUR = "BraTS19_PHANTOM_001_1", "BraTS19_PHANTOM_002_1"
REFUSE, CHECK, HARMLESS = "refused", "to be checked", "harmless"  # what an input should be
RIGHT, REPORTED, UNMENTIONED = "right", "reported", "not mentioned"
SILENT, TRACEBACK, REFUSED = "silently wrong", "traceback", "harmless, yet not done"
FEW = 3  # lines
SAME = 0.9  # Dice
ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")
MOST = 140  # letters of a text
Array = npt.NDArray[Any]
Pair = tuple[Ran, Ran]
Spoil = Callable[[Path], object]
PAGE = """# Damaged and odd inputs: monai-kd and plain MONAI

Written by `python -m tests.acceptance.torture BUNDLE`. Each input is a folder of two phantoms of
{edge} voxels a side, one of which is damaged. Left: `monai-kd predict FOLDER`. Right: MONAI {monai}
with the steps of the zoo's `brats_mri_segmentation` (`LoadImaged`, `NormalizeIntensityd`,
`SlidingWindowInferer`, `Activationsd`, `AsDiscreted`, `SaveImaged`) by `monai.bundle run` on a list
of the files. Both have the same network and weights, a process each, {memory} GB and {seconds} s.
Lines are those on standard error, without the {usual} that MONAI always writes.

*Silently wrong*: exit code 0, no message about this input, and a wrong result: a mask whose Dice
with the mask of the undamaged case (by the same pipeline) is below 0.9, no mask, or any mask where
an [error](checks.md) requires a refusal. *Not mentioned*: no message about an input that should be
checked, but the same mask as without the damage. *Reported*: a message of at most three lines, or a
CHECK. *Right*: harmless, and the mask is correct. *Neighbour lost*: the other, undamaged case has
no result.

The list includes inputs that both read correctly: big-endian, NIfTI-2, names in any script, and all
faults of labels, which segmentation does not read. What MONAI accepts without a message is often
still correct: the counts show how often. `monai-kd` is stricter: a wrong checksum, or a header with
two contradicting orientations, is refused although the mask would be the same, and two cases of one
name stop the run before any work. If one patient is given under two names, the second is marked, if
one process reads both. Phantoms are not patients, and this bundle has the steps of the zoo's
bundle, but is not that bundle.
"""
HEADER = ("input", "should be", "monai-kd predict", "plain MONAI {monai}")


class Seen(NamedTuple):
    """One pipeline on one input."""

    outcome: str
    text: str
    lines: int
    neighbour_lost: bool = False
    dice: float | None = None


class Heard(NamedTuple):
    """What a pipeline said of an input, and whether that is a word on it."""

    text: str
    lines: int
    told: bool


class Row(NamedTuple):
    """One input and what both made of it."""

    title: str
    needed: str
    ours: Seen
    zoo: Seen


@dataclass(frozen=True)
class Setting:
    """A bundle, an option or a folder that is wrong, as each pipeline is given it."""

    needed: str = REFUSE
    options: tuple[str, ...] = ()
    override: Mapping[str, str] = field(default_factory=dict)
    spoil: Spoil | None = None  # the checkpoint
    scans: Callable[[Path], Path] = lambda source: source
    into_file: bool = False


SOUND = Setting()


def main() -> int:
    """Spoil a phantom in each way, run both, write the page."""
    parser = argparse.ArgumentParser(description="Compare on damaged inputs with plain MONAI.")
    parser.add_argument("bundle", type=Path, help="a packed bundle with models/model.onnx")
    parser.add_argument("--output", type=Path, default=Path("docs/torture.md"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = write_phantoms(Path(scratch) / "source", cases=2, size=EDGE, workers=1)
        torture = Torture(read_student(options.bundle), source)
        scans = [torture.spoil(way) for way in (*CORRUPTIONS.values(), *ODDITIES.values())]
        settings = [torture.set(*setting) for setting in SETTINGS.items()]
    write_bytes(options.output, _format(scans, settings, torture.usual).encode())
    outcomes = Counter(row.ours.outcome for row in (*scans, *settings))
    return 1 if outcomes[SILENT] or outcomes[TRACEBACK] else 0


class Torture:
    """Two phantoms, one to be spoilt, and the masks of both pipelines while it is sound."""

    def __init__(self, student: Student, source: Path) -> None:
        self.student, self.source = student, source
        self.out = source.with_name("ours"), source.with_name("zoo")
        ours, zoo = self._run(source)
        self.usual = len(zoo.faults)  # lines that MONAI writes even if all is well
        self.sound = ours.mask(CASE), zoo.mask(f"{CASE}_t1ce")

    def spoil(self, way: Corruption) -> Row:
        """Run both on a folder in which one case is spoilt."""
        root = self.source.with_name(way.name)
        shutil.copytree(self.source, root)
        corrupt(root, CASE, way.name)
        names = sorted(path.name for path in root.glob("*/*") if path.is_dir())
        name = next(name for name in names if name != NEIGHBOUR)
        ours, zoo = self._run(root)
        needed, dice = needs(way), _dice(ours.mask(name), self.sound[0])
        first = _see(ours, needed, _hear_ours(ours, name, dice), dice)
        dice = _dice(zoo.mask(f"{name}_t1ce"), self.sound[1])
        second = _see(zoo, needed, self._hear_zoo(zoo, dice), dice)
        clear(root)
        return _say(Row(way.title, needed, first, second))

    def set(self, title: str, setting: Setting) -> Row:
        """Run both as the setting says; there is no spoilt case and so no neighbour."""
        student = self.student
        if setting.spoil is not None:
            folder = self.source.with_name("bundle")
            shutil.copytree(student.folder, folder, dirs_exist_ok=True)
            student = replace(student, folder=folder)
            (folder / "models" / "model.onnx").unlink(missing_ok=True)
            setting.spoil(student.checkpoint)
        ours, zoo = self._run(setting.scans(self.source), setting, student)
        if setting.needed == HARMLESS:
            seen = _count_masks(ours, ours.faults), _count_masks(zoo, zoo.faults[self.usual :])
        else:
            heard = _hear_ours(ours, "", None), self._hear_zoo(zoo, None)
            seen = tuple(
                _alone(_see(ran, REFUSE, h)) for ran, h in zip((ours, zoo), heard, strict=True)
            )
        return _say(Row(title, setting.needed, *seen))

    def _run(self, scans: Path, setting: Setting = SOUND, student: Student | None = None) -> Pair:
        student, (ours, zoo) = student or self.student, self.out
        clear(ours, zoo)
        if setting.into_file:
            ours.touch()
            zoo.touch()
        first = predict(student, scans, ours, *setting.options)
        return first, run_zoo(student, list_images(scans), zoo, **setting.override)

    def _hear_zoo(self, ran: Ran, dice: float | None) -> Heard:
        lines = max(0, len(ran.faults) - self.usual)
        error = next((line for line in ran.faults if ERROR.match(line)), "")
        written = f"{lines} line{'' if lines == 1 else 's'}"
        stopped = f"{written}, {error.partition(':')[0].rpartition('.')[2]}"
        text = stopped if ran.code else _mask(dice) + (f", {written}" if lines else "")
        return Heard(text, lines, told=ran.code == 0 and lines > 0)


def needs(way: Corruption) -> str:
    """What should become of a scan for segmentation, in which labels are not read."""
    rule = way.rule
    if rule is None or rule.severity == "note" or rule.code[1] == "4":
        return HARMLESS
    return REFUSE if rule.severity == "error" else CHECK


def _hear_ours(ran: Ran, name: str, dice: float | None) -> Heard:
    records = [json.loads(path.read_text()) for path in sorted(ran.out.rglob("*.json"))]
    worst = [record for record in records if record["verdict"] != "PASS"]
    told = next((r for r in worst if r["case"] == name), worst[0] if worst else None)
    text = ran.faults[-1].partition(": ")[2] if ran.faults else _mask(dice)
    if told:
        reason = told["reasons"][0]
        text = f"{told['verdict']}, {reason['text']} [{reason['code']}]"
    text = text.replace(f"{ran.out.parent}/", "")
    return Heard(text if len(text) <= MOST else f"{text[:MOST]}...", len(ran.faults), bool(told))


def _see(ran: Ran, needed: str, heard: Heard, dice: float | None = None) -> Seen:
    lost = not list(ran.out.glob(f"{NEIGHBOUR}*_seg.nii.gz"))
    code = "hangs" if ran.code == HANGS else f"exit {ran.code}"
    text = f"{code}, {heard.text}{', neighbour lost' if lost else ''}"
    return Seen(_rate(ran.code, needed, dice, heard), text, heard.lines, lost, dice)


def _rate(code: int, needed: str, dice: float | None, heard: Heard) -> str:
    if code and heard.lines > FEW:
        return TRACEBACK
    if needed == HARMLESS:
        if code:
            return REFUSED
        return RIGHT if dice is not None and dice >= SAME else SILENT
    if code or heard.told:
        return REPORTED
    return SILENT if needed == REFUSE or dice is None or dice < SAME else UNMENTIONED


def _dice(mask: Array | None, sound: Array | None) -> float | None:
    """-1 where the shapes differ; None without a mask."""
    if mask is None or sound is None:
        return None
    if mask.shape != sound.shape:
        return -1.0
    total = np.count_nonzero(mask) + np.count_nonzero(sound)
    return 2 * np.count_nonzero((mask == sound) & (mask > 0)) / total if mask.any() else 0.0


def _mask(dice: float | None) -> str:
    if dice is None:
        return "no mask"
    if dice < 0:
        return "a mask of another shape"
    return f"a mask, Dice {dice:.2f}" if dice else "an empty mask"


def _alone(seen: Seen) -> Seen:
    """In a setting no mask is looked at."""
    text = seen.text.replace(", neighbour lost", "")
    text = text if seen.lines else text.replace("no mask", "not a word")
    return seen._replace(neighbour_lost=False, text=text)


def _count_masks(ran: Ran, faults: Sequence[str]) -> Seen:
    masks = len(list(ran.out.rglob("*_seg.nii.gz")))
    outcome = RIGHT if (ran.code, masks) == (0, 2) else REPORTED if ran.code else SILENT
    first = f", {faults[0]}" if ran.code else ""
    text = f"exit {ran.code}, 2 patients, {masks} masks{first}".replace(f"{ran.out.parent}/", "")
    return Seen(outcome, text, len(faults))


def _cut(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:20_000])


class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def _plant(checkpoint: Path) -> None:
    checkpoint.write_bytes(pickle.dumps(_Payload(), protocol=2))


def _empty(source: Path) -> Path:
    folder = source.with_name("empty")
    folder.mkdir()
    return folder


def _equal_names(source: Path) -> Path:
    """The files of each patient are named by their sequence alone."""
    root = source.with_name("equal")
    for place, images in enumerate(list_images(source)):
        for name, path in zip(SEQUENCES, images, strict=True):
            copy = root / f"P{place}" / f"{name}.nii.gz"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return root


TORCH = ("--runtime", "torch")
SETTINGS = {
    "unknown option": Setting(options=("--output_dri", "x"), override={"output_dri": "x"}),
    "output is a file": Setting(into_file=True),
    "empty folder, or list": Setting(scans=_empty),
    "two patients of equal file names": Setting(HARMLESS, scans=_equal_names),
    "checkpoint is cut": Setting(options=TORCH, spoil=_cut),
    "checkpoint is missing": Setting(spoil=Path.unlink),
    "checkpoint holds code": Setting(options=TORCH, spoil=_plant),
}


def _say(row: Row) -> Row:
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
    sys.exit(main())
