"""What plain MONAI does with each corrupted case, and what our check says: docs/checks.md.

Run from the repository: `python docs/studies/corruptions.py`. It takes half a minute.
"""

import multiprocessing
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

from monai.transforms import LoadImaged

from data_prep import write_phantoms
from data_prep.brats.sequences import SEQUENCES
from data_prep.checks import check_dataset
from data_prep.layouts import find_dataset
from data_prep.phantom.corruptions import CORRUPTIONS, ODDITIES, Corruption, corrupt
from data_prep.rules import Rule

CASE = "BraTS19_PHANTOM_001_1"
NEIGHBOURS = ("BraTS19_PHANTOM_002_1", "BraTS19_PHANTOM_003_1")
PAGE = Path(__file__).parents[1] / "checks.md"
SECONDS = 20  # a sound case takes a hundredth of one
MEMORY_GB = 12
NOTABLE_GB = 1.0  # beyond what MONAI itself takes
INTRODUCTION = """# Checking a folder of scans

```
monai-kd check /data/BraTS2019 --html check.html --json check.json
```

recognises the layout, reads every file to its last byte, and says what is wrong with which file and
how to mend it. `python -m data_prep check` is the same, for machines without MONAI. Nothing in the
folder is changed, and nothing of a scan leaves the machine.

An **error** leaves the case out and the rest goes on. A **warning** and a **note** leave nothing
out: look at the warnings. The exit code is 0 if every case can be used, 1 if some cannot, and 2 if
none can or the folder is not understood. Each finding is one line; errors are told once more on
standard error, in three lines at most.

What labels mean follows from the layout, or from `dataset.json`, and stands in the first lines. If
it is told wrongly, say it yourself: `--labels brats2024`. Names are in `monai-kd check --help`.
"""
RULES = """
## The rules

Tolerances: modalities lie on one grid if their corners agree to 0.001 mm, whatever the order in
which the voxels are stored; sform and qform may differ by 0.5 mm, the precision of a quaternion.
Codes begin with 1 for the file, 2 its geometry, 3 its intensities, 4 the label, 5 the names, 6 one
case beside the others.
"""
FAULTS = """
## Forty ways to spoil a case, and more

`data_prep.phantom.corruptions` makes each of these from a phantom, and the tests put all of them
through the command. In the middle: MONAI {monai} with `LoadImaged(["image", "label"],
ensure_channel_first=True)` on the same case, with {memory} GB and {seconds} s to do it. *Silent*
means that the case goes into training as it is; a traceback ends the run.
"""
VALID = """
## Unusual, and right

These pass the check without a word.
"""


def main() -> None:
    """Corrupt a phantom in each way, show it to both, write the page."""
    with tempfile.TemporaryDirectory() as scratch:
        source = write_phantoms(Path(scratch) / "source", cases=3, size=32, workers=1)
        faults = [_compare(source, way) for way in CORRUPTIONS.values()]
        oddities = [_compare(source, way)[:2] for way in ODDITIES.values()]
    limits = {"monai": version("monai"), "memory": MEMORY_GB, "seconds": SECONDS}
    rules = [(rule.code, rule.title, rule.fix) for rule in sorted(Rule, key=lambda r: r.code[1:])]
    sections = [
        INTRODUCTION,
        RULES,
        _table(("code", "what", "fix"), rules),
        FAULTS.format(**limits),
        _table(("fault", "plain MONAI", "our check"), faults),
        VALID,
        _table(("oddity", "plain MONAI"), oddities),
    ]
    PAGE.write_text("\n".join(section.strip("\n") + "\n" for section in sections), "utf-8")


def _compare(source: Path, way: Corruption) -> tuple[str, str, str]:
    root = source.with_name(way.name)
    shutil.copytree(source, root)
    corrupt(root, CASE, way.name)
    row = (way.title, _ask_monai(root), _ask_check(root, way))
    sys.stdout.write(" | ".join(row) + "\n")
    shutil.rmtree(root)
    return row


def _ask_check(root: Path, way: Corruption) -> str:
    told = [f for f in check_dataset(find_dataset(root)).findings if f.rule is way.rule]
    return f"{told[0].detail} - {told[0].rule.fix} [{told[0].rule.code}]" if told else ""


def _ask_monai(root: Path) -> str:
    """Load the case in a process that can be killed and cannot take all memory."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_load, args=(root, sender))
    process.start()
    told = receiver.recv() if receiver.poll(SECONDS) else f"hangs (killed after {SECONDS} s)"
    process.kill()
    process.join()
    return str(told)


def _load(root: Path, sender: Connection) -> None:
    """Load the case as a training script would; send what happened in a few words."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GB * 2**30, MEMORY_GB * 2**30))
    warnings.simplefilter("ignore")
    folder = min(found for found in root.glob("*/*") if found.name not in NEIGHBOURS)
    names = {kind: _find_file(folder, kind) for kind in (*SEQUENCES, "seg")}
    record = {"image": [names[modality] for modality in SEQUENCES], "label": names["seg"]}
    told, before = "silent", _peak_gb()
    try:
        LoadImaged(["image", "label"], ensure_channel_first=True)(record)
    except Exception as error:
        lines = traceback.format_exc().strip().splitlines()
        told = f"traceback of {len(lines)} lines ({type(error).__name__})"
    taken = _peak_gb() - before
    sender.send(f"{told}, takes {taken:.0f} GB" if taken > NOTABLE_GB else told)


def _find_file(folder: Path, kind: str) -> str:
    """The file as a person would list it, there or not."""
    found = sorted(folder.glob(f"*_{kind}.nii*"))
    return str(found[-1] if found else folder / f"{folder.name}_{kind}.nii.gz")


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(_escape(cell) for cell in line)} |\n" for line in lines)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
