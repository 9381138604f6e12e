"""Running the project's own entry points as a user would: here, or in processes of their own."""

import contextlib
import importlib
import io
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import jax
from tensorboardX.proto import event_pb2

from qlae.common.command_line import run_command

ROOT = Path(__file__).parents[1]
TINY = "tests/configs/tiny.py"


def start(
    module: str,
    *arguments: str,
    devices: int = 1,
    prefix: Sequence[str] = (),
    root: Path = ROOT,
) -> subprocess.Popen:
    """Starts `python -m module arguments` in the project's root, on simulated devices.

    `prefix` is a command that runs it, such as a shell that first sets limits; `root` may be a copy
    of the project.
    """
    flags = re.sub(r"device_count=\d+", f"device_count={devices}", os.environ["XLA_FLAGS"])
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", module, *arguments],
        cwd=root,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen, timeout: float = 240) -> tuple[int, str, str]:
    """Waits for a process; returns its exit code, output and errors."""
    output, errors = process.communicate(timeout=timeout)
    return process.returncode, output, errors


def run_process(module: str, *arguments: str, **options) -> tuple[int, str, str]:
    """Runs a module to its end in a process of its own, with the options of `start`."""
    return finish(start(module, *arguments, **options))


def run(module: str, *arguments: str, devices: int = 1) -> tuple[int, str, str]:
    """Runs a module's `main` here, which is quicker; returns exit code, output and errors.

    Its bits are not those of a process that sees one device: threads share the work otherwise.
    """
    main = importlib.import_module(module).main
    output, errors = io.StringIO(), io.StringIO()
    with (
        see_devices(devices),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        code = run_command(main, arguments)
    return int(code), output.getvalue(), errors.getvalue()


@contextlib.contextmanager
def see_devices(count: int) -> Iterator[None]:
    """Lets JAX show so many of the simulated devices alone."""
    devices = jax.devices()[:count]
    with (
        mock.patch("jax.devices", return_value=devices),
        mock.patch("jax.local_devices", return_value=devices),
        mock.patch("jax.device_count", return_value=count),
    ):
        yield


def train(workdir: Path, *overrides: str, config: str = TINY, **options) -> tuple[int, str, str]:
    """Trains the tiny config here."""
    return run(
        "experiments.train", f"--config={config}", f"--workdir={workdir}", *overrides, **options
    )


def train_process(workdir: Path, *overrides: str, **options) -> tuple[int, str, str]:
    """Trains the tiny config in a process of its own, with the options of `start`."""
    return run_process(
        "experiments.train", f"--config={TINY}", f"--workdir={workdir}", *overrides, **options
    )


def read_events(path: Path):
    """Yields the values and steps of a TensorBoard file, whose records are length-prefixed."""
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = event_pb2.Event.FromString(data[12 : 12 + length])
        yield from ((value, event.step) for value in event.summary.value)
        data = data[16 + length :]


def load_scalars(workdir: Path, name: str) -> list[tuple[int, float]]:
    """Returns what every start of a run logged under a name in training, by step."""
    return sorted(
        (step, value.simple_value)
        for path in (workdir / "logs/train").glob("events*")
        for value, step in read_events(path)
        if value.tag == name
    )
