"""Runs what was sent to a worker, in its home directory; both gclouds end up here."""

import os
import pathlib
import subprocess


def run(home: pathlib.Path, name: str, worker: str, script: str) -> int:
    """Runs a script as worker `SLICE/WORKER` of the machine `name`; returns its exit code.

    As sshd does, it ends the script's own group when the connection ends.
    """
    environment = {**os.environ, "HOME": str(home), "FAKE_WORKER": f"{name}:{worker}"}
    script = script.replace("/var/tmp/qlae", str(home))
    return subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment, check=False, stdin=subprocess.DEVNULL
    ).returncode
