"""The life of an XPK workload: created, followed to its end, deleted when the launcher is stopped.

GKE and the JobSet do what the queued resource's life cycle does elsewhere: queue, restart after an
eviction, and free the nodes.
"""

import json
import threading
import time

from qlae.common.command_line import Exit
from qlae.common.errors import RunFailed, StorageError, UserError
from tpu_scripts.launch.cloud import OutOfSight, Say
from tpu_scripts.launch.faults import UNSEEN, Fault, classify, make_final_error
from tpu_scripts.launch.patience import Patience
from tpu_scripts.launch.shell import Command, Shell, Stopped, quote
from tpu_scripts.launch.xpk import XpkPlan


class NeverStartedError(RunFailed):
    """No pod of the workload ran in the time given."""


class Workload:
    """Runs an `XpkPlan` to its end: `run` returns when the job ended well, and raises otherwise.

    Attributes:
        started: set once the workload is submitted.
    """

    def __init__(self, plan: XpkPlan, shell: Shell, patience: Patience, *, say: Say, attach: bool):
        self.plan = plan
        self.started = threading.Event()
        self.say = say
        self._shell = shell
        self._patience = patience
        self._attach = attach
        self._told: dict[str, int] = {}  # Lines told of each pod.

    def find(self) -> None:
        """Checks that the name is free, or the workload to go on with there; nothing is made.

        Raises:
            UserError: it is not, or the cluster refuses to tell.
        """
        self._must(self.plan.credentials, "reach the cluster (its place is --cluster_location)")
        result = self._shell.run(self.plan.look, seconds=self._patience.request)
        if result.ok and not self._attach:
            raise UserError(
                f"{self.plan.name!r} exists already: choose another --name, go on with it "
                f"(--attach), or delete it: {quote(self.plan.delete)}"
            )
        absent = classify(result.stderr) is Fault.ABSENT
        if not result.ok and not absent:
            raise make_final_error(f"cannot look for {self.plan.name!r}", result.stderr)
        if absent and self._attach:
            raise UserError(f"there is no {self.plan.name!r} to go on with: drop --attach")

    def run(self) -> None:
        """Brings the job to its end.

        Raises:
            UserError: a mistake or a missing permission, before or after the workload was made.
            RunFailed: the job failed.
            StorageError: the cluster could not be seen for too long; the workload is left alone.
            Stopped: the launcher was asked to stop; the workload is deleted by then.
        """
        try:
            if not self._attach:
                for command in self.plan.unpack:
                    self._must(command, "lay out the source")
                self.say(f"creating workload {self.plan.name}")
                self._must(self.plan.create, f"create workload {self.plan.name!r}")
            self.started.set()
            ended = self._follow()
        except Stopped:
            if not self._shell.stop.leave:
                self._delete()
            raise
        except NeverStartedError:
            self._delete()
            raise
        self._judge(ended)

    def _delete(self) -> None:
        self.say(f"deleting workload {self.plan.name}")
        result = self._shell.run(self.plan.delete, stoppable=False)
        if not result.ok and classify(result.stderr) is not Fault.ABSENT:
            self.say(
                f"warning: workload {self.plan.name} could not be deleted ({result.last_line}); "
                f"delete it by hand: {quote(self.plan.delete)}"
            )

    def _must(self, command: Command, what: str) -> None:
        result = self._shell.run(command)
        if not result.ok:
            raise make_final_error(f"cannot {what}", result.stderr or result.stdout)

    def _follow(self) -> str:
        """Returns the word that ended the JobSet, the log having been told meanwhile."""
        deadline = time.monotonic() + self._patience.provision
        while True:
            ended = self._look()
            self._tell_log()
            if ended:
                return ended
            if not self._told and time.monotonic() > deadline:
                raise self._make_never_started()
            self._shell.wait(self._patience.poll)

    def _look(self) -> str:
        """Returns `Completed`, `Failed`, or nothing while it goes on; waits through outages."""
        deadline = time.monotonic() + self._patience.outage
        while True:
            result = self._shell.run(self.plan.look, seconds=self._patience.request)
            if result.ok:
                conditions = json.loads(result.stdout).get("status", {}).get("conditions", [])
                true = {one["type"] for one in conditions if one.get("status") == "True"}
                return next((word for word in ("Completed", "Failed") if word in true), "")
            if classify(result.stderr) is Fault.ABSENT:
                raise RunFailed(f"{self.plan.name} was deleted by someone else: not made again")
            if classify(result.stderr) not in UNSEEN or time.monotonic() > deadline:
                raise OutOfSight(f"no sight of {self.plan.name}: {result.last_line}")
            self.say(f"no sight of {self.plan.name}: {result.last_line}")
            self._shell.wait(self._patience.poll)

    def _tell_log(self) -> None:
        """Tells the lines of the first worker not told before; ends with its pod, if there is one.

        Each line names its pod: one that was restarted tells a new log.
        """
        counts: dict[str, int] = {}
        with self._shell.stream(self.plan.follow) as log:
            while log.returncode is None:
                for line in log.lines(self._patience.poll):
                    pod, bracket, text = line.partition("] ")
                    if not (bracket and pod.startswith("[pod/")):
                        continue  # No pod yet.
                    counts[pod] = counts.get(pod, 0) + 1
                    if counts[pod] > self._told.get(pod, 0):
                        self._told[pod] = counts[pod]
                        self.say(text)

    def _list_pods(self) -> list[dict]:
        result = self._shell.run(self.plan.pods, seconds=self._patience.request)
        return json.loads(result.stdout)["items"] if result.ok else []

    def _make_never_started(self) -> NeverStartedError:
        pods = [
            pod["metadata"]["name"]
            for pod in self._list_pods()
            if pod["status"].get("phase") == "Pending"
        ]
        waited = f"{self._patience.provision:g} s"
        return NeverStartedError(
            f"workload {self.plan.name} did not start in {waited}; pods that never came up: "
            f"{', '.join(pods) or 'none were made'}"
        )

    def _judge(self, ended: str) -> None:
        job = self.plan.job.name
        if ended == "Completed":
            self.say(f"{job} ended well")
            return
        codes = {
            pod["metadata"]["name"]: container["state"]["terminated"]["exitCode"]
            for pod in self._list_pods()
            for container in pod["status"].get("containerStatuses", [])
            if "terminated" in container.get("state", {})
        }
        for pod, code in codes.items():
            if code == Exit.MISTAKE:
                raise UserError(f"{job} met a mistake on {pod}: see its error line above")
        told = ", ".join(f"{pod}: {code}" for pod, code in codes.items() if code) or "unknown"
        if codes and set(codes.values()) <= {Exit.DONE, Exit.TRY_AGAIN}:
            raise StorageError(f"{job} met storage that does not answer (exit codes {told})")
        raise RunFailed(
            f"workload {self.plan.name} did not complete (exit codes {told}); it is kept for "
            f"inspection: {quote(self.plan.look)}"
        )
