"""The flags that the launcher and the lone evaluator share, and what they make of them."""

import argparse
import dataclasses
import os
import pathlib
import tempfile

from qlae.common.command_line import Parser
from tpu_scripts.flags import at_least_one
from tpu_scripts.launch import checks
from tpu_scripts.launch.machines import PROVISIONING, SSH_ROADS, Place
from tpu_scripts.launch.patience import Patience
from tpu_scripts.launch.shell import Command

# Flag, field of `Patience`, help.
_WAITS = (
    ("--poll_seconds", "poll", "between two looks at a state"),
    ("--provision_timeout", "provision", "for a machine to become active"),
    ("--worker_timeout", "workers", "for every worker to answer, and to answer again"),
    ("--command_timeout", "command", "for any one step, such as installing"),
    ("--request_timeout", "request", "for one answer of a service or a worker"),
    ("--silence_timeout", "silence", "without a line, after which a job is started again"),
    ("--outage_timeout", "outage", "without network here, after which the machines are left"),
    ("--backoff_seconds", "first_backoff", "before the first retry; doubles each time"),
    ("--max_backoff_seconds", "longest_backoff", "the longest wait before a retry"),
    ("--setup_seconds", "setup", "without a job, after which a machine deletes itself"),
    ("--run_seconds", "longest_run", "of a job, after which its machine deletes itself"),
    ("--linger_seconds", "linger", "after a job, after which its machine deletes itself"),
)


def positive(text: str) -> float:
    """A number above zero, for argparse."""
    if (value := float(text)) > 0:
        return value
    raise ValueError


def add_place_flags(parser: Parser) -> None:
    """Adds what says where machines live."""
    add, environment = parser.add_argument, os.environ
    add("--project", default=environment.get("CLOUDSDK_CORE_PROJECT"))
    add("--zone", default=environment.get("CLOUDSDK_COMPUTE_ZONE"))


def add_shared_flags(parser: Parser) -> None:
    """Adds what any launch needs: a name, a place, a run directory, a source, and patience."""
    add = parser.add_argument
    add("--name", required=True, help="name of the machine; the evaluator's gets -eval")
    add_place_flags(parser)
    add("--provisioning", choices=PROVISIONING, default="on-demand")
    add("--service_account", help="who the machines act as; default: the project's default account")
    add("--network", help="of the machines; default: the project's default network")
    add("--subnetwork")
    add("--internal_ips", action="store_true", help="machines without external addresses")
    add("--ssh_user", help="login on the machines; default: gcloud's")
    add("--ssh_road", choices=SSH_ROADS, default="external", help="how they are reached")
    add("--ssh_flag", action="append", default=[], help="of ssh(1) and scp(1): --ssh_flag=-oX=Y")
    add("--commit", default="HEAD", help="what is shipped to the workers")
    add("--allow_dirty", action="store_true", help="ship the commit without uncommitted changes")
    add("--keep", action="store_true", help="do not delete the machines at the end")
    add("--attach", action="store_true", help="go on with machines that an earlier launch made")
    add("--dry_run", action="store_true", help="print every command, run none")
    for name, field, text in _WAITS:
        default = getattr(Patience, field)
        add(name, type=positive, default=default, help=f"seconds {text} (default: {default:g})")
    retries = Patience.retries
    add("--max_retries", type=at_least_one, default=retries, help=f"in all (default: {retries})")


def make_patience(options: argparse.Namespace) -> Patience:
    """Reads the waits; a machine that is kept does not end after its job."""
    waits = {field: getattr(options, name.removeprefix("--")) for name, field, _ in _WAITS}
    patience = Patience(**waits, retries=options.max_retries)
    return dataclasses.replace(patience, linger=patience.longest_run) if options.keep else patience


def make_place(options: argparse.Namespace) -> Place:
    """Reads where machines live. Raises `UserError` where something is missing or malformed."""
    checks.check_place(options.project, options.zone)
    return Place(
        project=options.project,
        zone=options.zone,
        service_account=options.service_account,
        network=options.network,
        subnetwork=options.subnetwork,
        internal_ips=options.internal_ips,
        ssh_user=options.ssh_user,
        ssh_road=options.ssh_road,
        ssh_options=tuple(options.ssh_flag),
    )


def make_pack(options: argparse.Namespace, root: pathlib.Path) -> tuple[Command, str, str]:
    """Returns the command that packs the source, the archive it makes, and the commit in it."""
    commit = checks.resolve_commit(root, options.commit, options.allow_dirty)
    archive = f"{tempfile.gettempdir()}/{options.name}-{commit[:12]}.tar.gz"
    output = ("--format=tar.gz", f"--output={archive}")
    return ("git", "-C", str(root), "archive", *output, commit), archive, commit
