"""A run's saved measurements as a table, a figure and a page. Files in, files out."""

from monai_kd.report.figure import write_figure
from monai_kd.report.page import write_report
from monai_kd.report.summary import show_results
from monai_kd.report.table import make_table

__all__ = ["make_table", "show_results", "write_figure", "write_report"]
