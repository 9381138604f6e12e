"""What every machine has in common: a place, a state, and the commands of its life."""

import dataclasses
import enum
from typing import Protocol

from tpu_scripts.launch.shell import Command

PROVISIONING = ("on-demand", "spot", "reserved")
SSH_ROADS = ("external", "internal", "iap")
LABEL = "made-by=qlae-launch"

# Checkpoints and records are written to gs://, which a VM's default scopes only read.
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SSH_OPTIONS = (
    # Nobody is there to type a passphrase.
    "-oBatchMode=yes",
    # A machine that was taken away neither closes nor refuses connections: notice in a minute.
    *("-oConnectTimeout=20", "-oServerAliveInterval=15", "-oServerAliveCountMax=4"),
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
    """Where machines live, who they act as, and how to reach them.

    Attributes:
        internal_ips: whether they get no external address.
        ssh_road: `external`, `internal` (from a VM of the same network) or `iap` (a tunnel).
        ssh_options: further options of ssh(1) and scp(1).
    """

    project: str
    zone: str
    service_account: str | None = None
    network: str | None = None
    subnetwork: str | None = None
    internal_ips: bool = False
    ssh_user: str | None = None
    ssh_road: str = "external"
    ssh_options: tuple[str, ...] = ()

    @property
    def flags(self) -> Command:
        """The flags every command needs; --quiet because nobody is there to answer a prompt."""
        return (f"--project={self.project}", f"--zone={self.zone}", "--quiet")

    @property
    def account_flags(self) -> Command:
        """Who the machine acts as."""
        account = (f"--service-account={self.service_account}",) if self.service_account else ()
        return (*account, f"--scopes={_SCOPE}")

    @property
    def road_flags(self) -> Command:
        """How to reach a machine."""
        roads = {"internal": ("--internal-ip",), "iap": ("--tunnel-through-iap",)}
        return roads.get(self.ssh_road, ())

    def login(self, machine: str) -> str:
        """`machine`, or `user@machine`."""
        return f"{self.ssh_user}@{machine}" if self.ssh_user else machine

    def pass_options(self, flag: str) -> Command:
        """All options of ssh(1), each behind `flag`, `--ssh-flag` or `--scp-flag`."""
        return tuple(f"{flag}={option}" for option in (*_SSH_OPTIONS, *self.ssh_options))


class Machine(Protocol):
    """What a plan needs of a machine: the commands of its life, and its workers."""

    @property
    def name(self) -> str:
        """Its name, unique in its zone."""

    @property
    def worker_ids(self) -> tuple[str, ...]:
        """Every worker's id, as `ssh` and `copy` take it."""

    @property
    def own_end(self) -> str:
        """When it ends without a launcher, in words."""

    def create(self) -> Command:
        """Asks for the machine."""

    def describe(self) -> Command:
        """Prints its state as JSON."""

    def observe(self, description: str) -> Observed:
        """Reads what `describe` printed."""

    def ssh(self, script: str, worker_id: str) -> Command:
        """Runs `script` on one worker."""

    def copy(self, source: str, destination: str, worker_id: str) -> Command:
        """Copies a file to the home directory of one worker."""

    def delete(self) -> Command:
        """Deletes the machine and all that belongs to it."""
