# `make run` serves on this machine, `make test` runs the whole test suite. Everything else is for developers.
PORT ?=
BESIDE ?=
PROFILE ?=
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint format lock setup clean

run: setup ## set up, get the models, serve on 127.0.0.1:8000 (PORT=8001 elsewhere, BESIDE=1 beside another Ray)
	@exec $(BIN)/embedserve up $(if $(PORT),--port $(PORT)) $(if $(BESIDE),--beside) $(if $(PROFILE),--profile $(PROFILE))

setup: ## the environment that `make run` uses
	@scripts/setup.sh cpu "$(PYTHON)"

test: ## the whole test suite: real Ray, real HAProxy, real weights
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/python -m pytest

lint: ## style and types
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: ## rewrite files in the project's style
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## lock the dependencies of pyproject.toml again
	scripts/lock.sh

clean: ## remove the environment and caches; models stay
	rm -rf .venv .venv-uv .mypy_cache .ruff_cache .pytest_cache
