"""Whether the memory of a trainer, and of the worker beside it, stays flat."""

import subprocess
import time
from pathlib import Path

import numpy as np

from eval.records import load_records
from tests import runs
from tests.faults.outcome import Outcome

_SECONDS_BETWEEN_LOOKS = 0.25


def measure_slopes(folder: Path, num_steps: int = 2_000, evaluations: int = 20) -> Outcome:
    """Trains and evaluates, watching resident memory; both slopes stand in the row's name.

    The first third of each is left out: there buffers fill and programs are compiled.
    """
    workdir = folder / "memory"
    every = num_steps // evaluations
    training = (f"--config.num_steps={num_steps}", f"--config.checkpoint_every={every}")
    trainer = runs.start(
        "experiments.train", f"--config={runs.TINY}", f"--workdir={workdir}", *training
    )
    worker = runs.start("eval.worker", f"--workdir={workdir}", "--wait=120", "--poll=0.2")
    seen: dict[str, list[tuple[float, float]]] = {"trainer": [], "worker": []}
    while trainer.poll() is None or worker.poll() is None:
        progress = {
            "trainer": _count_saved(workdir) * every,
            "worker": len(list(workdir.glob("eval/*/step_*.json"))),
        }
        for name, process in (("trainer", trainer), ("worker", worker)):
            if process.poll() is None and progress[name] and (size := _read_resident(process)):
                seen[name].append((progress[name], size))
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    for process in (trainer, worker):
        code, _, errors = runs.finish(process)
        assert code == 0, errors
    slopes = {name: _fit(points) for name, points in seen.items()}
    return Outcome(
        f"memory over {num_steps:,} steps, {evaluations} evaluations: "
        f"{1000 * slopes['trainer']:+.1f} MiB in 1,000 steps, {slopes['worker']:+.2f} MiB an "
        "evaluation",
        tried=1,
        wrong_bits=evaluations - len(load_records(workdir)),
    )


def _count_saved(workdir: Path) -> int:
    return len(list(workdir.glob("checkpoints/*/commit_success.txt")))


def _read_resident(process: subprocess.Popen) -> float:
    """Returns the resident memory of a process in MiB, 0 once it has ended."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def _fit(points: list[tuple[float, float]]) -> float:
    """Returns the slope over the last two thirds of the way."""
    x, y = np.array(points).T
    late = x > x.max() / 3
    return float(np.polyfit(x[late], y[late], 1)[0])
