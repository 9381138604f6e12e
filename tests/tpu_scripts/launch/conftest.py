"""A cloud played on this machine: a `gcloud` whose workers are directories, an `xpk`, a `kubectl`.

Remote commands really run, each worker in a home directory of its own, with a `python3.11` that
plays the trainer: what the launcher sends to its workers is executed, not only recorded.
"""

import contextlib
import ctypes
import glob
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from tpu_scripts.launch import command

FAKES = pathlib.Path(__file__).parent / "fakes"
QUICK = [
    *("--poll_seconds=0.1", "--backoff_seconds=0.05", "--max_backoff_seconds=0.2"),
    *("--worker_timeout=60", "--provision_timeout=600", "--max_retries=3", "--ssh_user=tester"),
]
CONFIG = """
from experiments.configs import qlae

def get_config(dataset):
    if not dataset.startswith("shapes3d"):
        raise ValueError(f"unknown dataset {dataset!r}: did you mean shapes3d?")
    config = qlae.get_config(dataset)
    config.data.data_dir = "~/data"
    return config
"""


class Cloud:
    """What is to happen in the fake cloud, and what was asked of it."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        (root / "machines").mkdir(parents=True, exist_ok=True)
        self.play()

    def play(self, **scenario) -> None:
        """Sets the scenario; see `fakes/gcloud.py` for its keys."""
        (self.root / "scenario.json").write_text(json.dumps(scenario))

    @property
    def calls(self) -> list[list[str]]:
        """Every command so far, the program's name first."""
        path = self.root / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def verbs(self, *names: str) -> list[str]:
        """The calls' verbs in order, such as create, describe, ssh, scp, delete; only `names`."""
        known = ("create", "describe", "ssh", "scp", "delete", "list", "logs")
        verbs = [next((word for word in call if word in known), "?") for call in self.calls]
        return [verb for verb in verbs if not names or verb in names]

    @property
    def machines(self) -> list[str]:
        """Machines that exist now."""
        return sorted(path.name for path in (self.root / "machines").iterdir())

    def kill_all(self) -> None:
        """Ends the trainers still playing."""
        for pid in self.root.glob("machines/*/*/*/*.pid"):
            with contextlib.suppress(ValueError, ProcessLookupError, PermissionError):
                os.killpg(int(pid.read_text()), signal.SIGKILL)


@contextlib.contextmanager
def reaping(cloud: Cloud):
    """Adopts and buries the detached trainers, which init does slowly in some containers.

    `tail --pid` takes a dead process for a running one until it is buried, and so does `kill -0`
    its whole group.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER, on Linux.
    done = threading.Event()

    def reap() -> None:
        while not done.wait(0.05):
            for path in glob.glob(f"{cloud.root}/machines/*/*/*/*.pid"):
                with contextlib.suppress(ValueError, OSError):
                    os.waitpid(-int(pathlib.Path(path).read_text()), os.WNOHANG)

    thread = threading.Thread(target=reap)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.fixture
def install_programs(tmp_path, monkeypatch):
    """Puts programs that play something first on PATH: name -> module in `fakes`."""

    def install(programs: dict[str, str]) -> pathlib.Path:
        binaries = tmp_path / "bin"
        binaries.mkdir()
        for program, source in programs.items():
            wrapper = binaries / program
            # Imported, not run as a file: so it is compiled once and not at each of many calls.
            line = f"import sys; sys.path.insert(0, {str(FAKES)!r}); import {source}"
            python = shlex.join([sys.executable, "-IS", "-c", line])
            shell = FAKES / f"{source}.sh"
            quick = shell.read_text() if shell.exists() else ""
            wrapper.write_text(f'#!/bin/sh\nexport FAKE_PROGRAM="$0"\n{quick}exec {python} "$@"\n')
            wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("FAKE_CLOUD", str(tmp_path / "cloud"))
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        return binaries

    return install


@pytest.fixture
def cloud(tmp_path, install_programs):
    """The fake cloud, its programs first on PATH."""
    fakes = {name: name for name in ("gcloud", "xpk", "kubectl")}
    fakes |= dict.fromkeys(("ssh", "scp", "ssh-keygen", "ssh-add"), "keys")
    fakes |= {"python3.11": "python311", "gke-gcloud-auth-plugin": "gcloud"}
    install_programs(fakes)
    cloud = Cloud(tmp_path / "cloud")
    with reaping(cloud):
        yield cloud
        cloud.kill_all()


@pytest.fixture(scope="session")
def committed(tmp_path_factory):
    """A committed source directory, made once, to be copied."""
    root = tmp_path_factory.mktemp("committed") / "source"
    (root / "experiments/configs").mkdir(parents=True)
    (root / "experiments/configs/tiny.py").write_text(CONFIG)
    (root / "requirements").mkdir()
    (root / ".gitignore").write_text("__pycache__/\n")
    for lock in ("cpu", "tpu"):
        (root / "requirements" / f"{lock}.lock").write_text("")
    git = ("git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.com")
    for arguments in (("init", "-q", "--template="), ("add", "-A"), ("commit", "-qm", "start")):
        subprocess.run([*git, *arguments], check=True)
    return root


@pytest.fixture
def project(committed, tmp_path, monkeypatch):
    """A committed source directory, which is also the working directory."""
    root = tmp_path / "source"
    shutil.copytree(committed, root)
    monkeypatch.chdir(root)
    for name in ("CLOUDSDK_CORE_PROJECT", "CLOUDSDK_COMPUTE_ZONE"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def flags():
    """Flags of a good launch on one worker; later ones win."""
    return [
        *("--name=run", "--topology=v5e:1x1", "--project=my-project", "--zone=us-west4-a"),
        "--config=experiments/configs/tiny.py:shapes3d_rendered",
        *("--workdir=gs://bucket/runs/run", *QUICK),
    ]


@pytest.fixture
def run(project, flags, capsys):
    """Launches with further flags: returns (exit status, output, error lines)."""

    def run(*more: str) -> tuple[int, str, str]:
        status = command.main([*flags, *more])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
