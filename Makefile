# What a developer does here, in order of need. `make` alone lists it.
# Another interpreter: make PYTHON=python3.13 hello.  Another place: make VENV=/tmp/venv test.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
BIN    := $(VENV)/bin
# One thread a test process, because $(JOBS) of them run side by side.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# Empty means off: where byte code is not kept, every start of Python compiles the package anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help hello test check slow bench format
.DELETE_ON_ERROR:
help:  ## list these targets
	@sed -n 's/^\([a-z]*\):.*##/make \1\t/p' Makefile

hello: $(VENV)/core.installed  ## set up the core and speak a sentence into hello.wav
	$(BIN)/aoide say "Any input becomes sound." -o hello.wav

test: $(VENV)/dev.installed  ## set up everything and run the tests
	$(PYTEST) -m "not slow"

check: $(VENV)/dev.installed  ## format, lint, types, import rules and the fast tests of single parts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow and not sweep"

slow: $(VENV)/dev.installed  ## the tests that take longer: training, whole books, every page of the docs
	$(PYTEST) -m slow

bench: $(VENV)/dev.installed  ## measure the voice beside its peers, see benchmarks/voice.py
	$(BIN)/python benchmarks/voice.py

format: $(VENV)/dev.installed  ## put every file into the house style
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# The stamps are written last, so an installation that was interrupted is done again.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "aoide needs Python 3.11 or newer: make PYTHON=python3.12 hello")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -e .
	touch $@

$(VENV)/dev.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[dev]'
	touch $(VENV)/core.installed $@
