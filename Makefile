# The README's commands, and the steps they are made of.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/quickstart
# Modules are compiled when they are first imported, even where the caller's shell forbids it.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: run test check slow faults soak interop bench lint wheel lock clean

run:  ## Train the quickstart QLAE, with an evaluation worker beside it, on what is here.
	@lock=$$($(PYTHON) requirements/detect.py $(ACCELERATOR)) || exit; \
	$(MAKE) --no-print-directory $(VENV)/.$$lock && \
	case $$lock in cpu) platforms=cpu;; *) platforms=$${lock%%1?},cpu;; esac && \
	echo "accelerator: $$lock" && \
	JAX_PLATFORMS=$${JAX_PLATFORMS:-$$platforms} \
	  $(BIN)/python -m experiments.quickstart --workdir="$(WORKDIR)"

test: lint  ## The tests, after lint and types; `make slow` has those that take minutes each.
	$(PYTEST)

check: lint  ## Lint, types, and the tests that start no process and take no more than moments.
	$(PYTEST) -m "not process and not heavy and not interop and not slow"

slow: $(VENV)/.dev  ## The tests that take minutes each: restarts, stores, grids.
	$(PYTEST) -m slow

faults: $(VENV)/.dev  ## Kill, fail and damage runs; what it cost goes to experiments/results/faults.md.
	JAX_PLATFORMS=cpu $(BIN)/python -m tests.faults

soak: $(VENV)/.dev  ## A thousand kills, for hours; started again, it goes on.
	JAX_PLATFORMS=cpu $(BIN)/python -m tests.faults.soak

interop: $(VENV)/.dev build/xpk/.ready  ## Against other people's programs: the real gcloud, xpk's parser.
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -m interop -rs

# xpk wants other versions of what we depend on.
build/xpk/.ready:
	$(PYTHON) -m venv build/xpk
	build/xpk/bin/python -m pip install --quiet --disable-pip-version-check xpk==1.16.0
	@touch $@

bench: $(VENV)/.dev  ## What a train step costs here, beside the last committed figures.
	$(BIN)/python -m experiments.benchmarks.steps

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(VENV)/.dev  ## dist/: the wheels qlae (that folder alone) and infomec (eval/metrics alone).
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w dist . ./eval/metrics
	@rm -rf build *.egg-info eval/metrics/build eval/metrics/*.egg-info

# The marker is written last, so an interrupted installation is begun again. A lock is complete;
# without --no-deps, pip would look for what is left out of it on purpose (see pyproject.toml).
$(VENV)/.%: requirements/%.lock requirements/cpu.lock | $(BIN)/python
	@for other in $(filter-out $@,$(if $(findstring cuda,$@),$(wildcard $(VENV)/.cuda*))); do \
	  echo "error: $(VENV) holds $${other##*.}, and JAX takes one CUDA alone: make clean" >&2; exit 2; done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	  --no-deps --require-hashes -r $<
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"error: CPython 3.11 or newer is needed, found {v[0]}.{v[1]}; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

lock: $(BIN)/uv  ## Lock pyproject.toml's dependencies again, for every platform and Python.
	requirements/lock.sh $<

$(BIN)/uv: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
