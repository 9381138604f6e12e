"""Two processes of one run, of which one alone is told to stop, dies or hangs."""

import json
import re
import signal
import time
from pathlib import Path

from qlae.run_directory import RunDirectory, list_steps
from tests import runs
from tests.experiments.test_distributed import find_port, start_together
from tests.faults.checks import count_twice, count_wrong
from tests.faults.outcome import Outcome

OVERRIDES = ("--config.num_steps=60", "--config.checkpoint_every=10")


def train_pair_undisturbed(folder: Path) -> Path:
    """Returns a run of two processes that met no fault, trained when it is first asked for."""
    workdir = folder / "undisturbed_pair"
    if not RunDirectory(workdir).is_complete:
        _train(workdir)
    return workdir


def signal_one(folder: Path, kind: signal.Signals, index: int) -> Outcome:
    """Signals one of two processes once a checkpoint is there; both end, and resume together.

    Args:
        folder: for the runs.
        kind: SIGTERM, SIGKILL or, to hang, SIGSTOP.
        index: which of them.
    """
    which = ("the first", "the second")[index]
    outcome = Outcome(
        f"{kind.name} for {which} of two processes: seconds until the other has ended"
    )
    undisturbed = train_pair_undisturbed(folder)
    workdir = folder / f"pair_{kind.name}_{index}"
    processes = start_together(workdir, 2, *OVERRIDES)
    try:
        while not list_steps(workdir) and processes[0].poll() is None:
            time.sleep(0.01)
        processes[index].send_signal(kind)
        began = time.monotonic()
        code, output, errors = runs.finish(processes[1 - index])
        outcome.seconds.append(time.monotonic() - began)
    finally:
        processes[index].send_signal(signal.SIGCONT)
        if kind != signal.SIGTERM:
            processes[index].kill()
        own_code, _, _ = runs.finish(processes[index])
    if kind == signal.SIGTERM:
        assert (code, own_code) == (143, 143), errors
        match = re.search(r"stopped at step (\d+)", output)
        assert match, output
        assert list_steps(workdir)[-1] == int(match[1])
    elif (kind, index) == (signal.SIGKILL, 0):
        # It kept the store in which processes meet: JAX aborts, and says so at length.
        assert code in (75, -signal.SIGABRT), errors
    else:
        assert code == 75, errors
        (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert "process" in line
        assert "Traceback" not in errors, errors
    return _resume(workdir, undisturbed, outcome)


def fail_save_of_one(folder: Path) -> Outcome:
    """Fails one save in the second of two processes alone: both end with its reason, and resume."""
    outcome = Outcome("a save fails in the second of two processes: exit code 75 of both")
    undisturbed = train_pair_undisturbed(folder)
    workdir, port = folder / "pair_save", find_port()
    arguments = [
        *(f"--config={runs.TINY}", f"--workdir={workdir}", *OVERRIDES),
        *(f"--coordinator_address=127.0.0.1:{port}", "--num_processes=2"),
    ]
    faults = json.dumps({"fail_saves": [30]})
    hostile = ("tests.faults.hostile", faults, "experiments.train")
    processes = [
        runs.start("experiments.train", *arguments, "--process_id=0"),
        runs.start(*hostile, *arguments, "--process_id=1"),
    ]
    for process in processes:
        code, _, errors = runs.finish(process)
        assert code == 75, errors
        assert "cannot save a checkpoint" in errors, errors
        assert "No space left" in errors, errors
    assert list_steps(workdir) == [10, 20]
    return _resume(workdir, undisturbed, outcome)


def _resume(workdir: Path, undisturbed: Path, outcome: Outcome) -> Outcome:
    """Trains a disturbed pair to its end, and compares it with an undisturbed one."""
    _train(workdir)
    outcome.tried = 1
    outcome.wrong_bits = count_wrong(workdir, undisturbed)
    outcome.duplicates = count_twice(workdir)
    return outcome


def _train(workdir: Path) -> None:
    for process in start_together(workdir, 2, *OVERRIDES):
        code, _, errors = runs.finish(process)
        assert code == 0, errors
