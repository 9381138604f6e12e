"""`make run`: the lock that it installs, the platform that it chooses, the arguments it passes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
# Stands in for the Python of the environment: writes down how it was called.
PYTHON = '#!/bin/sh\necho "$JAX_PLATFORMS" "$#" "$@" >> calls\n'
SMI = '#!/bin/sh\ncase "$1" in *driver*) echo 535.10;; *) echo 8.0;; esac\n'


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Runs make in a copy of the project whose environment is a stand-in."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for path, text in ((".venv/bin/python", PYTHON), ("bin/nvidia-smi", SMI)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o755)
    for name in ("JAX_PLATFORMS", "ACCELERATOR", "MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def run(*arguments):
        done = subprocess.run(
            ["make", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        calls = tmp_path / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_it_installs_what_fits_and_trains_on_it(make):
    done, calls = make("run")
    assert done.returncode == 0, done.stderr
    assert "accelerator: cuda12" in done.stdout
    assert len(calls) == 2
    assert "--no-deps --require-hashes -r requirements/cuda12.lock" in calls[0]
    assert calls[1] == "cuda,cpu 3 -m experiments.quickstart --workdir=runs/quickstart"
    _, calls = make("run")
    assert len(calls) == 3  # nothing is installed again


def test_another_accelerator_and_a_folder_with_a_space(make):
    done, calls = make("run", "ACCELERATOR=cpu", "WORKDIR=a b")
    assert done.returncode == 0, done.stderr
    assert "-r requirements/cpu.lock" in calls[0]
    assert calls[1] == "cpu 3 -m experiments.quickstart --workdir=a b"


def test_what_does_not_fit_is_one_line_and_changes_nothing(make):
    done, calls = make("run", "ACCELERATOR=cuda13")
    assert done.returncode == 2
    assert done.stderr.startswith("error: cuda13 needs an NVIDIA driver of version 580 or newer")
    assert calls == []


def test_two_cudas_do_not_share_an_environment(make, tmp_path):
    (tmp_path / ".venv/.cuda13").touch()
    done, calls = make("run")
    assert done.returncode == 2
    assert "error: .venv holds cuda13, and JAX takes one CUDA alone: make clean" in done.stderr
    assert calls == []
