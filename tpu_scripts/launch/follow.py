"""The job's log as its first worker prints it: each line once, across broken connections."""

import dataclasses
import time

from tpu_scripts.launch.cloud import Cloud, Lost, Say
from tpu_scripts.launch.job import LOG_PREFIX, MARK
from tpu_scripts.launch.patience import Patience
from tpu_scripts.launch.plan import Plan
from tpu_scripts.launch.shell import Shell, Stream

_LOG_FROM = f"{MARK} log from "


@dataclasses.dataclass
class Follower:
    """Follows one start of a job.

    A worker that is alive says so between the lines: so a job that prints nothing and a worker that
    cannot be reached are two things, each with its own bound. While the service cannot be seen
    either, the fault is on this side, and neither clock runs.
    """

    plan: Plan
    shell: Shell
    patience: Patience
    cloud: Cloud
    say: Say
    told: int = 0  # Lines of the log told so far.
    _ended: bool = dataclasses.field(default=False, init=False)
    _next: int = dataclasses.field(default=1, init=False)  # Number of the next line to come.
    _heard: float = dataclasses.field(default=0.0, init=False)
    _printed: float = dataclasses.field(default=0.0, init=False)

    def run(self) -> Lost | None:
        """Returns None once the job has ended on the first worker.

        Returns a reason to set up again where the worker is out of reach for too long, or
        (`in_place`) the job silent.

        Raises:
            Lost: the machine's state says that it is.
        """
        self._heard = self._printed = time.monotonic()
        late: Lost | None = None
        while not self._ended:
            with self.shell.stream(self._command()) as stream:
                while stream.returncode is None and not (self._ended or self._find_lateness()):
                    self._read(stream)
                    self._look()
            if self._ended or (late := self._find_lateness()):
                break
            self._look()
            self.say(f"lost the connection to {self.plan.name}: following again")
            self.shell.wait(self.patience.poll)
        return late

    def _command(self) -> tuple[str, ...]:
        return self.plan.ssh(self.plan.job.follow(self.told + 1), self.plan.workers[0])

    def _read(self, stream: Stream) -> None:
        """Tells the new lines of a moment. gcloud may connect again by itself, and begin again."""
        for line in stream.lines(self.patience.poll):
            self._heard = time.monotonic()
            if line.startswith(LOG_PREFIX):
                self._printed = self._heard
                self._next += 1
                if self._next > self.told + 1:
                    self.told += 1
                    self.say(line.removeprefix(LOG_PREFIX))
            elif line.startswith(_LOG_FROM):
                self._next = int(line.removeprefix(_LOG_FROM))
            elif line.startswith(f"{MARK} {self.plan.job.name} "):
                self._ended = "running" not in line

    def _look(self) -> None:
        """Looks at the machine; after an outage on this side both clocks begin again."""
        outages = self.cloud.outages
        self.cloud.look()
        if self.cloud.outages > outages:
            self._heard = self._printed = time.monotonic()

    def _find_lateness(self) -> Lost | None:
        now, name = time.monotonic(), self.plan.job.name
        if now > self._heard + self.patience.workers:
            return Lost(f"{self.plan.name} is active, but its first worker is out of reach")
        if now > self._printed + self.patience.silence:
            return Lost(f"{name} printed nothing for {self.patience.silence:g} s", in_place=True)
        return None
