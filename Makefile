# Every target sets up what it needs: a fresh machine has Python 3.11 and this tree, nothing else.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.9
TESTERS ?= 3
PACKAGES := contracts runtime system_apis process_apis experience_apis gateway deploy

.PHONY: run test lint bench campaigns lock setup clean

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Crossdock needs Python 3.11 or later: '$(PYTHON)' was not found. Set PYTHON=/path/to/python." >&2; exit 1; }
	@echo "Setting up $(VENV) (about half a minute, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements-dev.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

run: $(STAMP)
	@$(BIN)/crossdock up --demo

test: $(STAMP) lint
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks

campaigns: $(STAMP)
	$(BIN)/python -m tests.crash --size full --keep
	$(BIN)/python -m tests.security --size full --keep
	$(BIN)/python -m tests.overload --size full --keep
	$(BIN)/python -m tests.crash.table

lock: $(STAMP)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --group dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis
