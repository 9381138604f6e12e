"""Several real processes on one machine: the same run, whatever their number."""

import shutil
import socket

import jax
import numpy as np

from eval.restored import open_run
from qlae.training.checkpoint import list_steps
from tests import runs


def train_together(workdir, num_processes, *overrides, differing=()):
    """Trains the tiny config in `num_processes` processes; returns their exits and errors."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    processes = [
        runs.start(
            "experiments.train",
            f"--config={runs.TINY}",
            f"--workdir={workdir}",
            f"--coordinator_address=127.0.0.1:{port}",
            f"--num_processes={num_processes}",
            f"--process_id={index}",
            "--initialization_timeout=60",
            *overrides,
            *(differing if index == num_processes - 1 else ()),
        )
        for index in range(num_processes)
    ]
    return [runs.finish(process) for process in processes]


def params_at(workdir, step):
    return jax.tree.leaves(jax.device_get(open_run(workdir).load(step)))


def test_saved_by_four_processes_resumed_by_two_and_by_one(tmp_path):
    """The data order is bit-identical, so parameters differ by summation order alone."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    short = ("--config.num_steps=6", "--config.checkpoint_every=2")
    assert runs.train(alone, *short)[0] == 0
    stages = ((4, 2), (2, 4), (1, 6))
    for num_processes, stop in stages:
        # The config stays; the stage ends where its last checkpoint is taken away again.
        if num_processes > 1:
            results = train_together(together, num_processes, *short)
            assert [code for code, *_ in results] == [0] * num_processes, results[0][2]
            for step in list_steps(together):
                if step > stop:
                    shutil.rmtree(together / "checkpoints" / str(step))
        else:
            assert runs.train(together, *short)[0] == 0
    assert list_steps(together) == list_steps(alone) == [2, 4, 6]
    for step in (2, 6):
        for a, b in zip(params_at(alone, step), params_at(together, step), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)


def test_processes_that_disagree_fail_fast_together(tmp_path):
    workdir = tmp_path / "run"
    results = train_together(workdir, 2, differing=["--config.optimizer.weight_decay=0.9"])
    for code, _, errors in results:
        assert code == 2, errors
        assert "processes disagree on their config: process 1 differ" in errors
    assert not workdir.exists()


def test_flags_that_do_not_go_together_are_one_line(tmp_path):
    for arguments, message in (
        (["--num_processes=2"], "go together"),
        (
            ["--coordinator_address=localhost:1", "--num_processes=2", "--process_id=2"],
            "is not one of 2",
        ),
        (
            ["--coordinator_address=localhost", "--num_processes=2", "--process_id=0"],
            "lacks a port",
        ),
    ):
        code, _, errors = runs.train(tmp_path / "run", *arguments)
        assert code == 2
        assert message in errors
