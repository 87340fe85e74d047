"""How fast each network is, on this machine: `python -m docs.studies.benchmark --help`."""
