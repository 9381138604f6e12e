"""The GKE path: one XPK workload (a JobSet) on a cluster that XPK made, followed to its end.

GKE and the JobSet do what the queued resource's life cycle does elsewhere: queue, restart after an
eviction (`--max-restarts`; XPK restarts exit statuses 42 and 127 to 255, so never a user's mistake,
which is 2) and free the nodes. Here is only what starts it, follows it, and deletes it on Ctrl-C.
"""

import dataclasses
import threading
import time

from qlae.common.errors import RunFailed, UserError
from tpu_scripts.launch.faults import Backoff, Fault, classify, make_final_error
from tpu_scripts.launch.job import Job
from tpu_scripts.launch.lifecycle import Patience, Say
from tpu_scripts.launch.plan import Phase
from tpu_scripts.launch.shell import Command, Shell, Stopped, quote
from tpu_scripts.topologies import Topology

# XPK prints the program's exit status under this name at the end of each container's log.
_EXIT_MARK = "EXIT_CODE="
_JOBSET_LABEL = "jobset.sigs.k8s.io/jobset-name"
_TIMED_OUT, _FAILED = 124, 125
_INSTALL = "pip install --quiet --require-hashes -r requirements.lock"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A GKE cluster made by `xpk cluster create`, and the image that workloads run in.

    With `docker_image`, the image must hold the code and its environment. Without, XPK lays the
    source over `base_docker_image`, and each worker installs from the lock before it starts.
    """

    name: str
    project: str
    zone: str
    docker_image: str | None = None
    base_docker_image: str = "python:3.11"

    @property
    def flags(self) -> Command:
        """The flags every command needs."""
        return (f"--cluster={self.name}", f"--project={self.project}", f"--zone={self.zone}")


@dataclasses.dataclass(frozen=True)
class XpkPlan:
    """Every command of one job on a cluster."""

    name: str
    job: Job
    unpack: tuple[Command, ...]  # Lays out the packed source for XPK to put into the image.
    find: Command
    create: Command
    wait: Command
    follow: Command
    pending: Command  # Names the pods that do not run.
    delete: Command

    def phases(self, keep: bool) -> list[Phase]:
        """The commands in order, under what they are for."""
        phases: list[Phase] = [
            ("lay out the source for the image", self.unpack),
            (f"{self.name}: the name must be free", (self.find,)),
            ("create; the JobSet restarts evicted slices", (self.create,)),
            ("follow the log of the first worker, wait for the end", (self.follow, self.wait)),
        ]
        if not keep:
            phases.append(
                ("delete, when interrupted: an ended workload holds no nodes", (self.delete,))
            )
        return phases


def make_xpk_plan(
    cluster: Cluster,
    name: str,
    topology: Topology,
    slices: int,
    job: Job,
    archive: str,
    patience: Patience,
) -> XpkPlan:
    """Lays out one workload. Raises `UserError` for a slice that XPK does not know."""
    directory = archive.removesuffix(".tar.gz")
    unpack: tuple[Command, ...] = ()
    line = f"exec {job.command_line('python')}"  # SIGTERM must reach the program itself.
    image: Command = (f"--docker-image={cluster.docker_image}",)
    if cluster.docker_image is None:
        unpack = (("mkdir", "-p", directory), ("tar", "-xzf", archive, "-C", directory))
        line = f"{_INSTALL} && {line}"
        image = (f"--base-docker-image={cluster.base_docker_image}", f"--script-dir={directory}")
    xpk = ("xpk", "workload")
    labels = {
        _JOBSET_LABEL: name,
        "jobset.sigs.k8s.io/job-index": "0",
        "batch.kubernetes.io/job-completion-index": "0",
    }
    selector = ",".join(f"{label}={value}" for label, value in labels.items())
    return XpkPlan(
        name=name,
        job=job,
        unpack=unpack,
        find=(*xpk, "list", *cluster.flags, f"--filter-by-job={name}"),
        create=(
            *(*xpk, "create", f"--workload={name}", *cluster.flags),
            *(f"--tpu-type={topology.xpk_type}", f"--num-slices={slices}", *image),
            *(f"--max-restarts={patience.retries}", f"--command={line}"),
        ),
        wait=(*xpk, "list", *cluster.flags, f"--wait-for-job-completion={name}"),
        follow=(
            *("kubectl", "logs", "--follow", "--prefix", "--tail=-1", "--all-containers"),
            f"--selector={selector}",
        ),
        pending=(
            *("kubectl", "get", "pods", "--output=name", "--field-selector=status.phase=Pending"),
            f"--selector={_JOBSET_LABEL}={name}",
        ),
        delete=(*xpk, "delete", f"--workload={name}", *cluster.flags, "--force"),
    )


class NeverStartedError(RunFailed):
    """No pod of the workload ran in the time given."""


class Workload:
    """Runs an `XpkPlan` to its end: `run` returns when the job ended well, and raises otherwise."""

    def __init__(self, plan: XpkPlan, shell: Shell, patience: Patience, *, say: Say, keep: bool):
        self.plan = plan
        self.shell = shell
        self.patience = patience
        self.say = say
        self.keep = keep
        self.started = threading.Event()
        self._seen: dict[str, int] = {}
        self._exit_status = "unknown"

    def run(self) -> None:
        """Brings the job to its end.

        Raises:
          UserError: a mistake or a missing permission, before or after the workload was made.
          RunFailed: the job failed, or its state could not be told.
          Stopped: the launcher was asked to stop; the workload is deleted by then.
        """
        for command in self.plan.unpack:
            self._must(command, "lay out the source")
        listing = self._must(self.plan.find, f"list the workloads of {self.plan.name!r}")
        if any(line.split()[:1] == [self.plan.name] for line in listing.splitlines()):
            raise UserError(
                f"{self.plan.name!r} exists already: choose another --name, or delete it: "
                f"{quote(self.plan.delete)}"
            )
        try:
            self.say(f"creating workload {self.plan.name}")
            self._must(self.plan.create, f"create workload {self.plan.name!r}")
            self.started.set()
            status = self._follow()
        except (Stopped, NeverStartedError):
            self._delete()
            raise
        self._judge(status)

    def _delete(self) -> None:
        if self.keep:
            return
        self.say(f"deleting workload {self.plan.name}")
        result = self.shell.run(self.plan.delete, stoppable=False)
        if not result.ok and classify(result.stderr) is not Fault.ABSENT:
            self.say(
                f"warning: workload {self.plan.name} could not be deleted ({result.last_line}); "
                f"delete it by hand: {quote(self.plan.delete)}"
            )

    def _must(self, command: Command, what: str) -> str:
        result = self.shell.run(command)
        if not result.ok:
            raise make_final_error(f"cannot {what}", result.stderr or result.stdout)
        return result.stdout

    def _follow(self) -> int:
        """Returns the exit status of XPK's wait, the log having been told meanwhile."""
        backoff = Backoff(self.patience.poll, self.patience.longest_backoff, tries=5)
        deadline = time.monotonic() + self.patience.provision
        while True:
            with self.shell.stream(self.plan.wait) as wait:
                while wait.returncode is None:
                    self._tell_log()
                    if not self._seen and time.monotonic() > deadline:
                        raise self._make_never_started()
                    for _ in wait.lines(self.patience.poll):
                        pass
                status = wait.returncode
            if status in (0, _TIMED_OUT, _FAILED):
                self._tell_log()
                return status
            why = f"xpk could not wait for {self.plan.name} (exit status {status})"
            self.say(f"{why}: asking again")
            self.shell.wait(backoff.next(why))

    def _tell_log(self) -> None:
        """Tells the lines of the first worker not told before; ends with its pod, if there is one.

        Each line names its pod: one that was restarted tells a new log.
        """
        counts: dict[str, int] = {}
        with self.shell.stream(self.plan.follow) as log:
            while log.returncode is None:
                for line in log.lines(self.patience.poll):
                    pod, bracket, text = line.partition("] ")
                    if not (bracket and pod.startswith("[pod/")):
                        continue  # No pod yet.
                    counts[pod] = counts.get(pod, 0) + 1
                    if text.startswith(_EXIT_MARK):
                        self._exit_status = text.removeprefix(_EXIT_MARK).strip()
                    if counts[pod] > self._seen.get(pod, 0):
                        self._seen[pod] = counts[pod]
                        self.say(text)

    def _make_never_started(self) -> "NeverStartedError":
        pods = ", ".join(self.shell.run(self.plan.pending).stdout.split()) or "none were made"
        waited = f"{self.patience.provision:g} s"
        return NeverStartedError(
            f"workload {self.plan.name} did not start in {waited}; pods that never came up: {pods}"
        )

    def _judge(self, status: int) -> None:
        job = self.plan.job.name
        if status == 0:
            self.say(f"{job} ended well")
        elif self._exit_status == "2":
            raise UserError(f"{job} met a mistake (exit status 2): see its error line above")
        else:
            raise RunFailed(
                f"workload {self.plan.name} did not complete (exit status of {job}: "
                f"{self._exit_status}); it is kept for inspection: {quote(self.plan.find)}"
            )
