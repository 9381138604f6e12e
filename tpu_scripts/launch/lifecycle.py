"""The life of one machine and its job: created, watched, created again when lost, then deleted.

A small state machine over a `Plan`. Nothing here knows a cloud: the plan's commands do.
"""

import hashlib
import pathlib
import threading
import time

from qlae.common.errors import RunFailed, UserError
from tpu_scripts.launch.cloud import Cloud, Lost, OutOfSight, Say
from tpu_scripts.launch.faults import Backoff
from tpu_scripts.launch.follow import Follower
from tpu_scripts.launch.machines import State
from tpu_scripts.launch.patience import Patience
from tpu_scripts.launch.plan import Plan
from tpu_scripts.launch.shell import Shell, Stopped
from tpu_scripts.launch.verdict import Verdict, judge
from tpu_scripts.launch.workers import Report, Workers

_RESTARTS_WITHOUT_CHECKPOINT = 2


class Lifecycle:
    """Runs a plan to its end: `run` returns when the job ended well, and raises otherwise.

    Attributes:
        started: set once the job runs on all workers.

    Args:
        plan: commands.
        shell: that runs them.
        patience: waits and tries.
        say: told what happens.
        keep: whether the machine stays at the end.
        attach: whether to go on with a machine that is there,
        must_exist: or must be.
    """

    def __init__(
        self,
        plan: Plan,
        shell: Shell,
        patience: Patience,
        *,
        say: Say,
        keep: bool = False,
        attach: bool = False,
        must_exist: bool = True,
    ):
        self.plan = plan
        self.started = threading.Event()
        self._shell = shell
        self._patience = patience
        self.say = say
        self._keep = keep
        self._attach = attach
        self._must_exist = must_exist
        self._cloud = Cloud(plan.machine, shell, patience, say)
        self._workers = Workers(plan, shell, patience, self._cloud, say)
        self._backoff = Backoff(patience.first_backoff, patience.longest_backoff, patience.retries)
        self._newest_step = -1
        self._restarts = 0  # Since the newest checkpoint.

    def find(self) -> None:
        """Checks that the name is free, or the machine to go on with there; nothing is made.

        Raises:
            UserError: it is not, or the service refuses to tell.
            StorageError: no network.
        """
        if not self._attach:
            self._cloud.check_name()
        elif self._cloud.observe().state is not State.ABSENT:
            self._cloud.may_exist = True
        elif self._must_exist:
            raise UserError(f"there is no {self.plan.name!r} to go on with: drop --attach")

    def run(self) -> None:
        """Brings the job to its end, and deletes the machine; one out of sight is left alone.

        Raises:
            UserError: a mistake, a missing permission or quota: nothing is tried again.
            RunFailed: retries or time used up, or the job itself failed.
            StorageError: no network, or a bucket that does not answer.
            Stopped: the launcher was asked to stop.
        """
        try:
            self._live()
        except OutOfSight as error:
            raise OutOfSight(f"{error}; {self._describe_what_is_left()}") from error
        except Stopped:
            if self._shell.stop.leave:
                self.say(self._describe_what_is_left())
            else:
                self._delete()
            raise
        except BaseException:
            self._delete()
            raise
        self._delete()

    def _live(self) -> None:
        lost: Lost | None = None
        while True:
            try:
                if lost is not None:
                    again, lost = lost, None
                    self._recover(again)
                if not self.started.is_set():
                    self._set_up()
                self._follow()
                return
            except Lost as error:
                lost = error

    def _set_up(self) -> None:
        """From nothing, or from whatever is there, to a job that runs on every worker."""
        if not self._cloud.may_exist:
            self._cloud.create()
        self._cloud.wait_until_active()
        self._workers.greet()
        reports = self._workers.ask()
        idle = [w for w, report in reports.items() if report.state not in {"running", "ended"}]
        self._workers.prepare(idle, _hash(self.plan.archive) if idle else "")
        if self.plan.workers[0] in idle:
            self._newest_step = self._workers.check_bucket()
        self.say(f"starting {self.plan.job.name} on {len(self.plan.workers)} workers")
        self._workers.start(idle)
        self.started.set()
        self._backoff.succeeded()

    def _follow(self) -> None:
        """Returns when the job has ended well on every worker; every other end is an exception."""
        late = Follower(self.plan, self._shell, self._patience, self._cloud, self.say).run()
        name = self.plan.job.name
        verdict, worker, reports = self._collect(0.0 if late else self._patience.workers)
        if verdict is Verdict.DONE:
            self.say(f"{name} ended well")
            return
        self._tell(reports)
        if verdict is Verdict.MISTAKE:
            raise UserError(f"{name} met a mistake on worker {worker}: see its error line above")
        if verdict is Verdict.FAILED:
            code = reports[worker].code
            raise RunFailed(f"{name} failed on worker {worker} with exit code {code}: see above")
        if late is not None:
            raise late
        # A machine that is being taken away kills the job before its state tells.
        self._shell.wait(self._patience.poll)
        self._cloud.look()
        if verdict is Verdict.REPLACE:
            raise Lost(f"{name} lost worker {worker}, which is out of reach")
        raise Lost(f"{name} was stopped on worker {worker}", in_place=True)

    def _collect(self, seconds: float) -> tuple[Verdict, str, dict[str, Report]]:
        """Asks all workers, for some time as long as some still run or do not answer."""
        deadline = time.monotonic() + seconds
        while True:
            reports = self._workers.ask(self.plan.job.report)
            verdict, worker = judge(reports)
            if verdict is Verdict.DONE or time.monotonic() > deadline:
                return verdict, worker, reports
            if verdict not in {Verdict.OPEN, Verdict.REPLACE}:
                return verdict, worker, reports
            self._cloud.look()
            self._shell.wait(self._patience.poll)

    def _tell(self, reports: dict[str, Report]) -> None:
        for worker, report in reports.items():
            code = "" if report.code is None else f" with exit code {report.code}"
            self.say(f"--- worker {worker}: {report.state}{code}")
            if report.code != 0:
                self.say("\n".join(report.tail))

    def _recover(self, lost: Lost) -> None:
        if lost.in_place:
            self._count_restart(lost)
        delay = self._backoff.next(str(lost))
        self.say(
            f"{lost}; trying again in {delay:g} s ({self._backoff.used} of {self._backoff.tries})"
        )
        if lost.in_place:
            self._workers.halt()
            self._shell.wait(delay)
            self._workers.start(self.plan.workers)
            return
        self.started.clear()
        self._cloud.delete()
        if self._cloud.may_exist:
            raise RunFailed(f"{lost}, and could not be deleted to be made again")
        self._shell.wait(delay)

    def _count_restart(self, lost: Lost) -> None:
        step = self._workers.find_newest_step()
        self._restarts = 0 if step > self._newest_step else self._restarts
        self._newest_step = max(step, self._newest_step)
        if self._restarts >= _RESTARTS_WITHOUT_CHECKPOINT:
            raise RunFailed(f"{lost}, and {self._restarts} restarts made no new checkpoint")
        self._restarts += 1

    def _delete(self) -> None:
        if not self._keep:
            self._cloud.delete()

    def _describe_what_is_left(self) -> str:
        return (
            f"{self.plan.name} is left as it is, and {self.plan.machine.own_end}: "
            "the same command with --attach goes on with it"
        )


def _hash(path: str) -> str:
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
