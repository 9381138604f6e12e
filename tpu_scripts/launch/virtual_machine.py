"""A plain VM as `gcloud` commands: enough for an evaluator, and it deletes itself in time."""

import dataclasses
import json

from qlae.common.errors import UserError
from tpu_scripts.launch.machines import LABEL, Machine, Observed, Place, State
from tpu_scripts.launch.patience import HOUR, Patience
from tpu_scripts.launch.queued_resource import QueuedResource
from tpu_scripts.launch.shell import Command
from tpu_scripts.topologies import get_topology

_LOST = {"STOPPING", "SUSPENDING", "SUSPENDED", "TERMINATED"}


@dataclasses.dataclass(frozen=True)
class VirtualMachine:
    """A VM without accelerators."""

    name: str
    place: Place
    machine_type: str = "n2-standard-8"
    boot_disk_gb: int = 50
    patience: Patience = dataclasses.field(default_factory=Patience)

    @property
    def worker_ids(self) -> tuple[str, ...]:
        """The machine itself."""
        return ("0/0",)

    @property
    def own_end(self) -> str:
        """As `--max-run-duration` has it."""
        return f"it deletes itself {self._longest_life / HOUR:g} h after its start"

    def create(self) -> Command:
        """Makes a Debian 12 VM, whose own Python is the lock's 3.11."""
        place = self.place
        network = (
            *((f"--network={place.network}",) if place.network else ()),
            *((f"--subnet={place.subnetwork}",) if place.subnetwork else ()),
            *(("--no-address",) if place.internal_ips else ()),
        )
        return (
            *("gcloud", "compute", "instances", "create", self.name, *place.flags),
            f"--machine-type={self.machine_type}",
            *("--image-family=debian-12", "--image-project=debian-cloud"),
            *(f"--boot-disk-size={self.boot_disk_gb}GB", *place.account_flags, *network),
            f"--max-run-duration={self._longest_life:.0f}s",
            *("--instance-termination-action=DELETE", f"--labels={LABEL}"),
        )

    def describe(self) -> Command:
        """Prints the instance as JSON."""
        flags = (*self.place.flags, "--format=json")
        return ("gcloud", "compute", "instances", "describe", self.name, *flags)

    def observe(self, description: str) -> Observed:
        """Reads `status`."""
        word = json.loads(description).get("status", "STATUS_UNSPECIFIED")
        state = State.LOST if word in _LOST else State.WAITING
        return Observed(State.ACTIVE if word == "RUNNING" else state, word)

    def ssh(self, script: str, worker_id: str) -> Command:
        """Runs `script` on the machine."""
        return (
            *("gcloud", "compute", "ssh", self.place.login(self.name), *self.place.flags),
            *(*self.place.road_flags, *self.place.pass_options("--ssh-flag")),
            f"--command={script}",
        )

    def copy(self, source: str, destination: str, worker_id: str) -> Command:
        """Copies a file to the home directory."""
        return (
            *("gcloud", "compute", "scp", source, f"{self.place.login(self.name)}:{destination}"),
            *(*self.place.flags, *self.place.road_flags),
            *self.place.pass_options("--scp-flag"),
        )

    def delete(self) -> Command:
        """Deletes the instance with its disk."""
        return ("gcloud", "compute", "instances", "delete", self.name, *self.place.flags)

    @property
    def _longest_life(self) -> float:
        """The run may wait for its slices, be lost, and wait again."""
        return self.patience.provision + self.patience.longest_run


def make_evaluator(
    kind: str, name: str, place: Place, provisioning: str, patience: Patience
) -> Machine:
    """Returns the evaluator's own small machine: `vm`, `vm:MACHINE_TYPE`, or a TPU of one worker.

    Raises:
        UserError: an unknown topology, or one of several workers, which one evaluator cannot use.
    """
    if kind.split(":")[0] == "vm":
        machine_type = kind.partition(":")[2] or VirtualMachine.machine_type
        return VirtualMachine(name, place, machine_type, patience=patience)
    topology = get_topology(kind)
    if topology.hosts > 1:
        raise UserError(
            f"evaluator {kind!r} has {topology.hosts} workers, but evaluation needs one: "
            "take a slice of one worker such as v5e:1x1, or vm"
        )
    return QueuedResource(name, place, topology, provisioning=provisioning, patience=patience)
