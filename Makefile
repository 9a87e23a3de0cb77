# The commands of the README: each does all of its own set-up, in .venv beside this file.

PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
TEXT ?= Hello from a neural network
override export TEXT := $(value TEXT)
LAB ?=
GRAVES_CACHE ?= $(CURDIR)/.cache/graves_nb
export GRAVES_CACHE

.PHONY: demo test lint notebooks export lab pictures key-pictures docs audit clean

demo: $(VENV)/run  ## write a line of handwriting with the shipped model
	@$(BIN)/graves write -o demo.svg --bias 1.5 --seed 0 -- "$$TEXT" >/dev/null
	@$(BIN)/graves write -o demo.png --bias 1.5 --seed 0 -- "$$TEXT" >/dev/null
	@echo "$(CURDIR)/demo.png"
	@echo "$(CURDIR)/demo.svg"

test: $(VENV)/test notebooks lint  ## all that continuous integration runs, two files at a time; notebooks first: the site is made of their runs
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder nbs tests

notebooks: $(VENV)/dev  ## fail where the notebooks and graves_nb/ disagree, or a notebook is not clean
	@$(BIN)/python tools/check_notebooks.py
	@$(BIN)/python tools/list_notebooks.py

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

export: $(VENV)/dev  ## clean the notebooks, and write graves_nb/ from them
	@$(BIN)/python tools/check_notebooks.py --write
	@$(BIN)/python tools/list_notebooks.py --write
	@$(BIN)/python docs/figures.py

lab: $(VENV)/dev  ## JupyterLab on the Studio, with the other notebooks beside it
	$(BIN)/graves lab nbs -- $(LAB)

pictures: docs  ## the widgets and the site in a browser, light and dark, into docs/images
	$(BIN)/python tools/pictures.py

key-pictures: $(VENV)/docs  ## what each notebook shows where it is only looked at, if its code has changed
	$(BIN)/python tools/key_pictures.py --write

docs: $(VENV)/docs  ## the site, from the notebooks, into _site
	@$(BIN)/python docs/build.py _site

audit: $(VENV)/base  ## known vulnerabilities of the versions that are installed, by the advisories of the registry
	@$(BIN)/pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --progress-spinner off

clean:
	rm -rf $(VENV) build dist _docs _proc _site *.egg-info .cache .pytest_cache .ruff_cache .hypothesis demo.svg demo.png
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/base:
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "graves_nb needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run: $(VENV)/base settings.ini setup.py constraints.txt
	@echo "installing graves_nb and PyTorch into $(VENV): some minutes the first time ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/dev: $(VENV)/run
	@echo "installing the tools of development into $(VENV) ..."
	@$(PIP) --editable ".[dev,lab]"
	@touch $@

$(VENV)/docs: $(VENV)/dev
	@echo "installing what builds the site into $(VENV) ..."
	@$(PIP) --editable ".[dev,lab,docs,onnx]"
	@touch $@

$(VENV)/test: $(VENV)/docs
	@echo "installing what reads handwriting into $(VENV) ..."
	@$(PIP) --editable ".[dev,lab,docs,onnx,ocr]"
	@$(PIP) --no-deps rapidocr-onnxruntime  # asks for an opencv that wants a display
	@touch $@
