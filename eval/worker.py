"""The evaluation worker: a process beside the trainer that scores every checkpoint of its runs.

    python -m eval.worker --workdir=DIR [--workdir=DIR ...] [--once]

It knows only run directories. It ends when all runs are complete and all their checkpoints scored;
with --once it scores what is there and ends.
"""

import argparse
import collections
import sys
import time

from absl import logging

from eval.evaluator import Evaluator
from eval.metrics.errors import InputError
from eval.records import Record
from eval.restored import open_run
from qlae.common.command_line import Parser
from qlae.common.errors import UserError

USER_ERRORS = (UserError, InputError)
_ATTEMPTS = 3


def main() -> int:
    """Runs the worker; returns its exit code, the worst of its runs'."""
    arguments = parse_arguments()
    deadline = time.monotonic() + arguments.wait
    watches = [Watch(workdir, arguments.data_dir, deadline) for workdir in arguments.workdir]
    while True:
        for watch in watches:
            watch.advance(arguments.once)
        if all(watch.done for watch in watches):
            return max(watch.exit_code for watch in watches)
        time.sleep(arguments.poll)


class Watch:
    """One run being watched; whatever is wrong with it does not concern the others."""

    def __init__(self, workdir: str, data_dir: str | None, deadline: float):
        self.workdir, self.exit_code, self.done = workdir, 0, False
        self._data_dir, self._deadline = data_dir, deadline
        self._evaluator: Evaluator | None = None
        self._attempts: collections.Counter[int] = collections.Counter()

    def advance(self, once: bool) -> None:
        """Scores every pending checkpoint; then the run is `done` if no more can come."""
        if self.done:
            return
        try:
            self._advance(once)
        except Exception as error:
            if self._evaluator is None and time.monotonic() < self._deadline:
                return  # the run may yet begin
            self._complain(error)
            self.done = True

    def _advance(self, once: bool) -> None:
        if self._evaluator is None:
            self._evaluator = Evaluator(open_run(self.workdir, self._data_dir))
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
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        self.exit_code = 2
        kind = "" if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: "
        print(f"error: {kind}{' '.join(str(error).split())}", file=sys.stderr, flush=True)


def format_record(record: Record) -> str:
    """Returns a record as one line."""
    scores = " ".join(f"{name} {value:.3f}" for name, value in record.scores.items())
    failed = "".join(f"; {name} failed: {line}" for name, line in record.errors.items())
    return f"step {record.step:,} {record.protocol}: {scores}{failed}"


def parse_arguments() -> argparse.Namespace:
    """Returns the worker's arguments."""
    parser = Parser("eval.worker", __doc__)
    add = parser.add_argument
    add("--workdir", action="append", required=True, help="a run directory; may be repeated")
    add("--once", action="store_true", help="score what is there, then end")
    add("--poll", type=float, default=5.0, help="seconds between looks")
    add("--wait", type=float, default=0.0, help="seconds to wait for a run to begin")
    add("--data_dir", help="where this machine keeps its datasets")
    return parser.parse_args()


if __name__ == "__main__":
    logging.set_verbosity(logging.FATAL)  # Orbax logs, with a traceback, what it also raises
    sys.exit(main())
