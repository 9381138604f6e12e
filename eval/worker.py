"""The evaluation worker: a process beside the trainer that scores every checkpoint of its runs.

    python -m eval.worker --workdir=DIR [--workdir=DIR ...] [--once]

DIR is a run or any folder above runs: a population, a sweep; runs that appear later are found. The
worker knows only these directories. It ends when all runs that began are complete or failed, and
all their checkpoints scored; with --once it scores what is there and ends. Runs that were scored
can be scored again, by another dialect or with more metrics, beside what they have:

    python -m eval.worker --workdir=DIR --once --last --splits=test --dialect=tripod2024
"""

import argparse
import collections
import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Sequence

from absl import logging
from etils import epath

from eval.evaluation import Evaluations
from eval.evaluator import Evaluator
from eval.metrics.errors import InputError
from eval.records import Record
from eval.scoring import Request
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
    request = Request(options.metrics, options.dialect, options.splits)
    request.check()
    begin = functools.partial(Watch, Evaluations(options.data_dir), request, options.last)
    watches: dict[epath.Path, Watch] = {}
    while True:
        empty = [root for root in options.workdir if not _find_new(root, watches, begin)]
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
    root: str, watches: dict[epath.Path, "Watch"], begin: Callable[[epath.Path], "Watch"]
) -> list[epath.Path]:
    """Returns the runs at or below a directory; those not watched yet are from now on."""
    found = find_runs(root)
    for path in found:
        watches.setdefault(path, begin(path))
    return found


class Watch:
    """One run being watched; whatever is wrong with it does not concern the others."""

    def __init__(self, evaluations: Evaluations, request: Request, last: bool, workdir: epath.Path):
        self.workdir, self.exit_code, self.done = workdir, Exit.DONE, False
        self._evaluations, self._request, self._last = evaluations, request, last
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
            run = dataclasses.replace(run, config=self._request.apply(run.config))
            self._evaluator = Evaluator(run, self._evaluations.find(run))
        # Asked before listing: a checkpoint finalised in between is then still scored.
        directory = self._evaluator.run.directory
        ended = once or directory.is_complete or directory.failure is not None
        for step in self._list_pending(self._evaluator):
            self._score(self._evaluator, step)
        # A checkpoint that could not be read is tried again: remote reads fail now and then.
        self.done = ended and not self._list_pending(self._evaluator)
        if self.done:
            if not self._attempts:
                print(f"{self.workdir}: nothing is left to score", flush=True)
            self._evaluator.close()
            if directory.failure:
                print(f"{self.workdir}: training failed: {directory.failure}", flush=True)

    def _list_pending(self, evaluator: Evaluator) -> list[int]:
        last = evaluator.run.config.num_steps
        steps = evaluator.list_pending()
        return [s for s in steps if self._may_try(s) and (not self._last or s == last)]

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
    add("--last", action="store_true", help="only the last step of each config")
    add("--dialect", default="", help="of InfoMEC; default: what each config says")
    add("--metrics", type=_names, default=(), help="with commas; default: what each config says")
    add("--splits", type=_names, default=(), help="with commas; default: what each config says")
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(run_command(main))
