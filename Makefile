# Everything goes through bootstrap.py, which makes .venv as the lock says (only when something changed) and then
# becomes the program named after it. PYTHON=… chooses another interpreter than python3.

PYTHON ?= python3
PYTEST_WORKERS ?= 3
RUN := $(PYTHON) bootstrap.py
DEV := $(PYTHON) bootstrap.py --dev

ifeq ($(shell command -v $(PYTHON) 2>/dev/null),)
$(error There is no $(PYTHON) here: install Python 3.11 or newer, or name one with PYTHON=/path/to/python)
endif

.PHONY: help run demo test check proof bench bench-quick format messages examples openapi lock
.DEFAULT_GOAL := help

help: ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

run: ## Run the service with a PostgreSQL of its own on http://localhost:8000
	@$(RUN) xuezu run

demo: ## Play the main job over HTTP (DEMO="--base-url … --file SHEET.xlsx")
	@$(RUN) xuezu demo $(DEMO)

test: ## Run the tests (PYTEST="tests/orgs -k name" for some of them)
	@$(DEV) pytest -n $(PYTEST_WORKERS) $(PYTEST)

proof: ## Run the tests at the full counts of their proofs; this takes long
	@XUEZU_PROOF=1 $(DEV) pytest -n $(PYTEST_WORKERS) $(PYTEST)

check: ## Format, lint, types, layers, schema, messages, OpenAPI snapshot
	@$(DEV) python checks.py

format: ## Format the code
	@$(DEV) ruff format
	@$(DEV) ruff check --fix

messages: ## Update and compile the catalogue of messages
	@$(DEV) python -m devtools.messages update

examples: ## Record the answers of a demo as the examples of answers
	@XUEZU_RECORD_EXAMPLES=1 $(DEV) pytest -n 0 -q tests/devtools/test_examples.py
	@$(DEV) xuezu openapi

openapi: ## Write openapi/openapi.json anew
	@$(DEV) xuezu openapi

bench: ## Measure as ratios to a limit or a peer, at full scale
	@$(DEV) python -m bench $(BENCH)

bench-quick: ## The same at 1/50 of the scale
	@$(DEV) python -m bench --quick $(BENCH)

# Each lock holds the one before it: what the image installs, what `make run` does, what the tests and checks do.
COMPILE = uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet $(UV)
lock: ## Resolve the dependencies of pyproject.toml (needs uv; UV=--upgrade takes newer ones)
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra embedded --extra devtools \
		--output-file requirements-run.lock pyproject.toml
	$(COMPILE) --constraint requirements-run.lock --extra embedded --extra devtools --extra otel --extra dev \
		--output-file requirements-dev.lock pyproject.toml
