"""One live line on how a run is doing; plain lines now and then where there is no terminal."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

import jax

from eval.records import load_newest_record
from experiments.goodput import Goodput
from experiments.population import Population
from qlae.common.command_line import format_duration
from qlae.common.event_log import SECONDS_BETWEEN_REMOTE_WRITES
from qlae.common.files import is_remote
from qlae.run_directory import RunDirectory

_SECONDS_BETWEEN_WRITES = 1.0
_SECONDS_BETWEEN_SCORES = 5.0
_SECONDS_BETWEEN_PLAIN_LINES = 15.0


class LiveLine:
    """Step of total, steps per second, time left, loss, newest InfoMEC.

    Args:
        runs: the runs that are trained, whose progress is noted; scores are the first one's.
        num_steps: at which they end.
        step: at which this start begins.
        goodput: where its seconds go.
        stream: where the line goes; None takes stderr.
    """

    def __init__(
        self,
        runs: Sequence[RunDirectory],
        num_steps: int,
        step: int,
        goodput: Goodput,
        stream: TextIO | None = None,
    ):
        self._runs, self._num_steps, self._stream = runs, num_steps, stream or sys.stderr
        self._goodput = goodput
        self._first_step, self._first_time = step, time.monotonic()
        # Until this process has a rate of its own, the time left comes from the one before it.
        self._rate = runs[0].load_progress().get("steps_per_second")
        self._scores = ""
        self._progress: dict = {}
        self._live = self._stream.isatty()
        self._plain = Pace(_SECONDS_BETWEEN_PLAIN_LINES)
        remote = is_remote(runs[0].path)
        self._noting = Pace(SECONDS_BETWEEN_REMOTE_WRITES if remote else _SECONDS_BETWEEN_WRITES)
        self._reading = Pace(SECONDS_BETWEEN_REMOTE_WRITES if remote else _SECONDS_BETWEEN_SCORES)

    def show(self, step: int, metrics: dict[str, float]) -> None:
        """Writes the line for the state after `step`."""
        seconds = time.monotonic() - self._first_time
        if step > self._first_step:
            self._rate = (step - self._first_step) / max(seconds, 1e-9)
        self._progress = {"step": step, "steps_per_second": self._rate}
        if self._noting.is_due():
            self._note()
        if self._reading.is_due():
            self._scores = self._newest_scores()
        line = self._format(step, metrics)
        if self._live:
            self._stream.write(f"\r\x1b[2K{line}")
        elif self._plain.is_due() or step == self._num_steps:
            self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Notes the last progress; leaves the last line on the screen."""
        if self._progress:
            self._note()
        if self._live:
            self._stream.write("\n")
            self._stream.flush()

    def _note(self) -> None:
        progress = self._progress | {"seconds": self._goodput.read()}
        for run in self._runs:
            run.write_progress(progress)

    def _format(self, step: int, metrics: dict[str, float]) -> str:
        parts = [f"step {step:,}/{self._num_steps:,}"]
        if self._rate:
            seconds = (self._num_steps - step) / self._rate
            parts += [f"{self._rate:.1f} steps/s", f"ETA {format_duration(seconds)}"]
        parts += [f"{name} {metrics[name]:.4f}" for name in metrics if name.endswith("loss/total")]
        return " · ".join(parts).replace("loss/total", "loss") + self._scores

    def _newest_scores(self) -> str:
        try:
            newest = load_newest_record(self._runs[0].path)
        except (OSError, ValueError):
            return self._scores  # the evaluator's affair: training goes on
        if newest is None:
            return ""
        labels = {"infom": "InfoM", "infoe": "InfoE", "infoc": "InfoC"}
        scores = [
            f"{label} {newest.scores[name]:.2f}"
            for name, label in labels.items()
            if name in newest.scores
        ]
        return f" · {' '.join(scores)} @ {newest.step:,}" if scores else ""


def announce(population: Population, first_step: int) -> None:
    """Says what begins, on the first process."""
    if jax.process_index() == 0:
        count, living = len(population.members), len(population.living)
        what = population.members[0].config.arm
        if count > 1:
            what = f"{living} members" if living == count else f"{living} of {count} members"
        print(
            f"training {what} from step {first_step:,} on {jax.device_count()} "
            f"{jax.devices()[0].platform} device(s); the first step compiles",
            file=sys.stderr,
        )


def announce_end(population: Population, num_steps: int) -> None:
    """Says of every living member that nothing is left to train."""
    for index in population.living:
        print(f"{population.members[index].directory.path} is complete: {num_steps:,} steps")


class Pace:
    """Says when something is due that is to happen at most every so many seconds."""

    def __init__(self, seconds: float):
        self._seconds, self._last = seconds, -1e9

    def is_due(self) -> bool:
        """Whether it is time; if so, the seconds begin anew."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True
