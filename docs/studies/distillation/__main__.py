"""Trains every arm over seeds on the same views, and writes the tables of docs/results.md.

    python -m docs.studies.distillation FOLDER full
    python -m docs.studies.distillation FOLDER few

`full`: every training case is labelled. `few`: one in five is, for teacher and student alike.
FOLDER keeps phantoms, teachers and one line for each run; a command that was interrupted goes on.
Several commands with different `--arms` may share a folder. `--table` only reads what is there.
"""

import argparse
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from docs.studies.distillation.arms import STUDIES, Arm
from docs.studies.distillation.tables import write_table
from docs.studies.distillation.training import read_arm, score, train_student, train_teacher
from docs.studies.distillation.views import Task, load_cases, load_views, make_cases, remember
from monai_kd.files import replace_file
from monai_kd.networks import EnsembleTeacher, HybridTeacher, TappedNetwork
from monai_kd.outputs import NetworkOutput

LABELLED_IN = {"full": 1, "few": 5}
FLIPS = [[0], [1], [0, 1]]


class Study:
    """The views, teachers and test cases of one study."""

    def __init__(self, folder: Path, name: str, options: argparse.Namespace) -> None:
        self.folder = folder
        self.name = name
        self.steps: int = options.steps
        self.teacher_steps: int = options.teacher_steps
        self.task = Task(
            cases=options.cases,
            difficulty=options.difficulty,
            one_labelled_in=LABELLED_IN[name],
        )
        self.dataset_file = make_cases(folder, self.task)
        self.views = load_views(self.dataset_file, self.task)
        self.test = load_cases(self.dataset_file, "test")
        self.validation = load_cases(self.dataset_file, "validation")
        self.said = cache(self._ask)

    def run(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Train one student and score it."""
        taps = tuple(read_arm(arm).get_parsed_content("teacher_taps"))
        said = None if arm.teacher is None else self.said(arm.teacher, taps)
        steps = self.steps * arm.longer
        network, told = train_student(arm, self.views, said, seed=seed, steps=steps)
        return {
            "study": self.name,
            "arm": arm.name,
            "seed": seed,
            "steps": steps,
            **told,
            "validation": score(network, self.validation)["dice"],
            "test": score(network, self.test),
        }

    def score_teachers(self, kinds: list[str]) -> list[dict[str, Any]]:
        """One line for each teacher, as for a run."""
        return [
            {
                "study": self.name,
                "arm": f"teacher, {kind}",
                "seed": 0,
                "validation": score(self._open_teacher(kind), self.validation)["dice"],
                "test": score(self._open_teacher(kind), self.test),
            }
            for kind in kinds
        ]

    def _ask(self, kind: str, taps: tuple[str, ...]) -> list[NetworkOutput]:
        shuffled = kind == "shuffled"
        teacher = self._open_teacher("trained" if shuffled else kind)
        said = remember(TappedNetwork(teacher, taps=taps), self.views)
        return said[-self.task.views :] + said[: -self.task.views] if shuffled else said

    def _open_teacher(self, kind: str) -> nn.Module:
        if kind == "ensemble":
            return EnsembleTeacher([self._train_teacher(1), self._train_teacher(2)], flips=FLIPS)
        if kind == "flipped":
            return EnsembleTeacher([self._train_teacher(1)], flips=FLIPS)
        torch.manual_seed(99)
        return HybridTeacher().eval() if kind == "untrained" else self._train_teacher(1)

    def _train_teacher(self, seed: int) -> nn.Module:
        path = self.folder / f"teacher-{self.name}-{seed}.pt"
        if not path.exists():
            cases = range(len(self.views) // self.task.views)
            labelled = [i for i in cases if i % self.task.one_labelled_in == 0]
            trained = train_teacher(
                self.dataset_file, labelled=labelled, seed=seed, steps=self.teacher_steps
            )
            with replace_file(path) as temporary:
                torch.save(trained.state_dict(), temporary)
        teacher = HybridTeacher(deep_supervision=2)
        teacher.load_state_dict(torch.load(path, weights_only=True))
        return teacher.to(memory_format=torch.channels_last_3d).eval()


def main() -> None:
    """Train what is missing, then write the table."""
    options = _parse()
    log = options.folder / f"{options.study}.jsonl"
    arms = [arm for arm in STUDIES[options.study] if not options.arms or arm.name in options.arms]
    if not options.table:
        torch.set_num_threads(1)
        options.folder.mkdir(parents=True, exist_ok=True)
        study = Study(options.folder, options.study, options)
        kinds = sorted({arm.teacher for arm in arms} - {None, "shuffled", "untrained"})
        for row in study.score_teachers([kind for kind in kinds if kind is not None]):
            _append(log, row)
        for seed in options.seeds:
            for arm in arms:
                if (arm.name, seed) not in {(row["arm"], row["seed"]) for row in _read(log)}:
                    _append(log, study.run(arm, seed))
    write_table(_read(log), STUDIES[options.study], options.folder / f"{options.study}.md")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--arms", nargs="+", help="names of arms; all by default")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--difficulty", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=400, help="of a student")
    parser.add_argument("--teacher-steps", type=int, default=1200)
    parser.add_argument("--table", action="store_true", help="train nothing, write the table")
    return parser.parse_args()


def _append(log: Path, row: dict[str, Any]) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _read(log: Path) -> list[dict[str, Any]]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
