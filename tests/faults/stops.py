"""SIGTERM, as before a machine is taken away, while a trainer does this or that."""

import json
import re
import shutil
import time
from pathlib import Path

from qlae.run_directory import list_steps
from tests import runs
from tests.faults.checks import count_twice, count_wrong
from tests.faults.disks import OVERRIDES, train_undisturbed
from tests.faults.outcome import Outcome

# By moment: before or after (True) which call of which function, and which checkpoints of the six
# are there by then.
MOMENTS = {
    "compiling": ("experiments.train.compile_step", 1, True, 0),
    "restoring": ("qlae.training.checkpoints.load_state", 1, False, 3),
    "saving": ("qlae.training.checkpoints.Checkpoints._begin", 1, True, 3),
    "saving the last checkpoint": ("qlae.training.checkpoints.Checkpoints._begin", 3, True, 3),
}


def stop_at(folder: Path, tries: int, moment: str) -> Outcome:
    """Signals a trainer at a moment: it ends in order, and resumes; seconds are to its end."""
    outcome = Outcome(f"SIGTERM while {moment}: seconds until it has ended")
    undisturbed = train_undisturbed(folder)
    *place, saved = MOMENTS[moment]
    for number in range(tries):
        workdir = folder / f"stopped_{moment.replace(' ', '_')}_{number}"
        shutil.copytree(undisturbed, workdir)
        for step in list_steps(workdir)[saved:]:
            shutil.rmtree(workdir / f"checkpoints/{step}")
        before = list_steps(workdir)
        code, output, errors = runs.run_process(
            "tests.faults.hostile",
            json.dumps({"stop": place}),
            "experiments.train",
            f"--config={runs.TINY}",
            f"--workdir={workdir}",
            *OVERRIDES,
        )
        ended = time.time()
        assert "Traceback" not in errors, errors
        if moment == "saving the last checkpoint":  # nothing is left to stop
            assert (code, list_steps(workdir)) == (0, list_steps(undisturbed)), errors
        else:
            assert code == 143, errors
        if stopped := re.search(r"stopped at step (\d+)", output):
            assert list_steps(workdir)[-1] == int(stopped[1])
        else:
            # Where nothing was trained, nothing changed.
            assert list_steps(workdir) in (before, list_steps(undisturbed))
        match = re.search(r"signal at ([\d.]+)", errors)
        assert match, errors
        code, _, errors = runs.train_process(workdir, *OVERRIDES)
        assert code == 0, errors
        outcome += Outcome(
            outcome.fault,
            tried=1,
            wrong_bits=count_wrong(workdir, undisturbed),
            duplicates=count_twice(workdir),
            seconds=[ended - float(match[1])],
        )
    return outcome
