# The README's commands, and the steps they are made of.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/quickstart
LOGDIR ?= runs
# Modules are compiled when they are first imported, even where the caller's shell forbids it.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: run test check slow faults soak interop colab tensorboard bench lint wheel lock clean

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

# Each of other people's programs has an environment of its own: some want other versions.
interop: $(VENV)/.dev build/xpk/.ready build/torch/.ready build/wandb/.ready  ## gcloud, xpk, PyTorch, W&B.
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -m interop -rs
	JAX_PLATFORMS=cpu build/wandb/bin/python -m pytest -m interop -rs tests/qlae/common/test_wandb_log.py

colab: build/colab/.ready  ## The notebook on Colab's versions; its log is committed.
	PATH="$$PWD/build/colab/bin:$$PATH" JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} build/colab/bin/python \
	  experiments/colab/run_as_colab.py experiments/colab/colab_log.txt

build/colab/.ready: experiments/colab/preinstalled.txt
	$(PYTHON) -m venv --clear build/colab
	build/colab/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

build/xpk/.ready:
	$(PYTHON) -m venv build/xpk
	build/xpk/bin/python -m pip install --quiet --disable-pip-version-check xpk==1.16.0
	@touch $@

# wandb beside all that is in $(VENV), which stays as it is.
build/wandb/.ready: | $(VENV)/.dev
	$(BIN)/python -m venv build/wandb
	packages=$$(ls -d build/wandb/lib/python*/site-packages) && \
	  echo "$$PWD/$(VENV)/$${packages#build/wandb/}" > $$packages/project.pth
	build/wandb/bin/python -m pip install --quiet --disable-pip-version-check wandb==0.31.0
	@touch $@

build/torch/.ready: $(wildcard eval/metrics/*.py eval/metrics/pyproject.toml)
	$(PYTHON) -m venv build/torch
	build/torch/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 ./eval/metrics
	@rm -rf eval/metrics/build eval/metrics/*.egg-info
	@touch $@

tensorboard: build/tensorboard/.ready  ## All runs below LOGDIR, at http://localhost:6006.
	build/tensorboard/bin/tensorboard --host=localhost --logdir="$(LOGDIR)"

build/tensorboard/.ready:
	$(PYTHON) -m venv build/tensorboard
	build/tensorboard/bin/python -m pip install --quiet --disable-pip-version-check tensorboard==2.21.0
	@touch $@

bench: $(VENV)/.dev  ## What a train step costs here, beside the last committed figures.
	$(BIN)/python -m experiments.benchmarks.steps

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(VENV)/.dev  ## dist/: the wheels qlae (that folder alone) and infomec (eval/metrics alone).
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w dist . ./eval/metrics
	@rm -rf build/lib build/bdist.* *.egg-info eval/metrics/build eval/metrics/*.egg-info

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
