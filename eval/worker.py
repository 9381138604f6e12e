"""The evaluation worker: a process beside the trainer that scores every checkpoint of its runs.

    python -m eval.worker --workdir=DIR [--workdir=DIR ...] [--once]

DIR is a run or any folder above runs: a population, a sweep; runs that appear later are found. The
worker knows only these directories. It ends when all runs that began are complete or failed, and
all their checkpoints scored; with --once it scores what is there and ends.
"""

import argparse
import collections
import sys
import time
from collections.abc import Sequence

from absl import logging
from etils import epath

from eval.evaluation import Evaluations
from eval.evaluator import Evaluator
from eval.metrics.errors import InputError
from eval.records import Record
from qlae.common.command_line import Exit, Parser, complain, run_command
from qlae.common.errors import StorageError, UserError, explain
from qlae.common.wandb_log import find_project
from qlae.restore import open_run
from qlae.run_directory import find_runs

_ATTEMPTS = 3


def main(arguments: Sequence[str]) -> Exit:
    """Runs the worker; returns its exit code, the worst of its runs'."""
    logging.set_verbosity(logging.FATAL)  # Orbax logs, with a traceback, what it also raises
    options = parse_arguments(arguments)
    find_project()  # a mistake in it is told before anything begins
    deadline = time.monotonic() + options.wait
    evaluations = Evaluations(options.data_dir)
    watches: dict[epath.Path, Watch] = {}
    while True:
        empty = [root for root in options.workdir if not _find_new(root, watches, evaluations)]
        for watch in list(watches.values()):
            watch.advance(options.once)
        if all(watch.done for watch in watches.values()):
            if not empty:
                return max(watch.exit_code for watch in watches.values())
            if options.once or time.monotonic() >= deadline:
                for root in empty:
                    _complain(UserError(f"no run at {root} or below it; check --workdir"))
                return Exit.MISTAKE
        time.sleep(options.poll)


def _find_new(
    root: str, watches: dict[epath.Path, "Watch"], evaluations: Evaluations
) -> list[epath.Path]:
    """Returns the runs at or below a directory; those not watched yet are from now on."""
    found = find_runs(root)
    for path in found:
        watches.setdefault(path, Watch(path, evaluations))
    return found


class Watch:
    """One run being watched; whatever is wrong with it does not concern the others."""

    def __init__(self, workdir: epath.Path, evaluations: Evaluations):
        self.workdir, self.exit_code, self.done = workdir, Exit.DONE, False
        self._evaluations = evaluations
        self._evaluator: Evaluator | None = None
        self._attempts: collections.Counter[int] = collections.Counter()

    def advance(self, once: bool) -> None:
        """Scores every pending checkpoint; then the run is `done` if no more can come."""
        if self.done:
            return
        try:
            self._advance(once)
        except Exception as error:
            self.exit_code = max(self.exit_code, _complain(error))
            self.done = True

    def _advance(self, once: bool) -> None:
        if self._evaluator is None:
            run = open_run(self.workdir)
            self._evaluator = Evaluator(run, self._evaluations.find(run))
        # Asked before listing: a checkpoint finalised in between is then still scored.
        directory = self._evaluator.run.directory
        ended = once or directory.is_complete or directory.failure is not None
        pending = [step for step in self._evaluator.list_pending() if self._may_try(step)]
        for step in pending:
            self._score(self._evaluator, step)
        # A checkpoint that could not be read is tried again: remote reads fail now and then.
        self.done = ended and not any(map(self._may_try, self._evaluator.list_pending()))
        if self.done:
            if not self._attempts:
                print(f"{self.workdir}: nothing is left to score", flush=True)
            self._evaluator.close()
            if directory.failure:
                print(f"{self.workdir}: training failed: {directory.failure}", flush=True)

    def _may_try(self, step: int) -> bool:
        return self._attempts[step] < _ATTEMPTS

    def _score(self, evaluator: Evaluator, step: int) -> None:
        self._attempts[step] += 1
        try:
            print(f"{self.workdir}: {format_record(evaluator.score(step))}", flush=True)
        except Exception as error:
            if not self._may_try(step):
                self.exit_code = max(self.exit_code, _complain(error))


def _complain(error: Exception) -> Exit:
    """Prints one line; returns the exit code that goes with it."""
    error = explain(error)
    if isinstance(error, UserError | InputError):
        return complain(error, Exit.MISTAKE)
    if isinstance(error, StorageError):
        return complain(error, Exit.TRY_AGAIN)
    return complain(RuntimeError(f"{type(error).__name__}: {error}"), Exit.FAILED)


def format_record(record: Record) -> str:
    """Returns a record as one line."""
    scores = " ".join(f"{name} {value:.3f}" for name, value in record.scores.items())
    failed = "".join(f"; {name} failed: {line}" for name, line in record.errors.items())
    where = f"{record.protocol} {record.split}, {record.dialect}"
    return f"step {record.step:,} {where}: {scores}{failed}"


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the worker's arguments."""
    parser = Parser("eval.worker", __doc__)
    add = parser.add_argument
    add("--workdir", action="append", required=True, help="a run, or a folder of runs; repeatable")
    add("--once", action="store_true", help="score what is there, then end")
    add("--poll", type=_seconds, default=5.0, help="seconds between looks")
    add("--wait", type=_seconds, default=0.0, help="seconds to wait for a run to begin")
    add("--data_dir", help="where this machine keeps its datasets")
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(run_command(main))
