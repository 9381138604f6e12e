"""Runs what was sent to a worker, in its home directory; both gclouds end up here."""

import json
import os
import pathlib
import signal
import subprocess

CUT = 255  # ssh's own exit code.
MARK = "[launch]"


def is_dead(worker: str) -> bool:
    """Whether a worker answers nobody now."""
    scenario = json.loads((pathlib.Path(os.environ["FAKE_CLOUD"]) / "scenario.json").read_text())
    return worker in scenario.get("dead_now", [])


def run(home: pathlib.Path, name: str, worker: str, script: str) -> int:
    """Runs a script as worker `SLICE/WORKER` of the machine `name`; returns its exit code.

    The connection breaks when the worker dies meanwhile.
    """
    environment = {**os.environ, "HOME": str(home), "FAKE_WORKER": f"{name}:{worker}"}
    script = script.replace("/var/tmp/qlae", str(home))
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    signal.signal(signal.SIGTERM, lambda number, frame: _end(process))
    while True:
        try:
            return process.wait(0.1)
        except subprocess.TimeoutExpired:
            if is_dead(worker):
                _end(process)
                return CUT


def _end(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
