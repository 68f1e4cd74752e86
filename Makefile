# The commands of this project. Everything else is in pyproject.toml; `make` alone lists them.

VENV ?= .venv
PYTHONS = python3 python3.14 python3.13 python3.12 python3.11
PY = $(VENV)/bin/python
ARGS ?=
# What must be covered to the last branch.
WHOLE = --include='api/core/*,api/tickets/states.py' --fail-under=100

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check fmt bench clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make the environment from poetry.lock (the others do it by themselves)
	@found=; old=; \
	for python in $(or $(PYTHON),$(PYTHONS)); do \
	  version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	  case $$version in 2.*|3.[0-9]|3.10) old="$$old, $$python is $$version"; continue;; esac; \
	  found=$$python; break; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer is needed$$old: install one, or name it with make PYTHON=/path/to/python." >&2; \
	  exit 1; \
	fi; \
	$$found .ci/bootstrap.py "$(VENV)" $(if $(PYTHON),--exactly)

run: setup ## Run everything on this machine (ARGS="--port 8000 --ui-port 8501 --data-dir .data --no-ui")
	@exec $(PY) -m api.local $(ARGS)

demo: setup ## Fill the database of `make run` with sample requests
	@exec $(PY) -m api.cli demo $(ARGS)

test: setup ## Run the tests with coverage (ARGS="-k word" for some of them)
	@$(if $(ARGS),true,$(PY) -m coverage erase)
	@$(PY) -m pytest --cov --cov-report=term $(if $(ARGS),--no-cov) $(ARGS)
	@$(if $(ARGS),true,$(PY) -m coverage report $(WHOLE) >/dev/null || $(PY) -m coverage report $(WHOLE))

check: setup ## Check format, lint, types, floors and the lock file
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports
	@$(PY) .ci/bootstrap.py --check-lock

fmt: setup ## Format the code and fix what can be fixed
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

bench: setup ## Measure the goals beside their floor at a million tickets (ARGS=--full: five million too)
	@exec $(PY) -m benchmarks $(ARGS)

clean: ## Remove the environment and caches; your data in .data stays
	rm -rf .venv .venv-* .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
