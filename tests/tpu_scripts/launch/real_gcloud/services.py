"""What the played services have in common: refusals, and machines whose programs end with them."""

import contextlib
import os
import pathlib
import shutil
import signal
import time
from collections.abc import Callable

import pytest

GCLOUD = shutil.which("gcloud")
NEEDS_GCLOUD = pytest.mark.skipif(
    GCLOUD is None, reason="the real gcloud (google-cloud-cli) is not installed"
)


class Refusal(Exception):
    """An answer that is an error of the service."""

    def __init__(self, code: int, status: str, message: str):
        super().__init__(message)
        self.code, self.status = code, status


def kill_workers(machine: pathlib.Path) -> None:
    """Ends what runs on the workers of a machine; their files stay."""
    for pid in machine.glob("*/*/*.pid"):
        with contextlib.suppress(ValueError, ProcessLookupError, FileNotFoundError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)
    time.sleep(0.05)


def remove_machine(machine: pathlib.Path) -> None:
    """Ends a machine with all that is on it."""
    kill_workers(machine)
    shutil.rmtree(machine, ignore_errors=True)


def wait_until(condition: Callable[[], object]) -> None:
    """Waits for what is certain to come."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError
