"""The folder that holds all of a run, and what is known about it before it starts."""

import json
import logging
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from monai_kd.data.view_bank.hashing import hash_weights
from monai_kd.experiment.configuration import (
    PLACES,
    find_running_workflow,
    hash_settings,
)
from monai_kd.experiment.errors import ExperimentError
from monai_kd.experiment.weights import read_weights
from monai_kd.files import replace_file

CONFIG, DATASET, LOG, MANIFEST = "config.yaml", "dataset.json", "run.log", "manifest.json"
PACKAGES = ("monai-kd", "monai", "torch", "numpy", "pytorch-ignite", "nibabel", "einops")
RESULTS = ("bundle", "metrics.json", "report.html", "slices.npz", "student", "twin")
RESUME_CHOICES = ("auto", "never")
MOST_SHOWN = 4  # differing settings, of a run that cannot be resumed


class RunFolder:
    """`runs/<name>/` with configuration, manifest and log, bound to the settings it began with.

    `resume="auto"` continues what is there, `"never"` starts over. `settings` are the
    numbers a reader of the report wants to know, as they came out.
    """

    def __init__(
        self,
        folder: str,
        *,
        resume: str = "auto",
        seed: int = 0,
        device: torch.device | str = "cpu",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.resume = resume
        self.seed = seed
        self.device = torch.device(device)
        self.settings = dict(settings or {})

    def check(self) -> None:
        """Stop if the folder cannot be written or holds something else; nothing is written yet."""
        if self.resume not in RESUME_CHOICES:
            raise ExperimentError(f"resume is '{self.resume}', expected one of {RESUME_CHOICES}")
        ancestor = next(
            path for path in (self.folder, *self.folder.absolute().parents) if path.exists()
        )
        if not ancestor.is_dir():
            raise ExperimentError(f"cannot write the run to {self.folder}: {ancestor} is a file")
        if not os.access(ancestor, os.W_OK | os.X_OK):
            raise ExperimentError(
                f"cannot write the run to {self.folder}: {ancestor} is not writable; "
                "choose another place with --runs_dir DIR"
            )
        if self._is_foreign():
            raise ExperimentError(
                f"{self.folder} holds files but no {MANIFEST}: it is not a run; "
                "choose another name with --run_name NAME"
            )

    def open(self, dataset_file: str | os.PathLike[str], *, cases: Mapping[str, int]) -> None:
        """Make or reopen the folder, write down configuration and manifest, start the log.

        `cases` are the numbers of cases of each part, see `count_cases`.
        """
        config = {
            key: value
            for key, value in find_running_workflow().parser.config.items()
            if key != "_meta_"
        }
        dataset = json.loads(Path(dataset_file).read_text())
        if self.resume == "never":
            self._clear((*RESULTS, CONFIG, LOG, MANIFEST))
        config_hash = hash_settings(config, resolved={"recipe": self.settings.get("recipe")})
        self._check_same_run(config, config_hash=config_hash, data_hash=dataset["sha256"])
        self.folder.mkdir(parents=True, exist_ok=True)
        self.record(
            config_hash=config_hash,
            data_hash=dataset["sha256"],
            cases=dict(cases),
            left_out=sorted(dataset["left_out"]),
            **self._describe(),
        )
        with replace_file(self.folder / CONFIG) as temporary:
            temporary.write_text(yaml.safe_dump(config, sort_keys=False))
        self._sweep()
        log_to_file(self.folder / LOG)

    def record(self, **facts: Any) -> None:
        """Add facts to the manifest."""
        with replace_file(self.folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps({**self.read_manifest(), **facts}, indent=1))

    def read_manifest(self) -> dict[str, Any]:
        """The facts so far, none for a new run."""
        path = self.folder / MANIFEST
        found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    def record_teacher(self, checkpoint: str | os.PathLike[str]) -> None:
        """Add the teacher's folder and the hash of its tensors to the manifest.

        Stop if the run had another teacher before: no student learns from two, one after the other.
        """
        known = {"weights_sha256": hash_weights(read_weights(checkpoint))}
        before = self.read_manifest().get("teacher", {})
        if before.get("weights_sha256", known["weights_sha256"]) != known["weights_sha256"]:
            raise ExperimentError(f"{self.folder} was started with another teacher: {MEND}")
        self.record(teacher={"folder": str(Path(checkpoint).parent), **known})

    def _is_foreign(self) -> bool:
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        found = {entry.name for entry in entries if not entry.name.startswith(".")}
        return MANIFEST not in found and not found <= {DATASET}

    def _clear(self, names: Collection[str]) -> None:
        for path in (self.folder / name for name in names):
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what a killed run left under temporary names."""
        for path in [*self.folder.glob(".*-*"), *self.folder.glob("*/.*-*")]:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def _check_same_run(
        self, config: Mapping[str, Any], *, config_hash: str, data_hash: str
    ) -> None:
        before = self.read_manifest()
        if not before:
            return
        if before["config_hash"] != config_hash:
            differing = _name_differences(self.folder / CONFIG, config)
            raise ExperimentError(
                f"{self.folder} was started with other settings ({differing}): {MEND}"
            )
        if before["data_hash"] != data_hash:
            raise ExperimentError(f"{self.folder} was started with other scans: {MEND}")

    def _describe(self) -> dict[str, Any]:
        return {
            "run": self.folder.name,
            "created": self.read_manifest().get(
                "created", datetime.now(UTC).isoformat("T", "seconds")
            ),
            "command": shlex.join(["python", *sys.orig_argv[1:]]),
            "seed": self.seed,
            "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
            "device": describe_device(self.device),
            "threads": torch.get_num_threads(),
            "settings": self.settings,
        }


MEND = "give this run a name of its own (--run_name NAME) or start over (--resume never)"


def describe_device(device: torch.device) -> str:
    """The name of the CUDA device, or of the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def log_to_file(path: Path) -> None:
    """Send the log to this file, beside what logging.conf says, and to no earlier run's file."""
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, logging.FileHandler)]:
        root.removeHandler(handler)
        handler.close()
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)


def _name_differences(path: Path, config: Mapping[str, Any]) -> str:
    before = yaml.safe_load(path.read_text()) if path.is_file() else {}
    shown = [
        f"{key} {_short(old)}, now {_short(new)}"
        for key, old, new in _list_differences(before, config)
        if key not in PLACES
    ]
    if len(shown) > MOST_SHOWN:
        shown[MOST_SHOWN:] = [f"and {len(shown) - MOST_SHOWN} more"]
    return "; ".join(shown) or "a fragment of the configuration"


def _list_differences(
    before: Mapping[str, Any], after: Mapping[str, Any], place: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """The settings that differ, by their ids such as "loss#terms#boundary#weight"."""
    for key in sorted({*before, *after}, key=str):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _list_differences(old, new, f"{place}{key}#")
        elif old != new:
            yield f"{place}{key}", old, new


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."
