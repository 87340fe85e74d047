"""What is wrong with the cases of a dataset, told before any work is spent on them."""

from data_prep.checks.dataset import CheckReport, check_dataset
from data_prep.checks.inspection import Inspection, inspect_case

__all__ = ["CheckReport", "Inspection", "check_dataset", "inspect_case"]
