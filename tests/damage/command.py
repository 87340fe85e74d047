"""The command in a process of its own, and what it leaves behind."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel

from tests.damage.nifti_files import pack, unpack

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a run said, wrote and left alone."""

    code: int
    told: list
    faults: list
    out: Path
    untouched: bool

    def record(self, case):
        """The record of a case, segmented or left out."""
        place = self.out if (self.out / f"{case}.json").exists() else self.out / "left_out"
        return json.loads((place / f"{case}.json").read_text())

    def mask(self, case):
        """Its mask, read to the last byte."""
        return nibabel.load(self.out / f"{case}_seg.nii.gz").get_fdata()


def predict(scans, out, bundle, *options, before=(), **settings):
    """Segment; `before` are words before the command, `settings` those of the process."""
    command = [*before, *words(scans, out, bundle, *options)]
    hashes = hash_folder(scans)
    settings = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 120} | settings
    done = subprocess.run(command, check=False, **settings)
    told, faults = (text.splitlines() for text in (done.stdout or "", done.stderr))
    return Outcome(done.returncode, told, faults, out, hash_folder(scans) == hashes)


def words(scans, out, bundle, *options):
    """The command as it is typed."""
    start = [sys.executable, "-m", "monai_kd.cli", "predict", str(scans), "-o", str(out)]
    return [*start, "--bundle", str(bundle), "--no-report", "--threads", "1", *options]


def hash_folder(folder):
    """What a folder holds, without waiting for pipes."""
    return [
        (path, hashlib.sha256(path.read_bytes()).digest() if path.is_file() else os.lstat(path)[:7])
        for path in sorted(folder.rglob("*"))
    ]


def copy_case(source, folder):
    """Copy a phantom as another case: the same voxels under another description."""
    folder.mkdir(parents=True)
    description = folder.name.encode()[:79].ljust(80, b"\0")
    for scan in source.iterdir():
        content = unpack(scan.read_bytes())
        copy = folder / scan.name.replace(source.name, folder.name)
        copy.write_bytes(pack(content[:148] + description + content[228:]))


def list_masks(out):
    """The cases that have a mask."""
    return [path.name.removesuffix("_seg.nii.gz") for path in sorted(out.glob("*_seg.nii.gz"))]


def find_broken(out):
    """The files of a folder that are not whole, those of temporary names apart."""
    files = [path for path in sorted(out.rglob("[!.]*")) if path.is_file()]
    return [path for path in files if not (is_hidden(path, out) or _is_whole(path))]


def is_hidden(path, out):
    """Tell a file of a temporary name."""
    return any(part.startswith(".") for part in path.relative_to(out).parts)


def _is_whole(path):
    try:
        if path.name.endswith(".nii.gz"):
            nibabel.load(path).get_fdata()
        elif path.suffix == ".json":
            json.loads(path.read_text())
    except (OSError, ValueError, EOFError, nibabel.filebasedimages.ImageFileError):
        return False
    return True
