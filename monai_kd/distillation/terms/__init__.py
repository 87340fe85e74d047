"""One file per idea: its formula, its source, its parameters."""
