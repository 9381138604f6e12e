"""A trainer that is killed again and again: while it starts, while it saves, while it steps."""

import os
import random
import re
import subprocess
import time
from pathlib import Path

from qlae.run_directory import RunDirectory, list_steps
from tests import runs
from tests.faults.checks import count_twice, count_wrong, find_last_step
from tests.faults.outcome import Outcome

MOMENTS = ("start", "save", "step")
_PATIENCE = 240.0  # seconds, after which a trainer that does nothing new is a defect


class Victim:
    """The starts of one run.

    Args:
        workdir: of the run.
        overrides: of its config.
    """

    def __init__(self, workdir: Path, *overrides: str):
        self.workdir, self._overrides = workdir, overrides
        self.outcome = Outcome("SIGKILL of the trainer")

    def kill_once(self, moment: str, rng: random.Random) -> None:
        """Starts the trainer, kills it at a moment, and checks that nothing saved is lost."""
        finalised, reached = list_steps(self.workdir), find_last_step(self.workdir)
        process = self._start()
        try:
            self._await(moment, process, finalised, rng)
        finally:
            process.kill()
            _, errors = process.communicate()
        self.outcome.tried += 1
        self.outcome.wrong_bits += len(set(finalised) - set(list_steps(self.workdir)))
        if match := re.search(r"from step ([\d,]+) on", errors):
            step = int(match[1].replace(",", ""))
            # Going on from before the newest checkpoint is work that was lost for nothing.
            self.outcome.wrong_bits += step != max(finalised, default=0)
            self.outcome.lost_steps = max(self.outcome.lost_steps, reached - step)
        elif moment != "start":
            raise AssertionError(f"it ended before it was killed: {errors[-2000:]}")

    def finish(self, undisturbed: Path) -> Outcome:
        """Lets the run end; returns what the kills have cost."""
        code, _, errors = runs.finish(self._start(), timeout=1200)
        assert code == 0, errors
        self.outcome.wrong_bits += count_wrong(self.workdir, undisturbed)
        self.outcome.duplicates += count_twice(self.workdir)
        return self.outcome

    def _start(self) -> subprocess.Popen:
        arguments = (f"--config={runs.TINY}", f"--workdir={self.workdir}", *self._overrides)
        return runs.start("experiments.train", *arguments)

    def _await(
        self, moment: str, process: subprocess.Popen, finalised: list[int], rng: random.Random
    ) -> None:
        """Returns when it is time to kill; notes when the first new step was taken."""
        began, wait = time.monotonic(), rng.uniform(0, 6)
        checkpoints, progress = self.workdir / "checkpoints", self.workdir / "progress.json"
        noted_before = progress.stat().st_mtime_ns if progress.exists() else 0
        unfinished = set(_list_unfinished(checkpoints))
        recovered = False
        while (seconds := time.monotonic() - began) < _PATIENCE and process.poll() is None:
            if not recovered and progress.exists():
                recovered = progress.stat().st_mtime_ns != noted_before
                self.outcome.seconds += [seconds] if recovered else []
            if moment == "start" and seconds > wait:
                return
            if moment == "save" and recovered and set(_list_unfinished(checkpoints)) - unfinished:
                return
            if moment == "step" and recovered and list_steps(self.workdir) != finalised:
                time.sleep(rng.uniform(0, 0.2))
                return
            time.sleep(0.001)
        assert process.poll() is not None, f"nothing new in {_PATIENCE} s"


def _list_unfinished(checkpoints: Path) -> list[str]:
    """Returns the names of saves that are under way, or were killed."""
    names = os.listdir(checkpoints) if checkpoints.exists() else []
    return [name for name in names if "tmp" in name]


def kill_again_and_again(folder: Path, kills: int, seed: int, num_steps: int = 3_000) -> Outcome:
    """Kills one run so many times, each moment in turn, and lets it end.

    Args:
        folder: for the runs; the undisturbed one is trained once, and used again.
        kills: how many.
        seed: of the moments.
        num_steps: of the run; many enough that it does not end before the last kill.
    """
    undisturbed = folder / f"undisturbed_{num_steps}"
    code, _, errors = runs.train_process(
        undisturbed, f"--config.num_steps={num_steps}", "--config.checkpoint_every=500"
    )
    assert code == 0, errors
    overrides = (f"--config.num_steps={num_steps}", "--config.checkpoint_every=25")
    victim, rng = Victim(folder / f"killed_{seed}", *overrides), random.Random(seed)
    for kill in range(kills):
        if RunDirectory(victim.workdir).is_complete:
            break
        victim.kill_once(MOMENTS[kill % len(MOMENTS)], rng)
    return victim.finish(undisturbed)
