"""What can be seen to be wrong on this computer before anything is made: its tools, its ssh key."""

import getpass
import json
import pathlib
import shutil
import subprocess

from qlae.common.errors import UserError
from tpu_scripts.launch.machines import Place

_OLDEST_GCLOUD = 500  # Tried with 528; before about 500, queued resources were not generally there.
_KEY = pathlib.Path("~/.ssh/google_compute_engine")


def check_tools(*names: str) -> None:
    """Raises `UserError` for a program that is not installed here."""
    for name in names:
        if shutil.which(name) is None:
            raise UserError(f"{name} is not on PATH: install it first")


def check_gcloud(place: Place) -> None:
    """Raises `UserError` for a gcloud that is too old, or lacks the part that a tunnel needs."""
    check_tools("gcloud", "ssh", "scp", "ssh-keygen")
    versions = json.loads(_run("gcloud", "version", "--format=json").stdout or "{}")
    version = versions.get("Google Cloud SDK", "0")
    if int(version.split(".")[0]) < _OLDEST_GCLOUD:
        raise UserError(
            f"gcloud {version} is too old: {_OLDEST_GCLOUD} or newer is needed; "
            "run `gcloud components update`"
        )
    if place.ssh_road == "iap" and "alpha" not in versions:
        raise UserError(
            "--ssh_road=iap needs gcloud's alpha: run `gcloud components install alpha`"
        )


def check_login(place: Place) -> None:
    """Raises `UserError` for a user or an ssh key with which no worker can be reached."""
    if not place.ssh_user and getpass.getuser() == "root":
        raise UserError("the machines let no root log in: pass --ssh_user=NAME")
    key = _KEY.expanduser()
    if not key.exists():
        return  # gcloud makes one, without a passphrase where nobody can type it.
    if _run("ssh-keygen", "-y", "-P", "", "-f", str(key)).returncode == 0:
        return
    fingerprint = _run("ssh-keygen", "-lf", str(key)).stdout.split()
    held = _run("ssh-add", "-l").stdout if shutil.which("ssh-add") else ""
    if len(fingerprint) < 2 or fingerprint[1] not in held:
        raise UserError(f"{_KEY} has a passphrase, and no agent holds it: run `ssh-add {_KEY}`")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
