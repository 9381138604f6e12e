"""A launcher that is stopped, or whose terminal goes away: what it deletes, and what it leaves."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.process


def _hear_signals() -> None:
    """Undoes what a test run in the background hands on: that these are ignored."""
    for kind in (signal.SIGHUP, signal.SIGINT):
        signal.signal(kind, signal.SIG_DFL)


@pytest.fixture
def start(cloud, project, flags):
    """Starts a launcher of a long training; returns it once training runs."""
    cloud.play(train=[[60, 0]])
    root = pathlib.Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-m", "tpu_scripts.launch", *flags],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_signals,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "experiments.train start" in line:
            break
    yield process
    process.kill()


def test_a_lost_terminal_leaves_the_machine_for_attach(cloud, start, run):
    """The launcher ends; --attach goes on with the machine, and starts what has died meanwhile."""
    start.send_signal(signal.SIGHUP)
    out = start.stdout.read()
    assert start.wait(timeout=60) == 143
    assert "run is left as it is, and it deletes itself 1 h after its job" in out
    assert cloud.machines == ["run"]
    for pid in cloud.root.glob("machines/run/0-0/qlae/train.pid"):
        os.killpg(int(pid.read_text()), signal.SIGTERM)
    cloud.play(train=[[0.1, 0]])
    status, out, _ = run("--attach")
    assert status == 0
    assert "start 2 on run:0/0" in out
    assert cloud.verbs("create") == ["create"]
    assert cloud.machines == []


@pytest.mark.parametrize(("kind", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_deletes(cloud, start, kind, status):
    start.send_signal(kind)
    time.sleep(0.05)
    start.send_signal(kind)  # Impatience does not leave the machine behind.
    out = start.stdout.read()
    assert start.wait(timeout=60) == status
    assert "deleting run" in out
    assert cloud.machines == []


def test_interrupt_deletes_though_nobody_reads(cloud, start):
    start.stdout.close()
    start.send_signal(signal.SIGINT)
    start.wait(timeout=60)
    assert cloud.machines == []
