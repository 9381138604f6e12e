"""Saves that fail, checkpoints that rot, and two trainers that want one directory."""

import json
import random
import re
import shutil
import time
from pathlib import Path

from qlae.run_directory import RunDirectory, list_steps
from tests import runs
from tests.faults.checks import count_twice, count_wrong, find_last_step
from tests.faults.outcome import Outcome

OVERRIDES = ("--config.num_steps=60", "--config.checkpoint_every=10")


def train_undisturbed(folder: Path) -> Path:
    """Returns a run that met no fault, trained when it is first asked for."""
    workdir = folder / "undisturbed_short"
    if not RunDirectory(workdir).is_complete:
        code, _, errors = runs.train_process(workdir, *OVERRIDES)
        assert code == 0, errors
    return workdir


def fail_single_saves(folder: Path, tries: int, seed: int = 0) -> Outcome:
    """Fails single saves of runs, never the last: each goes on and loses that checkpoint alone."""
    outcome, rng = Outcome("a save fails, the next is tried"), random.Random(seed)
    undisturbed = train_undisturbed(folder)
    for number in range(tries):
        workdir = folder / f"failing_{number}"
        failing = sorted(rng.sample([10, 20, 30, 40, 50], 2))
        code, _, errors = _train_hostile(workdir, failing)
        assert code == 0, errors
        streaks = 1 if failing[1] - failing[0] == 10 else 2
        said = errors.count("cannot save a checkpoint")
        assert said == streaks, errors
        missing = set(list_steps(undisturbed)) - set(list_steps(workdir))
        outcome.tried += len(failing)
        outcome.wrong_bits += len(missing ^ set(failing))
        outcome.wrong_bits += count_wrong(workdir, undisturbed) - len(missing)
        outcome.duplicates += count_twice(workdir)
    return outcome


def fail_three_saves(folder: Path, tries: int) -> Outcome:
    """Fails three saves in a row: the run ends with code 75, and resumes from the one before."""
    outcome = Outcome("three saves in a row fail: exit code 75, started again")
    undisturbed = train_undisturbed(folder)
    for number in range(tries):
        workdir = folder / f"full_{number}"
        code, _, errors = _train_hostile(workdir, [20, 30, 40])
        assert code == 75, errors
        assert list_steps(workdir)[0] == 10
        reached = find_last_step(workdir)
        outcome += _resume(outcome.fault, workdir, undisturbed, reached)
    return outcome


def damage_checkpoints(folder: Path, tries: int, how: str, seed: int = 0) -> Outcome:
    """Damages the newest checkpoint of interrupted runs: the one before is used.

    Args:
        folder: for the runs.
        tries: how many.
        how: "truncated" or "one bit flipped".
        seed: of where.
    """
    outcome, rng = Outcome(f"the newest checkpoint is damaged: {how}"), random.Random(seed)
    undisturbed = train_undisturbed(folder)
    for number in range(tries):
        workdir = folder / f"{how.replace(' ', '_')}_{number}"
        shutil.copytree(undisturbed, workdir)
        shutil.rmtree(workdir / "checkpoints/60")
        newest = workdir / "checkpoints/50"
        damage(newest, how, rng)
        outcome += _resume(outcome.fault, workdir, undisturbed, reached=50)
        assert (workdir / "damaged_50").is_dir()
    return outcome


def damage(checkpoint: Path, how: str, rng: random.Random) -> None:
    """Damages the numbers of a checkpoint's parameters."""
    for file in [path for path in (checkpoint / "params").rglob("d/*") if path.is_file()]:
        data = bytearray(file.read_bytes())
        if how == "truncated":
            data = data[: rng.randrange(len(data))]
        else:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(bytes(data))


def start_two_at_once(folder: Path, tries: int) -> Outcome:
    """Starts two trainers on one directory: one trains, the other is told so."""
    outcome = Outcome("two trainers on one directory: one is told, exit code 75")
    undisturbed = train_undisturbed(folder)
    for number in range(tries):
        workdir = folder / f"two_{number}"
        arguments = (f"--config={runs.TINY}", f"--workdir={workdir}", *OVERRIDES)
        both = [runs.start("experiments.train", *arguments) for _ in range(2)]
        ended = [runs.finish(process) for process in both]
        refused = [errors for code, _, errors in ended if code == 75]
        # The slower may come when the quicker has ended, and find the run complete.
        complete = ["is complete" in output for _, output, _ in ended]
        assert len(refused) + sum(complete) == 1, ended
        assert all("another process trains here: process" in errors for errors in refused)
        outcome.tried += len(refused)
        outcome.wrong_bits += count_wrong(workdir, undisturbed)
        outcome.duplicates += count_twice(workdir)
    return outcome


def _train_hostile(workdir: Path, failing: list[int]) -> tuple[int, str, str]:
    return runs.run_process(
        "tests.faults.hostile",
        json.dumps({"fail_saves": failing}),
        "experiments.train",
        f"--config={runs.TINY}",
        f"--workdir={workdir}",
        *OVERRIDES,
    )


def _resume(fault: str, workdir: Path, undisturbed: Path, reached: int) -> Outcome:
    """Lets a run go on to its end, which had taken so many steps before it stopped."""
    began = time.monotonic()
    code, _, errors = runs.train_process(workdir, *OVERRIDES)
    seconds = time.monotonic() - began
    assert code == 0, errors
    match = re.search(r"from step (\d+) on", errors)
    assert match, errors
    return Outcome(
        fault,
        tried=1,
        lost_steps=reached - int(match[1]),
        wrong_bits=count_wrong(workdir, undisturbed),
        duplicates=count_twice(workdir),
        seconds=[seconds],
    )
