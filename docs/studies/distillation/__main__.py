"""Trains every arm over seeds on the same views, and writes the tables of docs/results.md.

    python -m docs.studies.distillation FOLDER full
    python -m docs.studies.distillation FOLDER few

`full`: every training case is labelled. `few`: one in five is, for teacher and student alike.
FOLDER keeps phantoms, teachers and one line for each run; a command that was interrupted goes on.
A line counts only for the setting that it was trained with.
Several commands with different `--arms` may share a folder. `--table` only reads what is there.
"""

import argparse
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from docs.studies.distillation.arms import STUDIES, Arm
from docs.studies.distillation.log import Log
from docs.studies.distillation.tables import write_table
from docs.studies.distillation.training import prepare_teacher, read_arm, score, train_student
from docs.studies.distillation.views import Task, load_cases, load_views, make_cases, remember
from monai_kd.networks import EnsembleTeacher, HybridTeacher, TappedNetwork
from monai_kd.outputs import NetworkOutput
from tests.acceptance.pages import open_parser

TASKS = {
    "full": Task(),
    "few": Task(training_cases=40, one_labelled_in=5),
}
STEPS = {"full": 400, "few": 600}
TEACHER_STEPS = {"full": 1500, "few": 1000}
FLIPS = [[0], [1], [0, 1]]


class Study:
    """The views, teachers and test cases of one study."""

    def __init__(self, folder: Path, name: str, steps: int, teacher_steps: int) -> None:
        self.folder = folder
        self.name = name
        self.steps = steps
        self.teacher_steps = teacher_steps
        self.task = TASKS[name]
        self.dataset_file = make_cases(folder, self.task)
        self.views = load_views(self.dataset_file, self.task)
        self.test = load_cases(self.dataset_file, "test")
        self.validation = load_cases(self.dataset_file, "validation")
        self.said = cache(self._ask)

    def run(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Train one student and score it."""
        taps = read_arm(arm).get_parsed_content("loss").teacher_taps
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

    def score_teacher(self, kind: str) -> dict[str, Any]:
        """One line for a teacher, as for a run."""
        teacher = self._open_teacher(kind)
        return {
            "study": self.name,
            "arm": f"teacher, {kind}",
            "seed": 0,
            "validation": score(teacher, self.validation)["dice"],
            "test": score(teacher, self.test),
        }

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
        path = self.folder / f"teacher-{self.name}-{seed}-{self.teacher_steps}.pt"
        return prepare_teacher(
            path, self.dataset_file, self.task, seed=seed, steps=self.teacher_steps
        )


def main() -> None:
    """Train what is missing, then write the table."""
    options = _parse()
    steps = options.steps or STEPS[options.study]
    teacher_steps = options.teacher_steps or TEACHER_STEPS[options.study]
    setting = asdict(TASKS[options.study]) | {"steps": steps, "teacher": teacher_steps}
    log = Log(options.folder / f"{options.study}.jsonl", setting)
    arms = [arm for arm in STUDIES[options.study] if not options.arms or arm.name in options.arms]
    if not options.table:
        torch.set_num_threads(1)
        options.folder.mkdir(parents=True, exist_ok=True)
        study = Study(options.folder, options.study, steps, teacher_steps)
        kinds = {arm.teacher for arm in arms if arm.teacher} - {"shuffled", "untrained"}
        done = {row["arm"] for row in log.read()}
        for kind in sorted(kinds):
            if f"teacher, {kind}" not in done:
                log.append(study.score_teacher(kind))
        for seed in options.seeds:
            for arm in arms:
                if (arm.name, seed) not in {(row["arm"], row["seed"]) for row in log.read()}:
                    log.append(study.run(arm, seed))
    write_table(log.read(), STUDIES[options.study], options.folder / f"{options.study}.md")


def _parse() -> argparse.Namespace:
    parser = open_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--arms", nargs="+", help="names of arms; all by default")
    parser.add_argument("--steps", type=int, help=f"of a student; by default {STEPS}")
    parser.add_argument("--teacher-steps", type=int, help=f"by default {TEACHER_STEPS}")
    parser.add_argument("--table", action="store_true", help="train nothing, write the table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
