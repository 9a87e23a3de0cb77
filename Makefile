# The commands of the README: each does all of its own set-up, in .venv beside this file.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
TEXT ?= Hello from a neural network.

.PHONY: demo test lint notebooks export lab clean

demo: $(VENV)/run  ## write a line of handwriting with the shipped model
	@$(BIN)/graves write "$(TEXT)" -o demo.svg --bias 1 --seed 1 >/dev/null
	@$(BIN)/graves write "$(TEXT)" -o demo.png --bias 1 --seed 1 >/dev/null
	@echo "$(CURDIR)/demo.svg"

test: $(VENV)/dev notebooks lint  ## all that continuous integration runs
	$(BIN)/python -m pytest

notebooks: $(VENV)/dev  ## fail where the notebooks and graves_nb/ disagree, or a notebook is not clean
	@$(BIN)/python tests/check_notebooks.py

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check tests setup.py conftest.py

export: $(VENV)/dev  ## write graves_nb/ from the notebooks, and clean them
	$(BIN)/nbdev_clean
	$(BIN)/nbdev_export

lab: $(VENV)/dev  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab nbs/index.ipynb

clean:
	rm -rf $(VENV) build dist _docs _proc _site *.egg-info .pytest_cache .ruff_cache .hypothesis demo.svg demo.png

$(VENV)/base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "graves_nb needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run: $(VENV)/base settings.ini constraints.txt
	@echo "installing graves_nb and PyTorch into $(VENV) ..."
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/dev: $(VENV)/run
	$(PIP) --editable ".[dev,lab]"
	@touch $@
