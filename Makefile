# Everything starts here. `make demo` and `make test` need nothing but make and Python 3.11 or newer: what else they
# need goes into .venv and .cache of this clone (and, for `make test` as root, into the system by apt-get).

SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo install dev test parts check fuzz soak lint format docs schema clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z%*-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install ## Serve examples/ on this machine until Ctrl-C (ONCE=1: check every printed line and exit)
	$(BIN)/limen demo $(if $(ONCE),--once)

install: $(VENV)/.installed ## Make .venv with the command .venv/bin/limen

dev: $(VENV)/.installed-dev ## The same with everything the tests and linters need

test: dev parts ## Everything: linters, the demo, and all tests, also those against a real API server
	$(MAKE) --no-print-directory lint
	$(BIN)/limen demo --once
	$(BIN)/python -m pytest $(PYTEST)

check: dev ## What is quick: linters and the tests that need no other process
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -q tests/unit tests/property tests/golden

lint: dev ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: dev ## Let ruff put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

parts: dev ## The real parts that tests run: etcd, kube-apiserver, tools (built once into .cache)
	bash .ci/parts

fuzz: dev ## Many more mutated messages than the tests try, other ones each time (FUZZ_EXAMPLES=20000 of each kind)
	FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),20000) $(BIN)/python -m pytest tests/hostile --timeout=0

soak: dev ## Ten minutes of faults, then look for what was left behind (SOAK_SECONDS=600)
	$(BIN)/python -m bench.soak --seconds $(or $(SOAK_SECONDS),600)

bench-%: dev ## One benchmark by name, e.g. make bench-requests (see bench/)
	$(BIN)/python -m bench.$(subst -,_,$*)

docs: dev ## Write again what docs/ generates from the code
	$(BIN)/python -m docs.generate

schema: dev ## Write again proto/schema/ from proto/events.py
	$(BIN)/python -m proto.schema_files

clean: ## Take away .venv and .cache
	rm -rf $(VENV) .cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Limen needs Python 3.11 or newer as python3 (or: make PYTHON=/path/to/python)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[all]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.installed
