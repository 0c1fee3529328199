# `make run` serves on this machine, `make test` runs the whole test suite. Everything else is for developers.
PORT ?=
BESIDE ?=
PROFILE ?=
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-slow lint format lock setup clean faults soak bench bench-profile bench-ab bench-models bench-gpu fidelity manifests

PLAIN := bench/results/plain

run: setup ## set up, get the models, serve on 127.0.0.1:8000 (PORT=8001 elsewhere, BESIDE=1 beside another Ray)
	@exec $(BIN)/embedserve up $(if $(PORT),--port $(PORT)) $(if $(BESIDE),--beside) $(if $(PROFILE),--profile $(PROFILE))

setup: ## the environment that `make run` uses
	@scripts/setup.sh cpu "$(PYTHON)"

test: ## the whole test suite: real Ray, real HAProxy, real weights; about 17 minutes on two cores
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/python scripts/run_tests.py

lint: ## style, types, and the rooms
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: ## rewrite files in the project's style
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-slow: ## the tests that take minutes each
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/python -m pytest -m slow --timeout=1800

faults: ## what breaks it and does not: killed processes, lost nodes, long fuzzing, a crowd of ten thousand; 40 minutes
	@scripts/setup.sh dev "$(PYTHON)"
	EMBEDSERVE_EXAMPLES=200 $(BIN)/python -m pytest tests/faults tests/costs -m "slow or not slow" --timeout=3000 -s

soak: ## MINUTES=10 of 70 % load with swaps and bad input: does memory grow, does it get slower?
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/python -m bench.soak $(if $(MINUTES),--minutes $(MINUTES))

bench: ## this service beside the bare model and its peers (40 minutes; QUICK=1: ten)
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(PUBLISH),--publish)

bench-profile: ## where each microsecond of a one-text request goes
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/python -m bench --profile

bench-ab: ## OTHER=../another-checkout under the same loads, by turns: faster or slower? (ten minutes)
	$(BIN)/python -m bench.ab $(OTHER) $(if $(LOADS),--loads "$(LOADS)") $(if $(ROUNDS),--rounds $(ROUNDS))

bench-models: ## our graphs beside the plain torch exports of the same weights
	@scripts/setup.sh dev "$(PYTHON)"
	@test -x .env-export/bin/python || { $(PYTHON) -m venv .env-export && .env-export/bin/pip install -q torch==2.13.0 transformers onnx onnxscript safetensors; }
	$(BIN)/embedserve models pull text-embedding image-embedding
	.env-export/bin/python -P bench/models/plain_export.py models/store/files $(PLAIN)
	$(BIN)/python -m bench.models $(PLAIN)

bench-gpu: ## the card: engine, copies, replicas, swaps, pipeline; NULL=1 without one: an engine that waits; on a card scripts/setup.sh gpu first
	$(BIN)/python -m bench.gpu $(if $(PROVIDER),--provider $(PROVIDER)) $(if $(QUICK),--quick) $(if $(NULL),--null)

fidelity: ## how far int8 and fp16 vectors lie from fp32, and both from what people judged
	@scripts/setup.sh dev "$(PYTHON)"
	$(BIN)/python -m bench.models.fidelity

manifests: ## the Serve configuration inside k8s/, renewed from serve_config.yaml
	$(BIN)/python scripts/k8s_config.py --write

lock: ## lock the dependencies of pyproject.toml again
	scripts/lock.sh

clean: ## remove the environment and caches; models stay
	rm -rf .venv .venv-uv .env-bench .env-fastembed .env-export .mypy_cache .ruff_cache .pytest_cache
