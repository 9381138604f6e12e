"""The flags that the launcher and the lone evaluator share, and what they make of them."""

import argparse
import os
import pathlib
import tempfile

from qlae.common.command_line import Parser
from tpu_scripts.flags import at_least_one
from tpu_scripts.launch import checks
from tpu_scripts.launch.lifecycle import Patience
from tpu_scripts.launch.machines import PROVISIONING, Place
from tpu_scripts.launch.shell import Command


def positive(text: str) -> float:
    """A number above zero, for argparse."""
    if (value := float(text)) > 0:
        return value
    raise ValueError


def add_shared_flags(parser: Parser) -> None:
    """Adds what any launch needs: a name, a place, a run directory, a source, and patience."""
    add = parser.add_argument
    environment = os.environ
    add("--name", required=True, help="name of the machine; the evaluator's gets -eval")
    add("--project", default=environment.get("CLOUDSDK_CORE_PROJECT"))
    add("--zone", default=environment.get("CLOUDSDK_COMPUTE_ZONE"))
    add("--provisioning", choices=PROVISIONING, default="on-demand")
    add("--service_account", help="who the machines act as; default: the project's default account")
    add(
        *("--ssh_flag",),
        action="append",
        default=[],
        help="passed to every gcloud ssh and scp, such as --ssh_flag=--tunnel-through-iap",
    )
    add("--commit", default="HEAD", help="what is shipped to the workers")
    add("--allow_dirty", action="store_true", help="ship the commit without uncommitted changes")
    add("--keep", action="store_true", help="do not delete the machines at the end")
    add("--dry_run", action="store_true", help="print every command, run none")
    default = Patience()
    seconds = (
        ("--poll_seconds", default.poll, "between two looks at a state"),
        ("--provision_timeout", default.provision, "seconds for a machine to become active"),
        ("--worker_timeout", default.workers, "seconds for every worker to answer, and to start"),
        ("--command_timeout", default.command, "seconds for any one command, such as installing"),
        ("--backoff_seconds", default.first_backoff, "before the first retry; doubles each time"),
        ("--max_backoff_seconds", default.longest_backoff, "the longest wait before a retry"),
    )
    for name, value, text in seconds:
        add(name, type=positive, default=value, help=f"{text} (default: %(default)s)")
    add(
        "--max_retries",
        type=at_least_one,
        default=default.retries,
        help="machines made again at most",
    )


def make_patience(options: argparse.Namespace) -> Patience:
    """Reads the waits."""
    return Patience(
        poll=options.poll_seconds,
        provision=options.provision_timeout,
        workers=options.worker_timeout,
        command=options.command_timeout,
        first_backoff=options.backoff_seconds,
        longest_backoff=options.max_backoff_seconds,
        retries=options.max_retries,
    )


def make_place(options: argparse.Namespace) -> Place:
    """Reads project and zone. Raises `UserError` where one is missing or malformed."""
    checks.check_place(options.project, options.zone)
    flags = tuple(options.ssh_flag)
    return Place(options.project, options.zone, options.service_account, flags)


def make_pack(options: argparse.Namespace, root: pathlib.Path) -> tuple[Command, str, str]:
    """Returns the command that packs the source, the archive it makes, and the commit in it."""
    commit = checks.resolve_commit(root, options.commit, options.allow_dirty)
    archive = f"{tempfile.gettempdir()}/{options.name}-{commit[:12]}.tar.gz"
    output = ("--format=tar.gz", f"--output={archive}")
    return ("git", "-C", str(root), "archive", *output, commit), archive, commit
