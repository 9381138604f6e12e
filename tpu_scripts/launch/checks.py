"""What can be wrong before anything is made: names, places, paths, data, commits."""

import pathlib
import re
import subprocess

from ml_collections import ConfigDict

from qlae.common.errors import UserError

_LONGEST_NAME = 40  # XPK's limit; a slice or pod of that name gets a suffix.


def check_name(name: str, flag: str = "--name") -> None:
    """Raises `UserError` unless `name` is one that Google Cloud and Kubernetes both take."""
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) or len(name) > _LONGEST_NAME:
        raise UserError(
            f"{flag}={name!r} is not a valid name: use at most {_LONGEST_NAME} lower-case letters, "
            "digits and dashes, beginning with a letter and not ending with a dash"
        )


def check_place(project: str | None, zone: str | None) -> None:
    """Raises `UserError` for a missing or malformed project or zone."""
    if not project:
        raise UserError("no project: pass --project=ID or set CLOUDSDK_CORE_PROJECT")
    if not zone:
        raise UserError("no zone: pass --zone=us-west4-a or set CLOUDSDK_COMPUTE_ZONE")
    if not re.fullmatch(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]", project):
        raise UserError(f"--project={project!r} is not a project id: give the id, not the title")
    if not re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z]", zone):
        raise UserError(f"--zone={zone!r} is not a zone: expected one such as us-west4-a")


def check_workdir(workdir: str, hosts: int, keep: bool) -> None:
    """Raises `UserError` for a run directory that is not shared by all hosts, or dies with them."""
    if re.fullmatch(r"gs://[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9](/.*)?", workdir):
        return
    if workdir.startswith("gs:"):
        raise UserError(f"--workdir={workdir!r} is not a path such as gs://bucket/runs/name")
    if hosts > 1:
        raise UserError(
            f"--workdir={workdir!r} is a local path, but {hosts} hosts must share it: "
            "use gs://bucket/path"
        )
    if not keep:
        raise UserError(
            f"--workdir={workdir!r} is a local path of a machine that is deleted at the end: "
            "use gs://bucket/path, or pass --keep"
        )


def check_remote_workdir(workdir: str) -> None:
    """Raises `UserError` for a run directory that an evaluator elsewhere could not read."""
    if not workdir.startswith("gs://"):
        raise UserError(
            f"--workdir={workdir!r} is a local path, which an evaluator on its own machine cannot "
            "read: use gs://bucket/path"
        )
    check_workdir(workdir, hosts=1, keep=False)


def check_data(config: ConfigDict) -> None:
    """Raises `UserError` for a dataset on a local disk, which a machine made for the run lacks."""
    name, data_dir = config.data.name, str(config.data.data_dir)
    if name.endswith("_rendered") or "://" in data_dir:
        return
    raise UserError(
        f"dataset {name!r} is read from {data_dir!r}, which the workers do not have: prepare it, "
        "copy it to a bucket, and pass --config.data.data_dir=gs://BUCKET/PATH"
    )


def resolve_commit(root: pathlib.Path, commit: str, allow_dirty: bool) -> str:
    """Returns the full id of the commit to ship.

    Raises:
      UserError: not a git checkout, no such commit, or changes that would be left behind.
    """
    found = _git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if found.returncode != 0:
        raise UserError(f"--commit={commit!r} is not a commit of {root}: give a commit or a branch")
    dirty = _git(root, "status", "--porcelain").stdout.splitlines()
    if dirty and not allow_dirty:
        raise UserError(
            f"{len(dirty)} uncommitted changes (such as {dirty[0][3:]}) would not reach the "
            f"workers: commit them, or pass --allow_dirty to run {commit} without them"
        )
    return found.stdout.strip()


def check_shipped(root: pathlib.Path, commit: str, path: str) -> None:
    """Raises `UserError` for a file that the commit does not hold."""
    if _git(root, "cat-file", "-e", f"{commit}:{path}").returncode != 0:
        raise UserError(f"{path} is not in commit {commit[:12]}: commit it first")


def _git(root: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ("git", "-C", str(root), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)
