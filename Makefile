# The two commands of the README, and the steps they are made of.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/quickstart
# The lock's jax computes on CPU; unasked, the TPU library in it would look for a TPU aloud.
export JAX_PLATFORMS ?= cpu

.PHONY: run test lint lock clean

run: $(VENV)/.ready  ## Train the quickstart QLAE with an evaluation worker beside it.
	@$(BIN)/python -m experiments.quickstart --workdir=$(WORKDIR)

test: $(VENV)/.ready lint  ## Every test, after lint and types.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The marker is written last, so an interrupted installation is begun again.
$(VENV)/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"error: CPython 3.11 or newer is needed, found {v[0]}.{v[1]}; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

lock:  ## Lock pyproject.toml's dependencies again, with hashes and without host names.
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --extra dev --extra tpu -o requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
