"""Where the metrics of training go: logs for every member, one live line for all.

All of it happens on a thread of its own, so that no slow disk or store holds up a step.
"""

import queue
import sys
import threading
from collections.abc import Sequence

import jax
import numpy as np

from experiments.goodput import Goodput
from experiments.live_line import LiveLine, Pace
from experiments.population import Population
from qlae.common.logs import Logs, open_logs
from qlae.common.wandb_log import find_project
from qlae.provenance import describe_origin
from qlae.run_directory import flatten, to_plain
from qlae.training.metrics_buffer import Means

_SECONDS_BETWEEN_GOODPUTS = 30.0

Report = tuple[int, dict[int, dict[str, float]]]


def check_reports() -> None:
    """Looks, before anything begins, whether reports can go where they are asked for.

    Raises:
        UserError: they cannot.
    """
    find_project()


class Reporter:
    """Reports the living members of a population.

    Args:
        population: whose metrics these are.
        num_steps: at which training ends.
        first_step: at which it begins.
        goodput: where its seconds go.
    """

    def __init__(self, population: Population, num_steps: int, first_step: int, goodput: Goodput):
        self._population, self._goodput = population, goodput
        directories = [population.members[member].directory for member in population.living]
        self._line = LiveLine(directories, num_steps, first_step, goodput)
        self._goodput_pace, self._step = Pace(_SECONDS_BETWEEN_GOODPUTS), first_step
        self._logs: dict[int, Logs] = {}
        self._first_step, self._complained = first_step, False
        self._queue: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="reporter", daemon=True)
        self._thread.start()

    def report(self, step: int, means: Means) -> None:
        """Takes the mean metrics (slots,) up to a step; returns at once."""
        metrics = {
            member: {name: float(values[member]) for name, values in means.items()}
            for member in self._population.living
        }
        self._queue.put((step, metrics))

    def close(self) -> None:
        """Returns when all has been written; leaves the last line on the screen."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (report := self._queue.get()) is not None:
            try:
                self._write(*report)
            except Exception as error:
                self._complain(error)
        logs = [log.close for log in self._logs.values()]
        for close in (self._line.close, self._write_goodput, *logs):
            try:
                close()
            except Exception as error:
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Says once that reports are lost: training is worth more than its curves."""
        if not self._complained:
            print(f"\nreports are not written: {error}", file=sys.stderr, flush=True)
        self._complained = True

    def _write(self, step: int, metrics: dict[int, dict[str, float]]) -> None:
        self._step = step
        for member, values in metrics.items():
            log = self._open(member)
            for name, value in values.items():
                log.add_scalar(f"train/{name}", value, step)
            log.flush()
        if self._goodput_pace.is_due():
            self._write_goodput()
        self._line.show(step, _average(list(metrics.values())))

    def _write_goodput(self) -> None:
        seconds = self._goodput.read()
        for member in {*self._logs} & {*self._population.living}:
            for cause, spent in seconds.items():
                self._logs[member].add_scalar(f"goodput/{cause}", spent, self._step)

    def _open(self, member: int) -> Logs:
        if member not in self._logs:
            config = self._population.members[member].config
            path = self._population.members[member].directory.path / "logs" / "train"
            self._logs[member] = log = open_logs(path, self._first_step + 1)
            # A start a text: at which step it began, on what.
            for name, text in describe_origin(config, "trained").items():
                log.add_text(name, text, self._first_step)
            log.add_hyperparameters(flatten(to_plain(config)))
        return self._logs[member]


class SilentReporter:
    """The reporter of all processes but the first, which write nothing."""

    def report(self, step: int, means: Means) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def make_reporter(
    population: Population, first_step: int, goodput: Goodput
) -> Reporter | SilentReporter:
    """Returns the reporter of this process, which begins at a step."""
    if jax.process_index() > 0:
        return SilentReporter()
    return Reporter(population, population.members[0].config.num_steps, first_step, goodput)


def _average(metrics: Sequence[dict[str, float]]) -> dict[str, float]:
    """Returns the mean over members."""
    if not metrics:
        return {}
    return {name: float(np.mean([values[name] for values in metrics])) for name in metrics[0]}
