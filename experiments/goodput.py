"""Where the seconds of training go, by cause, summed over all starts of a run.

At any moment the training thread spends its time on one cause:

    start      from the process's first moment to the checkpoint's restore
    restore    reading the checkpoint, or drawing the first parameters
    compile    waiting for the step's program, which compiles beside the restore
    repeated   steps that an earlier start had taken and lost
    data       waiting for a batch
    saving     as long as a save holds up the next step, and the last one to its end
    stepping   everything else: this is the good part

What a killed start did after its last note in `progress.json` is in none of them.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from experiments.process_stat import START, read_stat
from qlae.common.schema import NOT_NEGATIVE, WHOLE, by_name
from qlae.run_directory import RunDirectory

CAUSES = ("start", "restore", "compile", "repeated", "data", "saving", "stepping")


class Goodput:
    """The stopwatch of one start.

    Args:
        past: seconds by cause of the starts before.
        noted_step: how far they had come.
        age: seconds that this process has spent already.
    """

    def __init__(self, past: dict[str, float], noted_step: int, age: float = 0.0):
        self._seconds = {cause: past.get(cause, 0.0) for cause in CAUSES}
        self._noted_step, self._lock = noted_step, threading.Lock()
        self._cause, self._since = "start", time.monotonic() - age

    def enter(self, cause: str) -> str:
        """Spends the time from now on on a cause; returns the one before."""
        with self._lock:
            now = time.monotonic()
            self._seconds[self._cause] += now - self._since
            before, self._cause, self._since = self._cause, cause, now
        return before

    def read(self) -> dict[str, float]:
        """Returns seconds by cause until now, of all starts; any thread may ask."""
        with self._lock:
            running = {self._cause: time.monotonic() - self._since}
            return {
                cause: round(seconds + running.get(cause, 0.0), 3)
                for cause, seconds in self._seconds.items()
            }

    def wait_for(self, compiling: Future[Any]) -> Any:
        """Returns the step's program as soon as it is compiled."""
        self.enter("compile")
        return compiling.result()

    def watch_steps(
        self, take_step: Callable[[Any], tuple[Any, Any]], step: int
    ) -> Callable[[Any], tuple[Any, Any]]:
        """Returns `take_step`, whose repeated calls are told from the others.

        Args:
            take_step: of training.
            step: that its first call goes on from.
        """

        def take_watched_step(state: Any) -> tuple[Any, Any]:
            nonlocal step
            self.enter("repeated" if step < self._noted_step else "stepping")
            step += 1
            return take_step(state)

        return take_watched_step

    def watch_batches(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yields batches; waiting for one is a cause of its own."""
        iterator = iter(batches)
        while True:
            before = self.enter("data")
            batch = next(iterator)
            self.enter(before)
            yield batch


def resume_goodput(directory: RunDirectory) -> Goodput:
    """Returns the stopwatch that goes on from what a run's earlier starts have noted."""
    progress = directory.load_progress()
    past: Any = progress.get("seconds")
    step: Any = progress.get("step")
    return Goodput(
        past if by_name(NOT_NEGATIVE).holds(past) else {},
        step if WHOLE.holds(step) else 0,
        measure_age(),
    )


def measure_age() -> float:
    """Returns for how many seconds this process has run; 0 where nothing says so."""
    try:
        began = float(read_stat("self")[START])
        now = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return 0.0
    return max(now - began / os.sysconf("SC_CLK_TCK"), 0.0)
