"""Runs one experiment from a bundle: checks it, resumes it, compares its networks."""

from monai_kd.experiment.choices import (
    check_window,
    choose_layout,
    choose_recipe,
    find_multiple,
    read_choices,
    read_recipe,
)
from monai_kd.experiment.comparison import Comparison
from monai_kd.experiment.configuration import check_configuration, read_component
from monai_kd.experiment.ensemble_stage import EnsembleStage
from monai_kd.experiment.epoch_checkpoint import EpochCheckpoint
from monai_kd.experiment.epoch_seed import EpochSeed
from monai_kd.experiment.epoch_validation import EpochValidation
from monai_kd.experiment.errors import ExperimentError, report_in_one_line
from monai_kd.experiment.given_teacher import GivenTeacher, read_bundle_network
from monai_kd.experiment.guards import DistillationGuard
from monai_kd.experiment.history import History, stack_outputs
from monai_kd.experiment.place import check_place
from monai_kd.experiment.progress import ProgressDisplay
from monai_kd.experiment.run_folder import RunFolder
from monai_kd.experiment.stage import Stage
from monai_kd.experiment.trial import build_component, check_distillation
from monai_kd.experiment.weights import load_weights

__all__ = [
    "Comparison",
    "DistillationGuard",
    "EnsembleStage",
    "EpochCheckpoint",
    "EpochSeed",
    "EpochValidation",
    "ExperimentError",
    "GivenTeacher",
    "History",
    "ProgressDisplay",
    "RunFolder",
    "Stage",
    "build_component",
    "check_configuration",
    "check_distillation",
    "check_place",
    "check_window",
    "choose_layout",
    "choose_recipe",
    "find_multiple",
    "load_weights",
    "read_bundle_network",
    "read_choices",
    "read_component",
    "read_recipe",
    "report_in_one_line",
    "stack_outputs",
]
