"""What is wrong with the cases of a dataset, reported before any work is spent on them."""

from data_prep.checks.dataset import CheckReport, check_dataset, find_same_scans, judge_values
from data_prep.checks.inspection import Inspection, inspect_case

__all__ = [
    "CheckReport",
    "Inspection",
    "check_dataset",
    "find_same_scans",
    "inspect_case",
    "judge_values",
]
