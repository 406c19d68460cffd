# The front door. Needs Python 3.11 or newer and GNU make; everything else is installed into .venv from the lock.

BIN := .venv/bin
JOBS ?= 2
UV := uv==0.13.9
COMPILE := build/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --quiet $(if $(filter-out 0,$(UPGRADE)),--upgrade)
TYPED := $(wildcard service connectors tools benchmarks tests)

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check generate bench lock clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: ## build .venv from the lock; does nothing when it is already right (PYTHON=... picks an interpreter)
	@sh tools/setup.sh

demo: setup ## run the service with made-up campaigns; ONCE=1 prints their KPI table and ends; PLATFORM=x shows one connector
	@$(BIN)/tallybook demo $(if $(filter-out 0,$(ONCE)),--once) $(if $(PLATFORM),--platform $(PLATFORM))

serve: setup ## run the service
	@$(BIN)/tallybook serve

test: setup ## run every test; ARGS=... is handed to pytest, JOBS=2 is the number of processes
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: setup ## lint, format, types, who may import whom, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.generate --check

generate: setup ## write the generated files anew
	@$(BIN)/python -m tools.generate

bench: setup ## measure; see benchmarks/
	@$(BIN)/python -m benchmarks $(ARGS)

lock: setup ## resolve requirements.in anew, keeping what still fits; UPGRADE=1 takes the newest
	@test -x build/uv/bin/uv || $(BIN)/python -m pip install --quiet --target build/uv $(UV)
	$(COMPILE) requirements.in -o requirements.lock
	printf 'setuptools\n' | $(COMPILE) --no-annotate pyproject.toml - -c requirements.lock -o requirements-runtime.lock

clean: ## remove what was built; the books in .tallybook stay
	rm -rf .venv build dist tallybook.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
