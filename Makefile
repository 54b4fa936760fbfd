# Needs make, git, Python 3.11 or newer and Node 20 or newer; the tests need Chromium as well
# (Debian's package chromium). Everything else it installs itself, into .venv and
# contracts/node_modules. Each step is stamped: a repeat does nothing, and one that
# was interrupted is simply done again.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
UV_VERSION := 0.13.8

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
VENV_STAMP := .venv/.installed
NODE_STAMP := contracts/node_modules/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo test test-python test-contracts coverage check bench artifacts reference lock \
	clean distclean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: $(VENV_STAMP) $(NODE_STAMP) ## Install everything that is needed, pinned, once

$(VENV_STAMP): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=…" >&2; exit 1; }
	@echo "installing Python packages into .venv"
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv || { \
		echo "no virtual environment: Debian has it in the package python3-venv" >&2; exit 1; }
	@$(PIP) install --require-hashes -r constraints.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Not `npm ci`: it refuses a lock file without foundry's binaries for other platforms, which not
# every registry has. `--no-save` keeps to the lock file all the same, and never writes it.
$(NODE_STAMP): contracts/package-lock.json contracts/package.json
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' || { \
		echo "Node.js 20 or newer is needed" >&2; exit 1; }
	@echo "installing npm packages into contracts/node_modules"
	@cd contracts && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup ## Run the whole path on SQLite and a local Anvil
	@$(BIN)/token-ledger demo

test: test-python test-contracts ## Run every test, on real engines and a real chain

test-python: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-contracts: setup
	cd contracts && npm test --silent

coverage: setup ## Run the Python tests and hold what they cover against its floors
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal \
		--cov --cov-report= --cov-report=json:build/coverage.json
	$(BIN)/python -m tests.coverage_floors build/coverage.json

check: setup ## Judge style, types, import arrows, pins and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_tidy.py tests/test_constraints.py
	cd contracts && npm run --silent artifacts:check

bench: setup ## Print the benchmarks: ratios to floors measured in the same run
	$(BIN)/python -m benchmarks

artifacts: setup ## Compile the contracts into src/token_ledger/chain/artifacts
	cd contracts && npm run --silent artifacts

reference: setup ## Write docs/cli.md from the command itself
	$(BIN)/python -m token_ledger.cli.reference docs/cli.md

lock: ## Pin again what pyproject.toml asks for (LOCK_FLAGS=--upgrade takes the newest)
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	build/lock/bin/uv --no-config pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --all-extras \
		$(LOCK_FLAGS) --output-file constraints.txt pyproject.toml

clean: ## Remove what builds and tests leave
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis contracts/out contracts/cache
	find src tests migrations benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Remove what setup installed as well
	rm -rf .venv contracts/node_modules
