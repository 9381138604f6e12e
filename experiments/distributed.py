"""Joining the processes of one run, and making sure that they are of one mind."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from absl import flags

# What `jax.distributed.initialize` itself asks, but after which it no longer says who is missing.
from jax._src.clusters import ClusterEnv
from jax._src.hardware_utils import num_available_tpu_chips_and_device_id
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from experiments.cli import USER_ERRORS
from experiments.roll_call import call_roll, name_processes
from qlae.common.errors import UserError
from qlae.run_directory import get_versions, to_plain

_ADDRESS = flags.DEFINE_string(
    "coordinator_address", None, "host:port of process 0; not needed where the platform knows."
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes share the run.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
_TIMEOUT = flags.DEFINE_integer("initialization_timeout", 300, "Seconds to wait for the others.")

_ROOT = Path(__file__).parents[1]
_CODE = ("qlae", "data_pipelines", "experiments")
_MESSAGE_BYTES = 2048

# Coordinator address, number of processes, which of them this is, its local devices.
Place = tuple[str | None, int | None, int | None, Sequence[int] | None]


def initialize() -> None:
    """Joins the other processes: as the flags say, or as the platform does (TPU, Slurm, GKE).

    Raises:
        UserError: some of the three flags are given and others not, they contradict each other, or
            some processes do not come up.
    """
    place: Place = (_ADDRESS.value, _NUM_PROCESSES.value, _PROCESS_ID.value, None)
    if all(value is None for value in place):
        if not _platform_is_distributed():
            return
        place = ClusterEnv.auto_detect_unset_distributed_params(
            os.environ.get("JAX_COORDINATOR_ADDRESS"), None, None, None, None, _TIMEOUT.value
        )
    address, num_processes, process_id = _check(*place[:3])
    if num_processes > 1:
        call_roll(address, num_processes, process_id, timeout=_TIMEOUT.value)
    jax.distributed.initialize(*place, initialization_timeout=_TIMEOUT.value)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Lets a mistake that some processes meet in this block end all of them, not hang the others.

    Every process must pass through it, and the block must not wait for other processes.

    Raises:
        UserError: what this process met, or else what another did.
    """
    mine: Exception | None = None
    try:
        yield
    except USER_ERRORS as error:
        mine = error
    messages = _gather(str(mine) or type(mine).__name__ if mine else "")
    if mine:
        raise mine
    for process, message in enumerate(messages):
        if message:
            raise UserError(f"process {process}: {message}")


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


def _check(
    address: str | None, num_processes: int | None, process_id: int | None
) -> tuple[str, int, int]:
    if address is None or num_processes is None or process_id is None:
        raise UserError("--coordinator_address, --num_processes and --process_id go together")
    if not 0 <= process_id < num_processes:
        raise UserError(f"--process_id={process_id} is not one of {num_processes} processes")
    if ":" not in address:
        raise UserError(f"--coordinator_address={address!r} lacks a port: expected host:port")
    return address, num_processes, process_id


def _platform_is_distributed() -> bool:
    environment = os.environ
    platforms = environment.get("JAX_PLATFORMS", "")
    return (
        # Metadata is asked for where there are chips: elsewhere that is a long wait for nothing.
        ("tpu" in platforms or (not platforms and num_available_tpu_chips_and_device_id()[0] > 0))
        or "JAX_COORDINATOR_ADDRESS" in environment
        or int(environment.get("SLURM_NTASKS", 1)) > 1
    )


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
