"""The two kinds of machine a job runs on, as `gcloud` commands: a queued resource and a plain VM.

Command names and flags are those of the public `gcloud compute tpus queued-resources` and
`gcloud compute instances` references.
"""

import dataclasses
import enum
import json
from typing import Protocol

from qlae.common.errors import UserError
from tpu_scripts.launch.shell import Command
from tpu_scripts.topologies import Topology, get_topology

PROVISIONING = ("on-demand", "spot", "reserved")

# Checkpoints and records are written to gs://, which a VM's default scopes only read.
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# A machine that was taken away neither closes nor refuses connections: notice within a minute.
_KEEPALIVE = (
    "--ssh-flag=-oConnectTimeout=20",
    "--ssh-flag=-oServerAliveInterval=15",
    "--ssh-flag=-oServerAliveCountMax=4",
)


class State(enum.Enum):
    """What matters of a machine's state; `LOST` is one that only deleting and creating can cure."""

    ABSENT = "absent"
    WAITING = "waiting"
    ACTIVE = "active"
    LOST = "lost"
    DELETING = "deleting"


@dataclasses.dataclass(frozen=True)
class Observed:
    """A machine's state, the service's own word for it, and the reason it gives."""

    state: State
    word: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a machine lives and how to reach it."""

    project: str
    zone: str
    service_account: str | None = None
    ssh_flags: tuple[str, ...] = ()  # Passed to every ssh and scp, such as --tunnel-through-iap.

    @property
    def flags(self) -> Command:
        """The flags every command needs; --quiet because nobody is there to answer a prompt."""
        return (f"--project={self.project}", f"--zone={self.zone}", "--quiet")

    @property
    def account_flags(self) -> Command:
        """Who the machine acts as."""
        account = (f"--service-account={self.service_account}",) if self.service_account else ()
        return (*account, f"--scopes={_SCOPE}")


class Machine(Protocol):
    """What a plan needs of a machine: the commands of its life, and its workers."""

    @property
    def name(self) -> str:
        """Its name, unique in its zone."""

    @property
    def worker_ids(self) -> tuple[str, ...]:
        """Every worker's id, as `ssh` takes it."""

    def create(self) -> Command:
        """Asks for the machine."""

    def describe(self) -> Command:
        """Prints its state as JSON."""

    def observe(self, description: str) -> Observed:
        """Reads what `describe` printed."""

    def ssh(self, script: str, worker_id: str | None = None) -> Command:
        """Runs `script` on one worker, or on all."""

    def copy(self, source: str, destination: str) -> Command:
        """Copies a file to all workers."""

    def delete(self) -> Command:
        """Deletes the machine and all that belongs to it."""


@dataclasses.dataclass(frozen=True)
class QueuedResource:
    """TPU slices asked for together: they become active together, and are lost together."""

    name: str
    place: Place
    topology: Topology
    slices: int = 1
    provisioning: str = "on-demand"
    runtime_version: str | None = None

    _GCLOUD = ("gcloud", "compute", "tpus", "queued-resources")

    @property
    def worker_ids(self) -> tuple[str, ...]:
        """`slice/worker` for each worker of each slice."""
        workers = range(self.topology.hosts)
        return tuple(f"{node}/{worker}" for node in range(self.slices) for worker in workers)

    def create(self) -> Command:
        """Asks for the slices; gcloud takes a node count only above one."""
        nodes: Command = (f"--node-id={self.name}",)
        if self.slices > 1:
            nodes = (f"--node-count={self.slices}", f"--node-prefix={self.name}")
        runtime_version = self.runtime_version or self.topology.generation.runtime_version
        tier = {"on-demand": (), "spot": ("--spot",), "reserved": ("--reserved",)}
        return (
            *(*self._GCLOUD, "create", self.name, *self.place.flags, *nodes),
            f"--accelerator-type={self.topology.accelerator_type}",
            f"--runtime-version={runtime_version}",
            *(*self.place.account_flags, *tier[self.provisioning]),
        )

    def describe(self) -> Command:
        """Prints the request as JSON."""
        return (*self._GCLOUD, "describe", self.name, *self.place.flags, "--format=json")

    def observe(self, description: str) -> Observed:
        """Reads `state.state`, and why it failed where it did."""
        state = json.loads(description).get("state", {})
        word = state.get("state", "STATE_UNSPECIFIED")
        reason = state.get("failedData", {}).get("error", {}).get("message", "")
        known = {
            "ACTIVE": State.ACTIVE,
            "SUSPENDING": State.LOST,
            "SUSPENDED": State.LOST,
            "FAILED": State.LOST,
            "DELETING": State.DELETING,
        }
        return Observed(known.get(word, State.WAITING), word, reason)

    def ssh(self, script: str, worker_id: str | None = None) -> Command:
        """Runs `script` on one worker of one slice, or on all of all."""
        node, worker = worker_id.split("/") if worker_id else ("all", "all")
        target = (f"--node={node}", f"--worker={worker}")
        flags = (*self.place.flags, *_KEEPALIVE, *self.place.ssh_flags)
        return (*self._GCLOUD, "ssh", self.name, *flags, *target, f"--command={script}")

    def copy(self, source: str, destination: str) -> Command:
        """Copies a file to the home directory of every worker."""
        target = (*self.place.flags, *self.place.ssh_flags, "--node=all", "--worker=all")
        return (*self._GCLOUD, "scp", source, f"{self.name}:{destination}", *target)

    def delete(self) -> Command:
        """Deletes the request; --force deletes its slices too."""
        return (*self._GCLOUD, "delete", self.name, *self.place.flags, "--force")


@dataclasses.dataclass(frozen=True)
class VirtualMachine:
    """A plain VM without accelerators: enough for the side-car evaluator of small models."""

    name: str
    place: Place
    machine_type: str = "n2-standard-8"
    boot_disk_gb: int = 50

    @property
    def worker_ids(self) -> tuple[str, ...]:
        """The machine itself."""
        return ("0",)

    def create(self) -> Command:
        """Makes a Debian 12 VM, whose own Python is the lock's 3.11."""
        return (
            *("gcloud", "compute", "instances", "create", self.name, *self.place.flags),
            f"--machine-type={self.machine_type}",
            *("--image-family=debian-12", "--image-project=debian-cloud"),
            f"--boot-disk-size={self.boot_disk_gb}GB",
            *self.place.account_flags,
        )

    def describe(self) -> Command:
        """Prints the instance as JSON."""
        flags = (*self.place.flags, "--format=json")
        return ("gcloud", "compute", "instances", "describe", self.name, *flags)

    def observe(self, description: str) -> Observed:
        """Reads `status`."""
        word = json.loads(description).get("status", "STATUS_UNSPECIFIED")
        lost = {"STOPPING", "SUSPENDING", "SUSPENDED", "TERMINATED"}
        state = State.LOST if word in lost else State.WAITING
        return Observed(State.ACTIVE if word == "RUNNING" else state, word)

    def ssh(self, script: str, worker_id: str | None = None) -> Command:
        """Runs `script` on the machine."""
        flags = (*self.place.flags, *_KEEPALIVE, *self.place.ssh_flags)
        return ("gcloud", "compute", "ssh", self.name, *flags, f"--command={script}")

    def copy(self, source: str, destination: str) -> Command:
        """Copies a file to the home directory."""
        flags = (*self.place.flags, *self.place.ssh_flags)
        return ("gcloud", "compute", "scp", source, f"{self.name}:{destination}", *flags)

    def delete(self) -> Command:
        """Deletes the instance with its disk."""
        return ("gcloud", "compute", "instances", "delete", self.name, *self.place.flags)


def make_evaluator(kind: str, name: str, place: Place, provisioning: str) -> Machine:
    """Returns the evaluator's own small machine: `vm`, `vm:MACHINE_TYPE`, or a TPU of one worker.

    Raises:
      UserError: an unknown topology, or one of several workers, which one evaluator cannot use.
    """
    if kind.split(":")[0] == "vm":
        _, _, machine_type = kind.partition(":")
        return VirtualMachine(name, place, machine_type or VirtualMachine.machine_type)
    topology = get_topology(kind)
    if topology.hosts > 1:
        raise UserError(
            f"evaluator {kind!r} has {topology.hosts} workers, but evaluation needs one: "
            "take a slice of one worker such as v5e:1x1, or vm"
        )
    return QueuedResource(name, place, topology, provisioning=provisioning)
