"""A population of which a member diverges on the way, killed again and again."""

import random
import time
from pathlib import Path

from qlae.run_directory import RunDirectory, find_runs, list_steps
from tests import runs
from tests.faults.checks import count_twice, count_wrong
from tests.faults.outcome import Outcome

OVERRIDES = (
    "--config.num_steps=240",
    "--config.checkpoint_every=20",
    # The middle one overflows at its first steps.
    "--config.population.learning_rate=(0.002, 1e30, 0.004)",
)


def kill_population(folder: Path, kills: int, seed: int = 0) -> Outcome:
    """Kills the trainer of a population soon after a new checkpoint, so many times."""
    outcome, rng = Outcome("SIGKILL of a population of which a member fails"), random.Random(seed)
    root, undisturbed = folder / "population_killed", folder / "population"
    _train(undisturbed)
    for _ in range(kills):
        before = _count(root)
        process = runs.start("experiments.train", f"--config={runs.TINY}", *_arguments(root))
        while _count(root) <= before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.communicate()
        outcome.tried += process.returncode == -9
    _train(root)
    for path in find_runs(undisturbed):
        mine = root / path.relative_to(undisturbed)
        outcome.wrong_bits += count_wrong(mine, path)
        outcome.wrong_bits += RunDirectory(mine).failure != RunDirectory(path).failure
        outcome.duplicates += count_twice(mine)
    return outcome


def _arguments(root: Path) -> tuple[str, ...]:
    return (f"--workdir={root}", *OVERRIDES)


def _count(root: Path) -> int:
    return sum(len(list_steps(path)) for path in find_runs(root))


def _train(root: Path) -> None:
    """Lets the population end: with code 1, since one of it fails."""
    code, _, errors = runs.run_process(
        "experiments.train", f"--config={runs.TINY}", *_arguments(root)
    )
    assert code == 1, errors
    assert "1 of 3 members have diverged" in errors
