"""Evaluates runs from a small machine of its own, made for it and deleted after it.

  python -m tpu_scripts.launch.evaluate_beside --name=qlae-shapes3d --machine=vm \\
    --project=PROJECT --zone=us-west4-a --workdir=gs://BUCKET/runs/qlae-shapes3d

The launcher does the same beside training with --evaluator; this is for runs launched without one,
or whose evaluator was lost. It ends when the runs have ended and every checkpoint has its record.
"""

import pathlib
import sys
from collections.abc import Sequence

from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.errors import UserError
from tpu_scripts.flags import parse_overrides
from tpu_scripts.launch import checks, flags, preflight
from tpu_scripts.launch.job import make_evaluate_job
from tpu_scripts.launch.plan import Plan
from tpu_scripts.launch.supervise import Launch, format_launch, run_launch
from tpu_scripts.launch.virtual_machine import VirtualMachine, make_evaluator


def evaluate(arguments: Sequence[str]) -> int:
    """Lays out the evaluation, and prints or runs it; returns the exit code."""
    parser = Parser("tpu_scripts.launch.evaluate_beside", __doc__)
    flags.add_shared_flags(parser)
    parser.add_argument("--workdir", required=True, action="append", help="repeat for more runs")
    parser.add_argument("--machine", default="vm", help="vm, vm:MACHINE_TYPE, or a topology")
    options, overrides = parse_overrides(parser, arguments)
    if overrides:
        raise UserError(f"unknown flag {overrides[0]!r}: a run's config is in its directory")
    name = f"{options.name}-eval"
    checks.check_name(name)
    place, patience = flags.make_place(options), flags.make_patience(options)
    for workdir in options.workdir:
        checks.check_remote_workdir(workdir)
    machine = make_evaluator(options.machine, name, place, options.provisioning, patience)
    on_cpu = isinstance(machine, VirtualMachine)
    job = make_evaluate_job(tuple(options.workdir), "cpu" if on_cpu else "tpu,cpu", patience)
    pack, archive, _ = flags.make_pack(options, pathlib.Path.cwd())
    plan = Plan(machine, job, archive)
    launch = Launch(pack, archive, None, plan, options.keep, options.attach)
    if options.dry_run:
        print(format_launch(launch))
        return Exit.DONE
    preflight.check_gcloud(place)
    preflight.check_login(place)
    return run_launch(launch, patience, evaluator_seconds=0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(evaluate, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
