"""Mistakes in what a benchmark is given: one line with what is valid, and exit code 2."""

import sys

import pytest

from eval.metrics.errors import InputError
from experiments.benchmarks import data_pipeline, infomec, restoring, steps, validity
from qlae.common.command_line import run_command


@pytest.mark.parametrize(
    ("main", "arguments", "expected"),
    [
        (infomec.main, ["--samples=x"], "argument --samples: invalid int value: 'x'"),
        (steps.main, ["--backend=gpu"], "unrecognized arguments: --backend=gpu"),
        (validity.main, ["--metrics=mig,nope"], "no metric is called 'nope'"),
        (validity.main, ["--generators=D9"], "valid: D1, D2, D3, D4"),
        (restoring.main, ["--paper=/nowhere"], "--paper=/nowhere: expected the directory of a run"),
        (
            data_pipeline.main,
            ["--tensorflow_python=/nowhere/python"],
            "--tensorflow_python=/nowhere/python: expected a Python that has tensorflow",
        ),
    ],
)
def test_a_mistake_is_one_line(main, arguments, expected, capsys):
    assert run_command(main, arguments, mistakes=(InputError,)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert expected in line


@pytest.mark.process
def test_a_python_without_the_peer_is_named_with_the_reason(tmp_path, capsys):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    assert run_command(data_pipeline.main, [f"--tensorflow_python={python}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "No module named 'tensorflow'" in line
