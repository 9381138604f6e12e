"""The evaluation worker: a process beside the trainer that scores every checkpoint of its runs.

    python -m eval.worker --workdir=DIR [--workdir=DIR ...] [--once]

It knows only run directories. It ends when all runs are complete and all their checkpoints scored;
with --once it scores what is there and ends.
"""

import argparse
import sys
import time

from absl import logging

from data_pipelines.errors import UserError as DataError
from eval.evaluator import Evaluator
from eval.metrics.errors import UserError as MetricError
from eval.records import Record
from eval.restored import open_run
from qlae.errors import UserError

USER_ERRORS = (UserError, DataError, MetricError)


def main() -> int:
    """Runs the worker; returns its exit code."""
    arguments = parse_arguments()
    try:
        watches = [
            Watch(workdir, arguments.data_dir, time.monotonic() + arguments.wait)
            for workdir in arguments.workdir
        ]
        while not all([watch.advance(arguments.once) for watch in watches]):
            time.sleep(arguments.poll)
        return max(watch.exit_code for watch in watches)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


class Watch:
    """One run being watched."""

    def __init__(self, workdir: str, data_dir: str | None, deadline: float):
        self.workdir, self.exit_code = workdir, 0
        self._data_dir, self._deadline = data_dir, deadline
        self._evaluator: Evaluator | None = None
        self._unreadable: set[int] = set()

    def advance(self, once: bool) -> bool:
        """Scores every pending checkpoint; returns whether there is nothing more to wait for.

        Raises:
            UserError: there is no run here, and the time to wait for one is over.
        """
        evaluator = self._open()
        if evaluator is None:
            return False
        # Asked before listing: a checkpoint finalised in between is then still scored.
        directory = evaluator.run.directory
        ended = once or directory.is_complete or directory.failure is not None
        for step in evaluator.list_pending():
            if step not in self._unreadable:
                self._score(evaluator, step)
        if ended:
            evaluator.close()
            if directory.failure:
                print(f"{self.workdir}: training failed: {directory.failure}", flush=True)
        return ended

    def _open(self) -> Evaluator | None:
        if self._evaluator is None:
            try:
                self._evaluator = Evaluator(open_run(self.workdir, self._data_dir))
            except UserError:
                if time.monotonic() >= self._deadline:
                    raise
        return self._evaluator

    def _score(self, evaluator: Evaluator, step: int) -> None:
        try:
            print(f"{self.workdir}: {format_record(evaluator.score(step))}", flush=True)
        except UserError as error:
            # One bad checkpoint must not take the others down.
            self._unreadable.add(step)
            self.exit_code = 2
            print(f"error: {error}", file=sys.stderr, flush=True)


def format_record(record: Record) -> str:
    """Returns a record as one line."""
    scores = " ".join(f"{name} {value:.3f}" for name, value in record.scores.items())
    failed = "".join(f"; {name} failed: {line}" for name, line in record.errors.items())
    return f"step {record.step:,} {record.protocol}: {scores}{failed}"


def parse_arguments() -> argparse.Namespace:
    """Returns the worker's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.worker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
