"""Shows, or deletes, every machine in a zone that a launch has made.

  python -m tpu_scripts.launch --list --project=PROJECT --zone=ZONE
  python -m tpu_scripts.launch --delete --project=PROJECT --zone=ZONE [--name=NAME] [--dry_run]

They carry the label made-by=qlae-launch. --name takes one launch, its evaluator included. Workloads
on GKE are xpk's matter: xpk workload list.
"""

import dataclasses
import json
from collections.abc import Sequence

from qlae.common.command_line import Exit, Parser
from qlae.common.errors import RunFailed
from tpu_scripts.launch import checks, flags
from tpu_scripts.launch.faults import Fault, classify, make_final_error
from tpu_scripts.launch.machines import LABEL, Place
from tpu_scripts.launch.preflight import check_tools
from tpu_scripts.launch.shell import Command, Shell, Stop, quote


@dataclasses.dataclass(frozen=True)
class Resource:
    """A machine as its service lists it."""

    name: str
    kind: str
    state: str
    delete: Command


def main(arguments: Sequence[str]) -> int:
    """Entry point of --list and --delete."""
    parser = Parser("tpu_scripts.launch", __doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="show them")
    what.add_argument("--delete", action="store_true", help="delete them")
    flags.add_place_flags(parser)
    parser.add_argument("--name", help="only this launch, and its evaluator")
    parser.add_argument("--dry_run", action="store_true", help="print the deletions, run none")
    options = parser.parse_args(arguments)
    checks.check_place(options.project, options.zone)
    check_tools("gcloud")
    shell = Shell(Stop())
    names = {options.name, f"{options.name}-eval"}
    found = [
        resource
        for resource in find_resources(Place(options.project, options.zone), shell)
        if options.name is None or resource.name in names
    ]
    if not found:
        print(f"nothing of a launch is left in {options.zone}")
    for resource in found:
        print(f"{resource.name}  {resource.kind}  {resource.state}", flush=True)
        if options.delete and options.dry_run:
            print(f"  {quote(resource.delete)}")
    if options.delete and not options.dry_run:
        _delete(found, shell)
    return Exit.DONE


def find_resources(place: Place, shell: Shell) -> list[Resource]:
    """Lists the queued resources and VMs of a place that carry the project's label.

    Raises:
        UserError, RunFailed, StorageError: they could not be listed.
    """
    key, value = LABEL.split("=")
    requests = ("gcloud", "compute", "tpus", "queued-resources")
    instances = ("gcloud", "compute", "instances")
    found = []
    for one in _list((*requests, "list", *place.flags, "--format=json"), shell):
        nodes = [spec.get("node", {}) for spec in one.get("tpu", {}).get("nodeSpec", [])]
        if any(node.get("labels", {}).get(key) == value for node in nodes):
            name = one["name"].rpartition("/")[2]
            delete = (*requests, "delete", name, *place.flags, "--force")
            state = one.get("state", {}).get("state", "unknown")
            found.append(Resource(name, nodes[0].get("acceleratorType", "tpu"), state, delete))
    project, zone = f"--project={place.project}", f"--zones={place.zone}"
    listing = (*instances, "list", project, zone, f"--filter=labels.{LABEL}", "--format=json")
    for one in _list((*listing, "--quiet"), shell):
        name, kind = one["name"], one.get("machineType", "vm").rpartition("/")[2]
        delete = (*instances, "delete", name, *place.flags)
        found.append(Resource(name, kind, one.get("status", "unknown"), delete))
    return found


def _list(command: Command, shell: Shell) -> list[dict]:
    result = shell.run(command)
    if not result.ok:
        raise make_final_error("cannot list what is there", result.stderr)
    return json.loads(result.stdout or "[]")


def _delete(resources: Sequence[Resource], shell: Shell) -> None:
    left = []
    for resource in resources:
        result = shell.run(resource.delete)
        if result.ok or classify(result.stderr) is Fault.ABSENT:
            print(f"deleted {resource.name}", flush=True)
        else:
            left.append(f"{resource.name} ({result.last_line})")
    if left:
        raise RunFailed(f"not deleted, and may cost money: {', '.join(left)}")
