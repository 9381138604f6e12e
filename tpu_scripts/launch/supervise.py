"""A launch from first command to last: training, the evaluator beside it, and interrupts."""

import contextlib
import dataclasses
import os
import shutil
import signal
import threading
from collections.abc import Iterator

from qlae.common.command_line import Exit
from qlae.common.errors import RunFailed, StorageError, UserError
from tpu_scripts.launch.cloud import OutOfSight, Say
from tpu_scripts.launch.faults import make_final_error
from tpu_scripts.launch.lifecycle import Lifecycle
from tpu_scripts.launch.patience import Patience
from tpu_scripts.launch.plan import Plan, format_phases
from tpu_scripts.launch.shell import Command, Shell, Stop, Stopped, quote
from tpu_scripts.launch.workload import Workload
from tpu_scripts.launch.xpk import XpkPlan


@dataclasses.dataclass(frozen=True)
class Launch:
    """What is to be run, as data: the source packed once, then up to two plans side by side."""

    pack: Command
    archive: str
    train: Plan | XpkPlan | None
    evaluator: Plan | XpkPlan | None
    keep: bool = False
    attach: bool = False


def format_launch(launch: Launch) -> str:
    """Every command of the launch as one shell script."""
    parts = [f"# pack the source\n{quote(launch.pack)}"]
    for title, plan in (("train", launch.train), ("evaluate beside", launch.evaluator)):
        if plan is not None:
            parts.append(f"# === {title} ===\n{format_phases(plan.phases(launch.keep))}")
    return "\n\n".join(parts)


class Interrupt:
    """Turns SIGINT, SIGTERM and SIGHUP into a request to stop that lets deletions finish.

    A terminal that goes away (SIGHUP) leaves the machines as they are, for --attach.

    A thread makes the request: a signal handler that set an event could wait forever for a lock
    held by the very code that it interrupted.
    """

    def __init__(self, stops: list[Stop]):
        self._stops = stops
        self.signal_number: int | None = None

    @contextlib.contextmanager
    def watch(self) -> Iterator["Interrupt"]:
        """Listens while the block runs; only in the main thread."""
        kinds = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Else it runs under nohup.
            kinds.append(signal.SIGHUP)
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        thread = threading.Thread(target=self._listen, args=(reader,))
        thread.start()
        before_fd = signal.set_wakeup_fd(writer)
        before = {kind: signal.signal(kind, lambda number, frame: None) for kind in kinds}
        try:
            yield self
        finally:
            for kind, handler in before.items():
                # A further signal must not change the exit status that tells of the first.
                signal.signal(kind, handler if self.signal_number is None else signal.SIG_IGN)
            signal.set_wakeup_fd(before_fd)
            os.close(writer)
            thread.join()
            os.close(reader)

    def _listen(self, reader: int) -> None:
        """Reads one byte, its number, for each signal until the pipe is closed."""
        while numbers := os.read(reader, 1):
            first = self.signal_number is None
            self.signal_number = self.signal_number or numbers[0]
            leave = self.signal_number == signal.SIGHUP
            with contextlib.suppress(OSError):
                what = "leaving the machines" if leave else "stopping: deleting what was made"
                print(what if first else "still at it", flush=True)
            for stop in self._stops:
                stop.leave = leave
                stop.set()


def run_launch(launch: Launch, patience: Patience, evaluator_seconds: float) -> Exit:
    """Runs a launch to its end and deletes what it made, however it ends.

    Args:
      evaluator_seconds: how long the evaluator may go on once training has ended well.

    Returns:
      Done, or how it was stopped.

    Raises:
      UserError, RunFailed, StorageError: training (or the evaluator, when it runs alone) failed.
    """
    stop, evaluator_stop = Stop(), Stop()
    with Interrupt([stop, evaluator_stop]).watch() as interrupt:
        try:
            shell = Shell(stop, patience.command)
            packed = shell.run(launch.pack)
            if not packed.ok:
                raise make_final_error("cannot pack the source", packed.stderr)
            evaluator_shell = Shell(evaluator_stop, patience.command)
            train = _make_runner(launch.train, shell, patience, launch)
            evaluator = _make_runner(launch.evaluator, evaluator_shell, patience, launch)
            runners = [runner for runner in (train, evaluator) if runner is not None]
            for runner in runners:  # Before anything is made.
                runner.find()
            if train is None:
                runners[0].run()
                return Exit.DONE
            with _evaluate_beside(evaluator, train.started, evaluator_stop, evaluator_seconds):
                train.run()
            return Exit.DONE
        except Stopped:
            stopped_by_user = interrupt.signal_number in {None, signal.SIGINT}
            return Exit.INTERRUPTED if stopped_by_user else Exit.STOPPED
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(launch.archive)
            shutil.rmtree(launch.archive.removesuffix(".tar.gz"), ignore_errors=True)


@contextlib.contextmanager
def _evaluate_beside(
    evaluator: Lifecycle | Workload | None,
    train_started: threading.Event,
    stop: Stop,
    seconds: float,
) -> Iterator[None]:
    """Runs the evaluator in a thread once training has started; its faults never end training."""
    if evaluator is None:
        yield
        return

    def evaluate() -> None:
        while not train_started.wait(0.1):
            if stop.is_set():
                return
        try:
            evaluator.run()
        except Stopped:
            pass
        except (UserError, RunFailed, StorageError) as error:
            evaluator.say(
                f"warning: the evaluator ended, training goes on: {error}; evaluate later with "
                "python -m tpu_scripts.launch.evaluate_beside"
            )

    thread = threading.Thread(target=evaluate)
    thread.start()
    try:
        yield
        evaluator.say(f"training has ended: up to {seconds:g} s more for the last checkpoints")
        thread.join(seconds)
    except OutOfSight:
        stop.leave = True
        raise
    finally:
        stop.set()
        thread.join()


def _make_runner(
    plan: Plan | XpkPlan | None, shell: Shell, patience: Patience, launch: Launch
) -> Lifecycle | Workload | None:
    if plan is None:
        return None
    say = _make_say(plan.job.name)
    if isinstance(plan, XpkPlan):
        return Workload(plan, shell, patience, say=say, attach=launch.attach)
    return Lifecycle(
        plan,
        shell,
        patience,
        say=say,
        keep=launch.keep,
        attach=launch.attach,
        must_exist=plan is launch.train,
    )


def _make_say(name: str) -> Say:
    def say(text: str) -> None:
        lines = "".join(f"[{name}] {line}\n" for line in text.splitlines())
        # Ctrl-C also ends a pager behind the launcher; deleting must not fail for a lost reader.
        with contextlib.suppress(OSError):
            print(lines, end="", flush=True)

    return say
