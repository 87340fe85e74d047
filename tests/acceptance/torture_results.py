"""What came of a run: the mask beside that of the undamaged case, and a name for the outcome."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from monai_kd.inference.student import Student
from tests.acceptance.torture_pipelines import HANGS, Ran, list_images, predict, run_zoo
from tests.damage import Corruption

REFUSE, CHECK, HARMLESS = "refused", "to be checked", "harmless"  # what an input should be
RIGHT, TOLD, UNMENTIONED = "right", "told", "not mentioned"
SILENT, TRACEBACK, REFUSED = "silently wrong", "traceback", "harmless, yet not done"
FEW = 3  # lines
SAME = 0.9  # Dice
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Seen:
    """One pipeline on one input."""

    outcome: str
    text: str
    lines: int
    neighbour_lost: bool
    dice: float | None = None


@dataclass
class Study:
    """Two phantoms, one to be spoilt, and the masks of both pipelines while it is sound."""

    student: Student
    source: Path
    case: str
    neighbour: str
    usual: int = field(init=False)  # lines that MONAI writes even if all is well

    def __post_init__(self) -> None:
        ours, zoo = self.source.with_name("ours"), self.source.with_name("zoo")
        predict(self.student, self.source, ours)
        ran = run_zoo(self.student, [list_images(f) for f in list_folders(self.source)], zoo)
        self.usual = len(ran.faults)
        self._sound_ours, self._sound_zoo = read_ours(ours, self.case), read_zoo(zoo, self.case)
        self._clear(ours, zoo)

    def compare(self, root: Path, needed: str) -> tuple[Seen, Seen]:
        """Run both on a folder that is spoilt and say what came."""
        ours, zoo = root.with_name(f"{root.name}-ours"), root.with_name(f"{root.name}-zoo")
        folders = list_folders(root)
        name = next(folder.name for folder in folders if folder.name != self.neighbour)
        ran = predict(self.student, root, ours)
        dice = _dice(read_ours(ours, name), self._sound_ours)
        first = self.see_ours(ran, ours, name, needed, dice)
        ran = run_zoo(self.student, [list_images(folder) for folder in folders], zoo)
        dice = _dice(read_zoo(zoo, name), self._sound_zoo)
        second = self.see_zoo(ran, zoo, needed, dice)
        self._clear(ours, zoo)
        return first, second

    def see_ours(self, ran: Ran, out: Path, name: str, needed: str, dice: float | None) -> Seen:
        """Name the outcome of `monai-kd predict`."""
        records = [read_json(path) for path in sorted(out.rglob("*.json"))]
        worst = [record for record in records if record["verdict"] != "PASS"]
        told = next((r for r in worst if r["case"] == name), worst[0] if worst else None)
        text = ran.faults[-1].partition(": ")[2] if ran.faults else _mask(dice)
        if told:
            reason = told["reasons"][0]
            text = f"{told['verdict']}, {reason['text']} [{reason['code']}]"
        text = _shorten(text.replace(f"{out.parent}/", ""))
        lines = len(ran.faults)
        return self._name(
            ran, out, needed=needed, dice=dice, lines=lines, told=bool(told), text=text
        )

    def see_zoo(self, ran: Ran, out: Path, needed: str, dice: float | None) -> Seen:
        """Name the outcome of plain MONAI."""
        lines = max(0, len(ran.faults) - self.usual)
        error = next((line for line in ran.faults if _ERROR.match(line)), "")
        written = f"{lines} line{'' if lines == 1 else 's'}"
        stopped = f"{written}, {error.partition(':')[0].rpartition('.')[2]}"
        text = stopped if ran.code else _mask(dice) + (f", {written}" if lines else "")
        told = ran.code == 0 and lines > 0
        return self._name(ran, out, needed=needed, dice=dice, lines=lines, told=told, text=text)

    def _name(
        self,
        ran: Ran,
        out: Path,
        *,
        needed: str,
        dice: float | None,
        lines: int,
        told: bool,
        text: str,
    ) -> Seen:
        lost = not list(out.glob(f"{self.neighbour}*_seg.nii.gz"))
        code = "hangs" if ran.code == HANGS else f"exit {ran.code}"
        outcome = _rate(ran.code, needed, dice, lines, told)
        text = f"{code}, {text}{', neighbour lost' if lost else ''}"
        return Seen(outcome, text, lines, lost, dice)

    def _clear(self, *folders: Path) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


_ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")


def needs(way: Corruption) -> str:
    """Tell what should become of a scan for segmentation, in which labels are not read."""
    rule = way.rule
    if rule is None or rule.severity == "note" or rule.code[1] == "4":
        return HARMLESS
    return REFUSE if rule.severity == "error" else CHECK


def list_folders(root: Path) -> list[Path]:
    """The folders of all cases, as a person would list them."""
    return sorted(path for path in root.glob("*/*") if path.is_dir())


def read_ours(out: Path, name: str) -> Array | None:
    """The mask of a case as values of labels."""
    return _read([out / f"{name}_seg.nii.gz"])


def read_zoo(out: Path, name: str) -> Array | None:
    """The mask of a case as regions beside each other."""
    return _read([out / f"{name}_t1ce_seg.nii.gz"])


def read_json(path: Path) -> dict[str, Any]:
    """A record."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _read(paths: Sequence[Path]) -> Array | None:
    found = [path for path in paths if path.exists()]
    return np.asanyarray(nibabel.load(found[0]).dataobj) if found else None


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


def _shorten(text: str, most: int = 140) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _rate(code: int, needed: str, dice: float | None, lines: int, told: bool) -> str:
    if code and lines > FEW:
        return TRACEBACK
    if needed == HARMLESS:
        if code:
            return REFUSED
        return RIGHT if dice is not None and dice >= SAME else SILENT
    if code or told:
        return TOLD
    return SILENT if needed == REFUSE or dice is None or dice < SAME else UNMENTIONED
