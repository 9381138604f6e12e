"""A population of which a member fails, and the rest is killed again and again.

Each survivor must end with the bits of its uninterrupted self, and every checkpoint must hold the
step that it is named after.
"""

import random
import signal
import time

import jax
import numpy as np
import pytest

from experiments import train
from qlae.restore import open_run
from qlae.run_directory import RunDirectory, find_runs, list_steps
from qlae.training.checkpoints import Checkpoints
from tests import runs
from tests.experiments.test_distributed import start_together

pytestmark = [pytest.mark.process, pytest.mark.slow]

RATES = ("0.002", "0.003", "0.004")
LONG = ("--config.num_steps=48", "--config.checkpoint_every=8", "--config.log_every=4")


def overrides(failing):
    """Three members, one of which overflows at its first steps."""
    rates = [*RATES]
    rates[failing] = "1e30"
    return (*LONG, f"--config.population.learning_rate=({', '.join(rates)})")


def state_at(workdir, step):
    run = open_run(workdir)
    checkpoints = Checkpoints({0: run.directory.path}, lambda state, slot: state)
    return checkpoints.load(step, 0, run.program.abstract_state)[0]  # checks its step


def assert_survivors(root, undisturbed, failing):
    """Every survivor of a population is bit for bit what it is in an undisturbed one."""
    found = [path for path in find_runs(root) if "1e+30" not in str(path)]
    assert len(found) == 2
    for path in found:
        assert list_steps(path) == [8, 16, 24, 32, 40, 48]
        for step in list_steps(path):
            mine = state_at(path, step)
            expected = state_at(undisturbed / path.relative_to(root), step)
            for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(expected), strict=True):
                np.testing.assert_array_equal(a, b)
    failed = RunDirectory(root / "learning_rate_1e+30" / "seed_0")
    assert "has diverged" in failed.failure
    assert list_steps(failed.path) == []
    # It is not logged after it failed: its curve ends where the others' go on.
    steps = [step for step, _ in runs.load_scalars(failed.path, "train/loss/total")]
    assert all(step <= 8 for step in steps)


class Crash(BaseException):
    """Ends a start in the middle, as nothing in the code expects."""


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_whichever_member_fails_the_others_go_on_from_their_own_step(
    failing, tmp_path, monkeypatch
):
    rng = random.Random(failing)
    make_take_step = train.make_take_step

    def make_crashing_take_step(*arguments):
        take_step, left = make_take_step(*arguments), rng.randint(6, 11)

        def take_or_crash(state):
            nonlocal left
            left -= 1
            if left == 0:
                raise Crash
            return take_step(state)

        return take_or_crash

    root = tmp_path / "root"
    with monkeypatch.context() as patch:
        patch.setattr(train, "make_take_step", make_crashing_take_step)
        for _ in range(4):
            with pytest.raises(Crash):
                runs.train(root, *overrides(failing))
    code, _, errors = runs.train(root, *overrides(failing))
    assert code == 1
    assert "1 of 3 members have diverged" in errors
    undisturbed = tmp_path / "undisturbed"
    assert runs.train(undisturbed, *overrides(failing))[0] == 1
    assert_survivors(root, undisturbed, failing)


def count_checkpoints(root):
    return sum(len(list_steps(path)) for path in find_runs(root))


def kill_after_a_checkpoint(start, root, rng):
    """Starts processes, kills them all soon after a new checkpoint; returns whether they ran."""
    before, processes = count_checkpoints(root), start(root)
    deadline = time.monotonic() + 300
    while count_checkpoints(root) == before and processes[0].poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.3))
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate()
    return processes[0].returncode == -signal.SIGKILL


@pytest.mark.process
@pytest.mark.parametrize("num_processes", [1, 2])
def test_killed_again_and_again_each_survivor_ends_with_its_own_bits(num_processes, tmp_path):
    root, undisturbed, rng = tmp_path / "root", tmp_path / "undisturbed", random.Random(7)
    arguments = overrides(1)

    def start(root):
        if num_processes == 2:
            return start_together(root, 2, *arguments)
        command = (f"--config={runs.TINY}", f"--workdir={root}", *arguments)
        return [runs.start("experiments.train", *command)]

    killed = [kill_after_a_checkpoint(start, root, rng) for _ in range(2)]
    assert any(killed)
    for place in (root, undisturbed):
        codes = [runs.finish(process)[0] for process in start(place)]
        assert codes == [1] * num_processes
    assert_survivors(root, undisturbed, 1)


def test_deleting_failed_gives_another_try(tmp_path):
    root = tmp_path / "root"
    short = ("--config.num_steps=16", "--config.checkpoint_every=8", "--config.log_every=4")
    population = (*short, "--config.population.seeds=2")
    assert runs.train(root, *population)[0] == 0
    expected = state_at(root / "seed_1", 16)
    for step in (8, 16):
        (root / "seed_1/checkpoints" / str(step) / "commit_success.txt").unlink()
    RunDirectory(root / "seed_1").fail("loss/total is nan at step 3")
    code, output, errors = runs.train(root, *population)
    assert code == 1
    assert f"{root}/seed_0 is complete" in output
    assert "FAILED" in errors
    assert list_steps(root / "seed_1") == []
    (root / "seed_1/FAILED").unlink()
    assert runs.train(root, *population)[0] == 0
    assert list_steps(root / "seed_1") == [8, 16]
    again = state_at(root / "seed_1", 16)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
