"""The life of one machine and its job: created, watched, created again when lost, always deleted.

A small state machine over a `Plan`. Nothing here knows a cloud: the plan's commands do.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable

from qlae.common.errors import RunFailed, UserError
from tpu_scripts.launch.faults import RETRIED, Backoff, Fault, classify, make_final_error
from tpu_scripts.launch.job import EXIT_MARK
from tpu_scripts.launch.machines import Observed, State
from tpu_scripts.launch.plan import Plan
from tpu_scripts.launch.shell import Command, Result, Shell, quote

Say = Callable[[str], None]

_USER_MISTAKE = 2  # The exit status of every entry point for a mistake by the user.
_KILLED = range(127, 256)  # By a signal, or by a worker that another one's end took along.
_PROBES_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds, and how often to try again."""

    poll: float = 30.0
    provision: float = 24 * 3600.0
    workers: float = 900.0
    command: float = 1800.0
    first_backoff: float = 30.0
    longest_backoff: float = 1800.0
    retries: int = 30


class Lost(Exception):
    """The machine, or the job on it, has to be set up again."""

    def __init__(self, why: str, in_place: bool = False):
        super().__init__(why)
        self.in_place = in_place


class Lifecycle:
    """Runs a plan to its end: `run` returns when the job ended well, and raises otherwise."""

    def __init__(
        self,
        plan: Plan,
        shell: Shell,
        patience: Patience,
        *,
        say: Say,
        keep: bool = False,
    ):
        self.plan = plan
        self.shell = shell
        self.patience = patience
        self.say = say
        self.keep = keep
        self.started = threading.Event()
        self._backoff = Backoff(patience.first_backoff, patience.longest_backoff, patience.retries)
        self._exists = False  # Whether there may be a machine that costs money.
        self._installed = False
        self._lines_seen = 0

    def run(self) -> None:
        """Brings the job to its end.

        Raises:
          UserError: a mistake, a missing permission or quota: nothing is tried again.
          RunFailed: retries or time used up, or the job itself failed.
          Stopped: the launcher was asked to stop; the machine is deleted by then.
        """
        self._check_name()
        try:
            while True:
                try:
                    self._provision()
                    self._run_job()
                    return
                except Lost as lost:
                    self._recover(lost)
        finally:
            if not self.keep:
                self._delete()

    # Creating.

    def _check_name(self) -> None:
        result = self.shell.run(self.plan.describe)
        if result.ok:
            raise UserError(
                f"{self.plan.name!r} exists already: choose another --name, or delete it: "
                f"{quote(self.plan.delete)}"
            )
        if classify(result.stderr) is not Fault.ABSENT:
            raise make_final_error(f"cannot look for {self.plan.name!r}", result.stderr)

    def _provision(self) -> None:
        if self._installed:
            return  # Only the job has to be started again.
        self._create()
        self._wait_until_active()
        self._wait_for_workers(self.plan.probe, "never came up")
        self._must(self.plan.copy, "copy the source")
        self._must(self.plan.install, "install from requirements.lock")
        self._installed = True

    def _create(self) -> None:
        self.say(f"creating {self.plan.name}")
        existed = self._exists  # An earlier one may be left that could not be deleted.
        self._exists = True  # From here on an interrupted command may have made it.
        result = self.shell.run(self.plan.create)
        if result.ok:
            return
        fault = classify(result.stderr)
        if fault in {Fault.PERMISSION, Fault.QUOTA, Fault.EXISTS, Fault.INVALID}:
            self._exists = existed  # Nothing was made, and one made by others is not ours.
        if fault in RETRIED:
            raise Lost(f"{self.plan.name} not created, {fault.value}: {result.last_line}")
        raise make_final_error(f"cannot create {self.plan.name!r}", result.stderr)

    def _wait_until_active(self) -> None:
        deadline = time.monotonic() + self.patience.provision
        word = ""
        while (seen := self._observe()).state is not State.ACTIVE:
            if seen.word != word:
                word = seen.word
                self.say(f"{self.plan.name} is {word}")
            self._raise_if_lost(seen)
            if time.monotonic() > deadline:
                waited = f"{self.patience.provision:g} s"
                raise RunFailed(f"{self.plan.name} still {word} after {waited}; gave it up")
            self.shell.wait(self.patience.poll)
        self.say(f"{self.plan.name} is {seen.word}")

    def _wait_for_workers(self, probes: dict[str, Command], fault: str) -> None:
        """Polls each worker by itself, so that those that do not answer can be named."""
        deadline = time.monotonic() + self.patience.workers
        missing = self._find_missing(probes)
        while missing:
            self._raise_if_lost(self._observe())
            if time.monotonic() > deadline:
                waited = f"{self.patience.workers:g} s"
                raise RunFailed(
                    f"{len(missing)} of {len(probes)} workers of {self.plan.name} {fault} "
                    f"in {waited} (slice/worker): {', '.join(missing)}"
                )
            self.say(f"waiting for workers {', '.join(missing)}")
            self.shell.wait(self.patience.poll)
            missing = self._find_missing({worker: probes[worker] for worker in missing})

    def _find_missing(self, probes: dict[str, Command]) -> list[str]:
        with concurrent.futures.ThreadPoolExecutor(_PROBES_AT_ONCE) as pool:
            results = pool.map(self.shell.run, probes.values())
            return [worker for worker, result in zip(probes, results, strict=True) if not result.ok]

    # Running.

    def _run_job(self) -> None:
        job = self.plan.job.name
        self.say(f"starting {job} on {len(self.plan.verify)} workers")
        self._must(self.plan.start, f"start {job}")
        if self._find_missing(self.plan.verify):  # Sent again, it only starts where it is missing.
            self._must(self.plan.start, f"start {job}")
            self._wait_for_workers(self.plan.verify, f"never started {job}")
        self.started.set()
        self._backoff.succeeded()
        self._lines_seen = 0
        self._judge(self._follow())

    def _follow(self) -> str:
        """Returns the job's exit status as the first worker tells it, across broken connections."""
        answered = time.monotonic()
        while True:
            status, count = self._follow_once()
            seen = self._observe()
            self._raise_if_lost(seen)
            if status is not None:
                return status
            if count:
                answered = time.monotonic()
            elif time.monotonic() > answered + self.patience.workers:
                raise Lost(f"{self.plan.name} is {seen.word}, but its first worker is out of reach")
            self.say(f"lost the connection, {self.plan.name} is {seen.word}: following again")
            self.shell.wait(self.patience.poll)

    def _follow_once(self) -> tuple[str | None, int]:
        """Returns the exit status if the job has ended, and how many lines the connection told."""
        status, count = None, 0
        with self.shell.stream(self.plan.follow) as stream:
            while stream.returncode is None:
                for line in stream.lines(self.patience.poll):
                    if line.startswith(EXIT_MARK):
                        status = line.removeprefix(EXIT_MARK).strip()
                        continue
                    count += 1
                    if count > self._lines_seen:  # A new connection tells the log from its start.
                        self._lines_seen = count
                        self.say(line)
                if stream.returncode is None:
                    self._raise_if_lost(self._observe())
        return status, count

    def _judge(self, status: str) -> None:
        """Ends well on 0; starts again what was killed; everything else is final."""
        job = self.plan.job.name
        if status == "0":
            self.say(f"{job} ended well")
            return
        if status == "unknown" or (status.isdigit() and int(status) in _KILLED):
            # A machine that is being taken away kills the job before its state tells.
            self.shell.wait(self.patience.poll)
            self._raise_if_lost(self._observe())
            raise Lost(f"{job} was killed (exit status {status})", in_place=True)
        self.say(self.shell.run(self.plan.report).stdout.rstrip())
        if status == str(_USER_MISTAKE):
            raise UserError(f"{job} met a mistake (exit status 2): see its error line above")
        raise RunFailed(f"{job} failed with exit status {status}: see the end of its log above")

    # Looking, recovering, deleting.

    def _observe(self) -> Observed:
        """Looks at the state; a service that does not answer for a while is asked again."""
        result = Result(1, "", "")
        for _ in range(5):
            result = self.shell.run(self.plan.describe)
            if result.ok:
                with contextlib.suppress(json.JSONDecodeError):
                    return self.plan.machine.observe(result.stdout)
            fault = classify(result.stderr)
            if fault is Fault.ABSENT:
                return Observed(State.ABSENT, "gone")
            if fault is Fault.PERMISSION:
                break
            self.shell.wait(self.patience.poll)
        raise make_final_error(f"cannot see the state of {self.plan.name!r}", result.stderr)

    def _raise_if_lost(self, seen: Observed) -> None:
        if seen.state is State.LOST:
            reason = f": {' '.join(seen.reason.split())}" if seen.reason else ""
            fault = classify(seen.reason)
            if fault in {Fault.PERMISSION, Fault.QUOTA, Fault.INVALID}:
                raise make_final_error(f"{self.plan.name} is {seen.word}", seen.reason)
            raise Lost(f"{self.plan.name} is {seen.word}{reason}")
        if seen.state in {State.ABSENT, State.DELETING}:
            raise RunFailed(f"{self.plan.name} was deleted by someone else: not made again")

    def _must(self, command: Command, what: str) -> None:
        """Runs a step on all workers, again after a broken connection."""
        backoff = Backoff(self.patience.poll, self.patience.longest_backoff, tries=3)
        while not (result := self.shell.run(command)).ok:
            self._raise_if_lost(self._observe())
            why = f"could not {what}: {result.last_line}"
            if "ssh-add" in result.stderr:  # gcloud wants it as soon as there are several workers.
                why += " (add the key to ssh-agent: ssh-add ~/.ssh/google_compute_engine)"
            self.say(why)
            self.shell.wait(backoff.next(why))

    def _recover(self, lost: Lost) -> None:
        delay = self._backoff.next(str(lost))
        self.say(
            f"{lost}; trying again in {delay:g} s ({self._backoff.used} of {self._backoff.tries})"
        )
        if lost.in_place:
            self.shell.run(self.plan.halt)
        else:
            self._delete()
        self.shell.wait(delay)

    def _delete(self) -> None:
        """Deletes the machine if there may be one; not to be interrupted, since it costs money."""
        if not self._exists:
            return
        self.say(f"deleting {self.plan.name}")
        for _ in range(3):
            result = self.shell.run(self.plan.delete, stoppable=False)
            if result.ok or classify(result.stderr) is Fault.ABSENT:
                self._exists = self._installed = False
                return
            time.sleep(min(self.patience.poll, 10.0))
        self.say(
            f"warning: {self.plan.name} could not be deleted and may still cost money "
            f"({result.last_line}); delete it by hand: {quote(self.plan.delete)}"
        )
