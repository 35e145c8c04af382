# make demo    five small projects under test, then one with a fault in it, then a report
# make test    all tests, then the PyMC ones once more under PyMC 6
# make lint    what .ci/run checks besides: ruff, typos, types, the manifest
# make docs    the documentation, into build/site
# make bench   every benchmark, one after the other (an hour; python -m benchmarks --quick: minutes)
#
# Each needs a Python 3.11 or newer, git and make; the first call installs pinned packages into
# .venv (a few minutes), later calls start at once.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One thread per process: the tests run in as many processes as there are cores.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

VENV := .venv
VENV6 := .venv-pymc6
BIN := $(VENV)/bin
KERNELS := pytest_gradcheck/stats/_kernels.c
INSTALLED := $(VENV)/.installed
INSTALLED6 := $(VENV6)/.installed
RUN := $(BIN)/python -m

.PHONY: help demo test test-main test-pymc6 cover lint docs bench clean

help:
	@sed -n 's/^# \{0,1\}//p; /^$$/q' Makefile

demo: $(INSTALLED)
	@.ci/demo $(BIN)/python

test: test-main test-pymc6

test-main: $(INSTALLED)
	$(RUN) pytest -n auto

# PyMC 6 needs Python 3.12; a machine without one tests what it can, and says so.
test-pymc6:
	@if [ -e $(INSTALLED6) ] || .ci/find-python 3.12 >/dev/null; then \
	    $(MAKE) --no-print-directory $(INSTALLED6); \
	    set -x; \
	    $(VENV6)/bin/python -m pytest -n auto -m pymc --extras=hypothesis,pymc,syrupy; \
	else \
	    { echo; \
	      echo "WARNING: NOTHING WAS TESTED UNDER PyMC 6: no working Python 3.12 or newer was found."; \
	      echo "         Install one (python3.12 on the path, or with pyenv) and run make test again."; \
	      echo; } >&2; \
	fi

cover: $(INSTALLED)
	$(RUN) coverage erase
	$(RUN) coverage run -m pytest -n auto
	$(RUN) coverage combine --quiet
	$(RUN) coverage report

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/typos
	$(BIN)/validate-pyproject pyproject.toml
	$(RUN) mypy
	$(RUN) mypy conftest.py

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q

bench: $(INSTALLED) build/peers
	$(RUN) benchmarks

build/peers: requirements/peers.txt $(INSTALLED)
	$(RUN) pip install -q --no-deps --upgrade --target $@ -r $<
	@touch $@

clean:
	rm -rf build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation starts again.
$(INSTALLED): requirements/dev.txt pyproject.toml $(KERNELS)
	@.ci/install $(VENV) 3.11 requirements/dev.txt

$(INSTALLED6): requirements/pymc6.txt pyproject.toml $(KERNELS)
	@.ci/install $(VENV6) 3.12 requirements/pymc6.txt
