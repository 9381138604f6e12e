"""What a worker does for a CPython that fits: its own, or one that uv installs."""

import hashlib
import os
import pathlib
import subprocess
import sys

import pytest

from tpu_scripts.launch.job import Job

pytestmark = pytest.mark.process
# Ubuntu 22.04's 3.11 by number and level; the program that it is asked to run is run.
CANDIDATE = f"""exec {sys.executable} -c '
import collections, sys
Version = collections.namedtuple("Version", "major minor micro releaselevel serial")
sys.version_info = Version(3, 11, 0, "candidate", 1)
exec(sys.argv[2])' "$@"
"""
OLD = """case "$2" in
  pip) case "$*" in
    *--target*) mkdir -p .uv/bin && cp "$STUBS/uv" .uv/bin/uv ;;
  esac ;;
  *) exit 1 ;;
esac
"""
RELEASED = """case "$1 $2" in
  "-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-V ") echo Python 3.11.18 ;;
esac
"""
UV = """case "$2" in
  install) {install} ;;
  find) echo "$STUBS/released" ;;
esac
"""


@pytest.fixture
def install(project, tmp_path):
    """Runs the install step in a home of its own, where uv does `uv_install`."""
    subprocess.run(["git", "archive", "-o", tmp_path / "qlae.tar.gz", "HEAD"], check=True)

    def install(uv_install: str) -> subprocess.CompletedProcess[str]:
        stubs = {
            "python3.11": CANDIDATE,
            "python3": OLD,
            "released": RELEASED,
            "uv": UV.format(install=uv_install),
            "apt-cache": "echo '  Candidate: 3.10.6-1~22.04'",
            **dict.fromkeys(("python3.12", "python3.13"), "exit 127"),
            **dict.fromkeys(("sudo", "apt-get"), ":"),
        }
        folder = tmp_path / "stubs"
        folder.mkdir()
        for name, text in stubs.items():
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "HOME": str(tmp_path), "STUBS": str(folder), "PATH": path}
        command = ["bash", "-c", Job("train", ()).install]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return install


def test_a_pre_release_is_passed_over(install, tmp_path):
    """The image's 3.11.0rc1 is not taken; the installation names the archive's sum."""
    done = install("true")
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256((tmp_path / "qlae.tar.gz").read_bytes()).hexdigest()
    assert done.stdout == f"[launch] installed {digest} with Python 3.11.18\n"
    released = pathlib.Path(tmp_path / "stubs/released").read_text()
    assert (tmp_path / "qlae/.venv/bin/python").read_text() == released


def test_no_cpython_says_why(install, tmp_path):
    done = install(
        "echo 'error: Failed to install cpython' >&2; echo '  cause: dns error' >&2; false"
    )
    assert done.returncode != 0
    assert done.stdout == ""
    expected = (
        "error: no CPython 3.11.18 from github.com: Failed to install cpython cause: dns error"
    )
    assert done.stderr.splitlines()[-1] == expected
    assert not (tmp_path / "qlae/.installed").exists()
