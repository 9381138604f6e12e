"""Evaluates runs from a small machine of its own, made for it and deleted after it.

  python -m tpu_scripts.evaluate_beside --name=qlae-shapes3d --machine=vm \\
    --project=PROJECT --zone=us-west4-a --workdir=gs://BUCKET/runs/qlae-shapes3d

The launcher does the same beside training with --evaluator; this is for runs launched without one,
or whose evaluator was lost. It ends when the runs have ended and every checkpoint has its record.
"""

import pathlib
import sys
from collections.abc import Sequence

from qlae.common.errors import UserError
from tpu_scripts import checks, cli
from tpu_scripts.job import make_evaluate_job
from tpu_scripts.launch_plan import make_plan
from tpu_scripts.machines import VirtualMachine, make_evaluator
from tpu_scripts.supervise import Launch, format_launch, run_launch, run_main


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = cli.Parser(description=__doc__ or "")
    cli.add_shared_flags(parser)
    parser.add_argument("--workdir", required=True, action="append", help="repeat for more runs")
    parser.add_argument("--machine", default="vm", help="vm, vm:MACHINE_TYPE, or a topology")

    def evaluate() -> None:
        options, overrides = cli.parse(parser, sys.argv[1:] if arguments is None else arguments)
        if overrides:
            raise UserError(f"unknown flag {overrides[0]!r}: a run's config is in its directory")
        name = f"{options.name}-eval"
        checks.check_name(name)
        place = cli.make_place(options)
        for workdir in options.workdir:
            checks.check_remote_workdir(workdir)
        machine = make_evaluator(options.machine, name, place, options.provisioning)
        on_cpu = isinstance(machine, VirtualMachine)
        job = make_evaluate_job(tuple(options.workdir), "cpu" if on_cpu else "tpu,cpu")
        pack, archive, _ = cli.make_pack(options, pathlib.Path.cwd())
        launch = Launch(pack, archive, None, make_plan(machine, job, archive), options.keep)
        if options.dry_run:
            print(format_launch(launch))
            return
        checks.check_tools("gcloud")
        run_launch(launch, cli.make_patience(options), evaluator_seconds=0.0)

    return run_main(evaluate)


if __name__ == "__main__":
    sys.exit(main())
