PYTHON ?= python3.11
BIN := .venv/bin
CODE := monai_kd data_prep tests docs/studies

.PHONY: help distill test cover check format bench figure clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

distill: .venv/installed  ## phantoms, teacher, student, twin, report and bundle, in minutes on a CPU
	$(BIN)/python -m monai.bundle run training --config_file bundles/distill.yaml $(ARGS)

# One thread: on the tests' tiny networks two spend their time waiting for each other.
test: .venv/installed  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder $(ARGS)

cover: .venv/installed  ## all tests, and the coverage of monai_kd and data_prep
	$(MAKE) test ARGS="--cov --cov-report=term $(ARGS)"

check: .venv/installed  ## formatting, lint, types, room rules, YAML, spelling
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	$(BIN)/yamllint --strict bundles .pre-commit-config.yaml .yamllint.yaml
	$(BIN)/codespell $(CODE) bundles docs *.md

format: .venv/installed  ## let ruff format and fix what it can
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: .venv/installed  ## time the networks in all runtimes, minutes; FULL=1 takes the whole list
	$(BIN)/python -m docs.studies.benchmark $(ARGS)

figure: .venv/installed  ## draw the README's figure from runs/phantom
	$(BIN)/python -c "from monai_kd.report import write_figure as w; w('runs/phantom', 'docs/images/phantoms.png', rows=2)"

clean:  ## remove the environment and all runs
	rm -rf .venv runs

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .[dev]
	touch $@
