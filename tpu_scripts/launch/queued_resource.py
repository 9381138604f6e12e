"""TPU slices as `gcloud` commands: a queued resource asked for, its nodes reached one by one.

Command names and flags are those of `gcloud compute tpus queued-resources` and `... tpu-vm`. The
former has ssh and scp, too, but these exit with 0 when they did nothing (google-cloud-cli 528).
"""

import dataclasses
import json
import pathlib

from tpu_scripts.launch.machines import LABEL, Observed, Place, State
from tpu_scripts.launch.patience import HOUR, Patience
from tpu_scripts.launch.shell import Command
from tpu_scripts.topologies import Topology

OWN_END = pathlib.Path(__file__).with_name("own_end.sh")
_REQUESTS: Command = ("gcloud", "compute", "tpus", "queued-resources")
_TIERS: dict[str, Command] = {"on-demand": (), "spot": ("--spot",), "reserved": ("--reserved",)}
_STATES = {
    "ACTIVE": State.ACTIVE,
    "SUSPENDING": State.LOST,
    "SUSPENDED": State.LOST,
    "FAILED": State.LOST,
    "DELETING": State.DELETING,
}


@dataclasses.dataclass(frozen=True)
class QueuedResource:
    """TPU slices asked for together: they become active together, and are lost together.

    Attributes:
        create_flags: further flags of `queued-resources create`.
    """

    name: str
    place: Place
    topology: Topology
    slices: int = 1
    provisioning: str = "on-demand"
    runtime_version: str | None = None
    create_flags: tuple[str, ...] = ()
    patience: Patience = dataclasses.field(default_factory=Patience)

    @property
    def worker_ids(self) -> tuple[str, ...]:
        """`slice/worker` for each worker of each slice."""
        workers = range(self.topology.hosts)
        return tuple(f"{node}/{worker}" for node in range(self.slices) for worker in workers)

    @property
    def own_end(self) -> str:
        """As own_end.sh has it."""
        return (
            f"it deletes itself {self.patience.linger / HOUR:g} h after its job, at the latest "
            f"{(self.patience.setup + self.patience.longest_run) / HOUR:g} h after its start"
        )

    def create(self) -> Command:
        """Asks for the slices; gcloud takes a node count only above one."""
        place = self.place
        nodes: Command = (f"--node-id={self.name}",)
        if self.slices > 1:
            nodes = (f"--node-count={self.slices}", f"--node-prefix={self.name}")
        runtime_version = self.runtime_version or self.topology.generation.runtime_version
        network = (
            *((f"--network={place.network}",) if place.network else ()),
            *((f"--subnetwork={place.subnetwork}",) if place.subnetwork else ()),
            *(("--internal-ips",) if place.internal_ips else ()),
        )
        resource = f"projects/{place.project}/locations/{place.zone}/queuedResources/{self.name}"
        metadata = f"launch-resource={resource},launch-setup-seconds={self.patience.setup:.0f}"
        return (
            *(*_REQUESTS, "create", self.name, *place.flags, *nodes),
            f"--accelerator-type={self.topology.accelerator_type}",
            f"--runtime-version={runtime_version}",
            *(*place.account_flags, *_TIERS[self.provisioning], *network),
            f"--valid-until-duration={self.patience.provision:.0f}s",
            *(f"--labels={LABEL}", f"--metadata={metadata}"),
            f"--metadata-from-file=startup-script={OWN_END}",
            *self.create_flags,
        )

    def describe(self) -> Command:
        """Prints the request as JSON."""
        return (*_REQUESTS, "describe", self.name, *self.place.flags, "--format=json")

    def observe(self, description: str) -> Observed:
        """Reads `state.state`, and why it failed where it did."""
        state = json.loads(description).get("state", {})
        word = state.get("state", "STATE_UNSPECIFIED")
        reason = state.get("failedData", {}).get("error", {}).get("message", "")
        return Observed(_STATES.get(word, State.WAITING), word, reason)

    def ssh(self, script: str, worker_id: str) -> Command:
        """Runs `script` on one worker of one slice."""
        node, worker = self._locate(worker_id)
        return (
            *(*self._tpu_vm, "ssh", self.place.login(node), *self.place.flags),
            *(f"--worker={worker}", *self.place.road_flags),
            *(*self.place.pass_options("--ssh-flag"), f"--command={script}"),
        )

    def copy(self, source: str, destination: str, worker_id: str) -> Command:
        """Copies a file to the home directory of one worker."""
        node, worker = self._locate(worker_id)
        return (
            *(*self._tpu_vm, "scp", source, f"{self.place.login(node)}:{destination}"),
            *(*self.place.flags, f"--worker={worker}", *self.place.road_flags),
            *self.place.pass_options("--scp-flag"),
        )

    def delete(self) -> Command:
        """Deletes the request; --force deletes its slices too."""
        return (*_REQUESTS, "delete", self.name, *self.place.flags, "--force")

    @property
    def _tpu_vm(self) -> Command:
        """Only alpha's ssh and scp know the tunnel."""
        alpha = ("alpha",) if self.place.ssh_road == "iap" else ()
        return ("gcloud", *alpha, "compute", "tpus", "tpu-vm")

    def _locate(self, worker_id: str) -> tuple[str, str]:
        node, worker = worker_id.split("/")
        return (self.name if self.slices == 1 else f"{self.name}-{node}", worker)
