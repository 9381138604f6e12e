"""Starting the project's own entry points as a user would, in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = "tests/configs/tiny.py"


def start(
    module: str, *arguments: str, devices: int = 1, prefix: Sequence[str] = ()
) -> subprocess.Popen:
    """Starts `python -m module arguments` in the project's root, on simulated devices.

    `prefix` is a command that runs it, such as a shell that first sets limits.
    """
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen, timeout: float = 240) -> tuple[int, str, str]:
    """Waits for a process; returns its exit code, output and errors."""
    output, errors = process.communicate(timeout=timeout)
    return process.returncode, output, errors


def run(module: str, *arguments: str, **options) -> tuple[int, str, str]:
    """Runs a module to its end."""
    return finish(start(module, *arguments, **options))


def train(workdir: Path, *overrides: str, config: str = TINY, **options) -> tuple[int, str, str]:
    """Trains the tiny config."""
    return run(
        "experiments.train", f"--config={config}", f"--workdir={workdir}", *overrides, **options
    )
