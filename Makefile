# Two commands are enough: `make train` and `make test`.  Both set up `.venv` first, once.
SHELL := /bin/bash
PYTHON ?= python3
export ANY_TORCH PIP_DISABLE_PIP_VERSION_CHECK=1
BIN := .venv/bin
SPEC ?= specs/digits.dlt
STAMP := .venv/.dltc-setup

.DEFAULT_GOAL := help
.PHONY: help setup train test test-all lint status clean

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(STAMP)  ## create .venv with everything in it (done by the others when needed)

$(STAMP): pyproject.toml constraints.txt .ci/setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dltc set-up: Python 3.11 or newer is needed: run make PYTHON=python3.11 ..")'
	@$(PYTHON) .ci/setup.py

train: $(STAMP)  ## train specs/digits.dlt (SPEC=.. for another) and print its test accuracy
	@$(BIN)/dltc train $(SPEC)

test: $(STAMP)  ## the fast tests
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not gpu"

test-all: $(STAMP)  ## all tests that this machine can run
	@$(BIN)/python -m pytest -q -n 2

lint: $(STAMP)  ## ruff and pyright
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

status:  ## everything that is not finished or not checked, with counts
	@$(PYTHON) .ci/status.py

clean:  ## remove what the other targets made, .venv and runs/ excepted
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .link
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
	@rm -f $(STAMP)
