"""What distillation is worth, arm by arm: `python -m docs.studies.distillation --help`."""
