"""Joining the processes of one run, and making sure that they are of one mind."""

import argparse
import contextlib
import hashlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from experiments.heartbeat import Heartbeat, start_heartbeat
from experiments.roll_call import call_roll, name_processes
from qlae.common.command_line import Parser
from qlae.common.errors import RunFailed, StorageError, UserError, explain
from qlae.run_directory import get_versions, to_plain

_ROOT = Path(__file__).parents[1]
_CODE = ("qlae", "data_pipelines", "experiments")
_MESSAGE_BYTES = 2048
# Together with their position here, what a process tells the others of its error.
_KINDS: tuple[type[Exception], ...] = (UserError, StorageError, RunFailed)
_TPU_PORT = 8476
_METADATA = "http://metadata.google.internal/computeMetadata/v1/instance/attributes/"

_heartbeat: Heartbeat | None = None


class Place(NamedTuple):
    """Which of how many processes this is, and where the first of them listens."""

    coordinator_address: str
    num_processes: int
    process_id: int


def add_flags(parser: Parser) -> None:
    """Adds the flags that say how processes find each other where the platform does not."""
    add = parser.add_argument
    add("--coordinator_address", help="host:port of process 0; not needed where the platform knows")
    add("--num_processes", type=int, help="how many processes share the run")
    add("--process_id", type=int, help="which of them this is, from 0")
    add("--initialization_timeout", type=int, default=300, help="seconds to wait for the others")


def join(options: argparse.Namespace) -> None:
    """Joins the other processes: as the flags say, or as the platform does (TPU, Slurm, GKE).

    Raises:
        UserError: some of the three flags are given and others not, or they contradict each other.
        StorageError: some processes do not come up.
    """
    global _heartbeat
    if _initialize(options):
        _heartbeat = start_heartbeat()


def _initialize(options: argparse.Namespace) -> bool:
    """Joins the other processes; returns whether there are any."""
    timeout = options.initialization_timeout
    given = (options.coordinator_address, options.num_processes, options.process_id)
    place = None
    if any(value is not None for value in given):
        place = _check(*given)
    elif _is_slurm() or "MEGASCALE_COORDINATOR_ADDRESS" in os.environ:
        jax.distributed.initialize(initialization_timeout=timeout)  # JAX reads these by itself
        return True
    elif has_tpu():
        place = find_tpu_place()
    if place is None:
        return False
    if place.num_processes > 1:
        call_roll(*place, timeout=timeout)
    jax.distributed.initialize(*place, initialization_timeout=timeout)
    return True


def has_tpu() -> bool:
    """Whether JAX will use TPU chips of this machine."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    chips = any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))
    return "tpu" in platforms or (not platforms and chips and not _has_gpu())


def find_tpu_place() -> Place | None:
    """Returns the place of this worker in its slice, as GKE's environment or the VM's metadata say.

    None where neither does: a slice of one host.
    """
    names, index = os.environ.get("TPU_WORKER_HOSTNAMES"), os.environ.get("TPU_WORKER_ID")
    if names is None or index is None:
        endpoints, index = (
            _read_metadata("worker-network-endpoints"),
            _read_metadata("agent-worker-number"),
        )
        names = ",".join(entry.split(":")[-1] for entry in (endpoints or "").split(",") if entry)
    hosts = [name for name in names.split(",") if name]
    if len(hosts) < 2 or not index:
        return None
    return Place(f"{hosts[0]}:{_TPU_PORT}", len(hosts), int(index))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Lets a mistake that some processes meet in this block end all of them, not hang the others.

    Every process must pass through it, and the block must not wait for other processes.

    Raises:
        UserError, StorageError, RunFailed: what this process met, or else what another did.
    """
    mine: Exception | None = None
    try:
        yield
    except Exception as error:
        mine = explain(error)
        if not isinstance(mine, _KINDS):
            raise
    for process, message in enumerate(_gather(_pack(mine))):
        if message and mine is None:
            raise _KINDS[int(message[0])](f"process {process}: {message[1:]}")
    if mine:
        raise mine


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Lets an error that one process meets in this block end all of them, with its reason."""
    try:
        yield
    except Exception as error:
        if _heartbeat is None:
            raise
        _heartbeat.end(error)


def check_agreement(config: ConfigDict) -> None:
    """Checks that all processes run the same config and code, before anything is written.

    Raises:
        UserError: on every process, naming those that differ from process 0.
    """
    if jax.process_count() == 1:
        return
    mine = {"config": to_plain(config), "versions": get_versions(), "code": hash_code()}
    digests_Px3 = multihost_utils.process_allgather(
        np.array([_digest(value) for value in mine.values()], np.uint32)
    )
    for kind, digests_P in zip(mine, digests_Px3.T, strict=True):
        differing = np.flatnonzero(digests_P != digests_P[0])
        if differing.size:
            odd = name_processes(differing.tolist())
            raise UserError(
                f"processes disagree on their {kind}: {odd} differ from process 0; "
                "start all of them with the same command from the same commit and environment"
            )


def hash_code() -> str:
    """Returns a hash of the source files that decide what a run computes."""
    digest = hashlib.sha256()
    for room in _CODE:
        for path in sorted((_ROOT / room).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _check(address: str | None, num_processes: int | None, process_id: int | None) -> Place:
    if address is None or num_processes is None or process_id is None:
        raise UserError("--coordinator_address, --num_processes and --process_id go together")
    if not 0 <= process_id < num_processes:
        raise UserError(f"--process_id={process_id} is not one of {num_processes} processes")
    if ":" not in address:
        raise UserError(f"--coordinator_address={address!r} lacks a port: expected host:port")
    return Place(address, num_processes, process_id)


def _is_slurm() -> bool:
    return int(os.environ.get("SLURM_NTASKS", 1)) > 1


def _has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def _read_metadata(name: str) -> str | None:
    """Returns an attribute of a Google Cloud VM, None where there is none."""
    request = urllib.request.Request(_METADATA + name, headers={"Metadata-Flavor": "Google"})
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            return answer.read().decode()
    except OSError:
        return None


def _pack(error: Exception | None) -> str:
    if error is None:
        return ""
    kind = next(index for index, kind in enumerate(_KINDS) if isinstance(error, kind))
    return f"{kind}{error}"


def _gather(message: str) -> list[str]:
    """Returns every process's message, by process."""
    if jax.process_count() == 1:
        return [message]
    padded = message.encode()[:_MESSAGE_BYTES].ljust(_MESSAGE_BYTES, b"\0")
    rows = multihost_utils.process_allgather(np.frombuffer(padded, np.uint8))
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in rows]


def _digest(value: object) -> int:
    text = json.dumps(value, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
