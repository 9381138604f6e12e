"""Trains on TPU slices and evaluates beside them; deletes what it made when it ends.

A spot v5e slice with the evaluator on a plain VM, at first only printed:

  python -m tpu_scripts.launch --dry_run --name=qlae-shapes3d --topology=v5e:4x4 \\
    --provisioning=spot --project=PROJECT --zone=us-west4-a --evaluator=vm \\
    --config=experiments/configs/qlae.py:shapes3d --workdir=gs://BUCKET/runs/qlae-shapes3d

--engine=xpk --cluster=NAME submits the same run to GKE. A run that is lost and made again goes on
from its last checkpoint. Keep the launcher alive (tmux, or a small VM): when it is interrupted, it
deletes the machines. Exit status: 0 done, 1 failed, 2 a mistake, 130 or 143 interrupted.
"""

import argparse
import pathlib
from collections.abc import Sequence

from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.errors import UserError
from tpu_scripts.experiment import check_batch, load_config
from tpu_scripts.flags import at_least_one, parse_overrides
from tpu_scripts.launch import checks, flags
from tpu_scripts.launch.job import Job, make_evaluate_job, make_train_job
from tpu_scripts.launch.machines import Place, QueuedResource, VirtualMachine, make_evaluator
from tpu_scripts.launch.plan import Plan, make_plan
from tpu_scripts.launch.supervise import Launch, format_launch, run_launch
from tpu_scripts.launch.xpk import Cluster, XpkPlan, make_xpk_plan
from tpu_scripts.topologies import Topology, get_topology

ENGINES = ("queued_resources", "xpk")


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
    add("--evaluator", default="none", help="none, vm, vm:MACHINE_TYPE, or a topology: v5e:1x1")
    add(
        "--evaluator_timeout", type=flags.positive, default=3600.0, help="after the end of training"
    )
    add("--engine", choices=ENGINES, default="queued_resources")
    add("--cluster", help="xpk: a cluster made by xpk cluster create")
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
    place = flags.make_place(options)
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
    job = make_train_job(options.config, options.workdir, overrides)
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
        )
        train = make_plan(slices, job, archive)
    evaluator = _make_evaluator(options, place, archive)
    return options, Launch(pack, archive, train, evaluator, options.keep)


def _check_engine(options: argparse.Namespace) -> None:
    given = {
        flag: getattr(options, flag) for flag in ("cluster", "docker_image", "base_docker_image")
    }
    if options.engine == "xpk":
        if not options.cluster:
            raise UserError("--engine=xpk needs --cluster=NAME, made by xpk cluster create")
        checks.check_name(options.cluster, "--cluster")
        if options.docker_image and options.base_docker_image:
            raise UserError("give --docker_image or --base_docker_image, not both")
        if options.provisioning != "on-demand":
            raise UserError(
                f"--provisioning={options.provisioning} is the cluster's matter with --engine=xpk: "
                "pass it to xpk cluster create"
            )
    elif unused := [flag for flag, value in given.items() if value]:
        raise UserError(f"--{unused[0]} is for --engine=xpk only")


def _make_xpk(
    options: argparse.Namespace, name: str, topology: Topology, slices: int, job: Job, archive: str
) -> XpkPlan:
    cluster = Cluster(options.cluster, options.project, options.zone, options.docker_image)
    if options.base_docker_image:
        images = (options.docker_image, options.base_docker_image)
        cluster = Cluster(options.cluster, options.project, options.zone, *images)
    patience = flags.make_patience(options)
    return make_xpk_plan(cluster, name, topology, slices, job, archive, patience)


def _make_evaluator(
    options: argparse.Namespace, place: Place, archive: str
) -> Plan | XpkPlan | None:
    if options.evaluator == "none":
        return None
    name = f"{options.name}-eval"
    machine = make_evaluator(options.evaluator, name, place, options.provisioning)
    on_cpu = isinstance(machine, VirtualMachine)
    job = make_evaluate_job((options.workdir,), "cpu" if on_cpu else "tpu,cpu")
    if options.engine == "xpk" and isinstance(machine, QueuedResource):
        return _make_xpk(options, name, machine.topology, 1, job, archive)
    return make_plan(machine, job, archive)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""

    def launch(given: Sequence[str]) -> int:
        options, made = make_launch(given, pathlib.Path.cwd())
        if options.dry_run:
            print(format_launch(made))
            return Exit.DONE
        plans = (made.train, made.evaluator)
        needs_gcloud = any(isinstance(plan, Plan) for plan in plans)
        needs_xpk = any(isinstance(plan, XpkPlan) for plan in plans)
        checks.check_tools(*(["gcloud"] * needs_gcloud), *(["xpk", "kubectl"] * needs_xpk))
        return run_launch(made, flags.make_patience(options), options.evaluator_timeout)

    return run_command(launch, arguments)
