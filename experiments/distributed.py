"""Joining the processes of one run, and making sure that they are of one mind."""

import hashlib
import json
import os
from pathlib import Path

import jax
import numpy as np
from absl import flags
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from qlae.errors import UserError
from qlae.run_directory import get_versions, to_plain

_ADDRESS = flags.DEFINE_string(
    "coordinator_address", None, "host:port of process 0; not needed where the platform knows."
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes share the run.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
_TIMEOUT = flags.DEFINE_integer("initialization_timeout", 300, "Seconds to wait for the others.")

_ROOT = Path(__file__).parents[1]
_CODE = ("qlae", "data_pipelines", "experiments")


def initialize() -> None:
    """Joins the other processes: as the flags say, or as the platform does (TPU, Slurm, GKE).

    Raises:
        UserError: some of the three flags are given and others not, or they contradict each other.
    """
    given = (_ADDRESS.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    if any(value is not None for value in given):
        _check(*given)
        jax.distributed.initialize(*given, initialization_timeout=_TIMEOUT.value)
    elif _platform_is_distributed():
        jax.distributed.initialize(initialization_timeout=_TIMEOUT.value)


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
            raise UserError(
                f"processes disagree on their {kind}: {_join(differing)} differ from process 0; "
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


def _check(address: str | None, num_processes: int | None, process_id: int | None) -> None:
    if address is None or num_processes is None or process_id is None:
        raise UserError("--coordinator_address, --num_processes and --process_id go together")
    if not 0 <= process_id < num_processes:
        raise UserError(f"--process_id={process_id} is not one of {num_processes} processes")
    if ":" not in address:
        raise UserError(f"--coordinator_address={address!r} lacks a port: expected host:port")


def _platform_is_distributed() -> bool:
    environment = os.environ
    return (
        "tpu" in environment.get("JAX_PLATFORMS", "")
        or "JAX_COORDINATOR_ADDRESS" in environment
        or int(environment.get("SLURM_NTASKS", 1)) > 1
    )


def _digest(value: object) -> int:
    text = json.dumps(value, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def _join(ids: np.ndarray) -> str:
    return ("process " if len(ids) == 1 else "processes ") + ", ".join(map(str, ids))
