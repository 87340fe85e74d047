"""Which class the answer to a damaged input falls into, and what is wrong with it, if anything."""

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import nibabel
import numpy as np

from data_prep.rules import Rule
from tests.acceptance.fuzz.warden import Answer

REFUSED, UNFORESEEN, CHECKED, PASSED = "refused", "refused, unforeseen", "CHECK", "PASS"
HANG, MEMORY, CRASH, WRONG = "hang", "memory", "crash", "wrong"
CLASSES = (REFUSED, UNFORESEEN, CHECKED, PASSED, HANG, MEMORY, CRASH, WRONG)
FAILURES = (HANG, MEMORY, CRASH, WRONG)
MOST_LINES = 3
PLACE = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
         "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z")  # fmt: skip
logging.getLogger("nibabel").setLevel(logging.CRITICAL)  # it tells what it mends as it reads
FORMATS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}


def judge(answer: Answer, output: Path, source: Path) -> tuple[str, str]:
    """Return the class and, for a failure, what was seen."""
    if answer.fault:
        return answer.fault, f"{answer.seconds:.1f} s, {answer.most_bytes / 2**20:.0f} MiB"
    if answer.trace:
        return CRASH, answer.trace
    faults = list(_faults(answer, output, source))
    if faults:
        return WRONG, "; ".join(faults)
    if answer.code == 0:
        verdict = _read(next(output.glob("*.json")))["verdict"]
        return (PASSED if verdict == PASSED else CHECKED), ""
    unforeseen = f"[{Rule.NOT_UNDERSTOOD.code}]" in answer.errors and "Error: " in answer.errors
    return (UNFORESEEN if unforeseen else REFUSED), ""


def _faults(answer: Answer, output: Path, source: Path) -> Iterator[str]:
    lines = answer.errors.splitlines()
    if len(lines) > MOST_LINES or "Traceback" in answer.errors or "Warning" in answer.errors:
        yield f"noise on stderr: {answer.errors[:500]}"
    elif answer.code != 0 and not lines:
        yield f"exit code {answer.code} without a word"
    elif answer.code == 0 and lines:
        yield f"exit code 0, but: {lines[0]}"
    if answer.code not in {0, 2, 3}:
        yield f"exit code {answer.code} for one case: {answer.errors[:500]}"
    left = [path.name for path in output.rglob(".*")]
    if left:
        yield f"left behind: {left}"
    records, masks = list(output.glob("*.json")), list(output.glob("*_seg.nii.gz"))
    whole = 1 if answer.code == 0 else 0
    if len(records) != whole or len(masks) != whole:
        yield f"{len(records)} records and {len(masks)} masks after exit code {answer.code}"
    elif whole:
        yield from _mask_faults(masks[0], _read(records[0]), source)


def _mask_faults(path: Path, record: dict[str, Any], source: Path) -> Iterator[str]:
    """Tell where the mask cannot be read by another program, or lies elsewhere than the scan."""
    scan = next(iter(record["sequences"].values()))
    try:
        mask = nibabel.load(path)
        voxels = np.asanyarray(mask.dataobj)
    except Exception as error:
        yield f"nibabel cannot read the mask: {type(error).__name__}: {error}"
        return
    if list(voxels.shape) != list(scan["shape"]):
        yield f"mask of shape {voxels.shape}, scan of {scan['shape']}"
    if voxels.dtype != np.uint8 or voxels.max() > 4:
        yield f"mask of {voxels.dtype} with values up to {voxels.max()}"
    reference = source if source.is_file() else next(source.rglob(scan["file"]), None)
    if reference is None:  # of DICOM
        return
    own, theirs = _header(path), _header(reference)
    for name in PLACE:
        known = not name.endswith("_code") or int(theirs[name]) in range(6)
        if known and not np.array_equal(own[name], theirs[name], equal_nan=True):
            yield f"{name} {own[name]}, of the scan {theirs[name]}"


def _header(path: Path) -> nibabel.Nifti1Header:
    """Read a scan's header without any check, nor by the code that is tried."""
    packed = path.read_bytes()[:2] == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        start = file.read(540)
    sizes = {int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")}
    kind = next(kind for size, kind in FORMATS.items() if size in sizes)
    return kind(start[: kind.sizeof_hdr], check=False)


def _read(path: Path) -> dict[str, Any]:
    """As JSON is defined, without NaN and Infinity."""
    content: dict[str, Any] = json.loads(path.read_bytes(), parse_constant=_refuse)
    return content


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
