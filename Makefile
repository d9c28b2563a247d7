# The two commands of the README are `make demo` and `make test`; each sets up what it needs.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check

READABILITY = ensembles/readability
ARTIFACTS   = $(READABILITY)/artifacts/metrics.json
REPOSITORY  = build/repository

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-env examples train compile test check format bench clean

help:
	@echo "make demo    train small readability models, compile, serve on the embedded Triton, score"
	@echo "make demo-env the same, its Python steps in a conda-pack environment of their own"
	@echo "make examples make the models of every pipeline in ensembles/, and test their examples"
	@echo "make test    linters, types and every test, on a real Triton where one is needed"
	@echo "make check   linters and types alone"
	@echo "make bench   how fast compiling, steps and serving are, as ratios; bench/results/*.json"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# One environment serves both commands; a stamp says what is in it already.
$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --editable '.[local,train]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo

setup: $(VENV)/.dev

$(ARTIFACTS): $(wildcard $(READABILITY)/*.py python_models/readability_preprocess/*.py) | $(VENV)/.demo
	$(BIN)/python $(READABILITY)/train.py

train: $(ARTIFACTS)

compile: $(ARTIFACTS)
	$(BIN)/ensemblegen compile $(READABILITY)/pipeline.yaml --output $(REPOSITORY)

demo: $(VENV)/.demo compile
	$(BIN)/ensemblegen infer $(REPOSITORY) --file $(READABILITY)/demo.jsonl

demo-env: $(ARTIFACTS) setup
	$(BIN)/python $(READABILITY)/demo_env.py

# Some of ensembles/ have a script that makes their models; others are made when they are compiled.
examples: setup $(ARTIFACTS)
	@for script in ensembles/*/export.py; do $(BIN)/python $$script || exit 1; done
	@for folder in ensembles/*/; do $(BIN)/ensemblegen test $$folder || exit 1; done

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each writes bench/results/NAME.json; a bar that is missed is said and fails nothing.
BENCHMARKS = compile step fusion branches transport readability

bench: setup $(ARTIFACTS)
	@for name in $(BENCHMARKS); do $(BIN)/python bench/$$name.py --short || exit 1; done

clean:
	rm -rf build dist $(READABILITY)/artifacts
