"""Trains on TPU slices and evaluates beside them; deletes what it made when it ends.

A spot v5e slice with the evaluator on a plain VM, at first only printed:

  python -m tpu_scripts.launch --dry_run --name=qlae-shapes3d --topology=v5e:4x4 \\
    --provisioning=spot --project=PROJECT --zone=us-west4-a --evaluator=vm \\
    --config=experiments/configs/qlae.py:shapes3d --workdir=gs://BUCKET/runs/qlae-shapes3d

A run that is lost and made again goes on from its last checkpoint. Ctrl-C deletes the machines; a
launcher that dies, sleeps or loses its network leaves them, and the same command with --attach goes
on with them. Nobody comes? They delete themselves (--linger_seconds, --run_seconds). --list and
--delete show and delete what is left. --engine=xpk --cluster=NAME submits the same run to GKE.
FIRST_LAUNCH.md beside this file is the guide. Exit codes: 0 done, 1 failed, 2 a mistake, 75 try
again (network or storage), 130 or 143 stopped.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.errors import UserError
from tpu_scripts.experiment import check_batch, load_config
from tpu_scripts.flags import at_least_one, parse_overrides
from tpu_scripts.launch import checks, flags, preflight, resources
from tpu_scripts.launch.job import Job, make_evaluate_job, make_train_job
from tpu_scripts.launch.machines import Place
from tpu_scripts.launch.plan import Plan
from tpu_scripts.launch.queued_resource import QueuedResource
from tpu_scripts.launch.supervise import Launch, format_launch, run_launch
from tpu_scripts.launch.virtual_machine import VirtualMachine, make_evaluator
from tpu_scripts.launch.xpk import Cluster, XpkPlan, make_xpk_plan
from tpu_scripts.topologies import Topology, get_topology

ENGINES = ("queued_resources", "xpk")
_XPK_ONLY = ("cluster", "cluster_location", "docker_image", "base_docker_image")


def make_parser() -> Parser:
    """The launcher's flags."""
    parser = Parser("tpu_scripts.launch", __doc__)
    flags.add_shared_flags(parser)
    add = parser.add_argument
    add("--config", required=True, help="experiments/configs/FILE.py:DATASET; --config.KEY=VALUE")
    add("--workdir", required=True, help="gs://BUCKET/PATH of the run")
    add("--topology", required=True, help="v5e:16x16, or its accelerator type v5litepod-256")
    add("--slices", type=at_least_one, default=1, help="slices of that topology, trained as one")
    add("--runtime_version", help="TPU software; default: the generation's usual one")
    add("--create_flag", action="append", default=[], help="of gcloud ... queued-resources create")
    add("--evaluator", default="none", help="none, vm, vm:MACHINE_TYPE, or a topology: v5e:1x1")
    add("--evaluator_timeout", type=flags.positive, default=3600.0, help="seconds after training")
    add("--engine", choices=ENGINES, default="queued_resources")
    add("--cluster", help="xpk: a cluster made by xpk cluster create")
    add("--cluster_location", help="xpk: region or zone of the cluster; default: the region")
    add("--docker_image", help="xpk: an image that holds code and environment")
    add("--base_docker_image", help="xpk: an image with Python, laid under the source")
    return parser


def make_launch(arguments: Sequence[str], root: pathlib.Path) -> tuple[argparse.Namespace, Launch]:
    """Checks everything that can be checked here, and lays out the launch.

    Raises:
        UserError: any mistake; nothing was made.
    """
    options, overrides = parse_overrides(make_parser(), arguments)
    topology = get_topology(options.topology)
    place, patience = flags.make_place(options), flags.make_patience(options)
    for name in (options.name, f"{options.name}-eval"):
        checks.check_name(name)
    checks.check_workdir(options.workdir, topology.hosts * options.slices, options.keep)
    if options.evaluator != "none":
        checks.check_remote_workdir(options.workdir)
    config = load_config(root, options.config, overrides)
    check_batch(config, topology, options.slices)
    if not options.docker_image:  # An image may hold its data.
        checks.check_data(config)
    _check_engine(options)
    pack, archive, commit = flags.make_pack(options, root)
    checks.check_shipped(root, commit, options.config.partition(":")[0])
    job = make_train_job(options.config, options.workdir, overrides, patience)
    train: Plan | XpkPlan
    if options.engine == "xpk":
        train = _make_xpk(options, options.name, topology, options.slices, job, archive)
    else:
        slices = QueuedResource(
            options.name,
            place,
            topology,
            options.slices,
            options.provisioning,
            options.runtime_version,
            tuple(options.create_flag),
            patience,
        )
        train = Plan(slices, job, archive)
    evaluator = _make_evaluator(options, place, archive)
    return options, Launch(pack, archive, train, evaluator, options.keep, options.attach)


def _check_engine(options: argparse.Namespace) -> None:
    if options.engine == "queued_resources":
        if unused := [flag for flag in _XPK_ONLY if getattr(options, flag)]:
            raise UserError(f"--{unused[0]} is for --engine=xpk only")
        return
    if not options.cluster:
        raise UserError("--engine=xpk needs --cluster=NAME, made by xpk cluster create")
    checks.check_name(options.cluster, "--cluster")
    if options.docker_image and options.base_docker_image:
        raise UserError("give --docker_image or --base_docker_image, not both")
    if options.create_flag:
        raise UserError("--create_flag is for --engine=queued_resources only")
    if options.provisioning != "on-demand":
        raise UserError(
            f"--provisioning={options.provisioning} is the cluster's matter with --engine=xpk: "
            "pass it to xpk cluster create"
        )


def _make_xpk(
    options: argparse.Namespace, name: str, topology: Topology, slices: int, job: Job, archive: str
) -> XpkPlan:
    cluster = Cluster(
        options.cluster,
        options.project,
        options.zone,
        options.cluster_location or options.zone.rpartition("-")[0],
        options.docker_image,
        options.base_docker_image or Cluster.base_docker_image,
    )
    patience = flags.make_patience(options)
    return make_xpk_plan(cluster, name, topology, slices, job, archive, patience)


def _make_evaluator(
    options: argparse.Namespace, place: Place, archive: str
) -> Plan | XpkPlan | None:
    if options.evaluator == "none":
        return None
    name, patience = f"{options.name}-eval", flags.make_patience(options)
    machine = make_evaluator(options.evaluator, name, place, options.provisioning, patience)
    on_cpu = isinstance(machine, VirtualMachine)
    job = make_evaluate_job((options.workdir,), "cpu" if on_cpu else "tpu,cpu", patience)
    if options.engine == "xpk" and isinstance(machine, QueuedResource):
        return _make_xpk(options, name, machine.topology, 1, job, archive)
    return Plan(machine, job, archive)


def launch(arguments: Sequence[str]) -> int:
    """Lays out a launch, and prints or runs it; returns the exit code."""
    if {"--list", "--delete"} & set(arguments):
        return resources.main(arguments)
    options, made = make_launch(arguments, pathlib.Path.cwd())
    if options.dry_run:
        print(format_launch(made))
        return Exit.DONE
    plans = (made.train, made.evaluator)
    if any(isinstance(plan, Plan) for plan in plans):
        place = flags.make_place(options)
        preflight.check_gcloud(place)
        preflight.check_login(place)
    if any(isinstance(plan, XpkPlan) for plan in plans):
        preflight.check_tools("xpk", "gcloud", "kubectl", "gke-gcloud-auth-plugin")
    return run_launch(made, flags.make_patience(options), options.evaluator_timeout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(launch, sys.argv[1:] if arguments is None else arguments)
