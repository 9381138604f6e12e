"""Compiles the real train step for a TPU slice on any CPU machine, and says what it would cost.

  python -m tpu_scripts.ahead.compile --topology=v5e:4x4 \\
    --config=experiments/configs/qlae.py:shapes3d_rendered [--config.KEY=VALUE ...]

Prints, per device, memory, FLOPs, bytes and collectives, and a roofline of the step with what it
assumes; --slices=2 joins slices, --json=FILE writes the same for programs. --table compiles the
rows of results/aot.md that are missing. The paper's networks take minutes on a few cores. Exit
status: 0 it fits, 1 it does not fit the HBM, 2 a mistake.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

import jax

from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import write_output
from tpu_scripts.ahead.compiled import compile_step
from tpu_scripts.ahead.report import format_step, make_document
from tpu_scripts.ahead.table import make_table
from tpu_scripts.experiment import load_config
from tpu_scripts.flags import at_least_one, effort, parse_overrides
from tpu_scripts.topologies import get_topology


def make_parser() -> Parser:
    """The flags."""
    parser = Parser("tpu_scripts.ahead.compile", __doc__)
    add = parser.add_argument
    add("--topology", help="v5e:16x16, or its accelerator type v5litepod-256")
    add("--slices", type=at_least_one, default=1, help="slices of that topology, trained as one")
    add("--config", help="experiments/configs/FILE.py:DATASET; --config.KEY=VALUE")
    add("--effort", type=effort, default=0.0, help="-1 compiles soonest; 0 is what a run gets")
    add("--json", help="file to write the report to, for programs")
    add("--table", action="store_true", help="compile the missing rows of the committed table")
    return parser


def run(arguments: Sequence[str], root: pathlib.Path) -> None:
    """Compiles what the flags say, and prints it.

    Raises:
      UserError: a mistake in the flags, or a config that does not go with the slices.
      DoesNotFitError: the step needs more HBM than there is.
    """
    options, overrides = parse_overrides(make_parser(), arguments)
    if options.table:
        _run_table(options, overrides, root)
        return
    if not options.topology or not options.config:
        raise UserError("--topology=v5e:16x16 and --config=FILE.py:DATASET are both needed")
    topology = get_topology(options.topology)
    config = load_config(root, options.config, overrides)
    step = compile_step(config, topology, options.slices, options.effort)
    print(format_step(step))
    if options.json:
        path = pathlib.Path(options.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_output(path, json.dumps(make_document(step), indent=1) + "\n")


def _run_table(options: argparse.Namespace, overrides: tuple[str, ...], root: pathlib.Path) -> None:
    given = [name for name in ("topology", "config", "json") if getattr(options, name)]
    if given or overrides or options.slices != 1:
        name = given[0] if given else "slices" if options.slices != 1 else overrides[0][2:]
        raise UserError(f"--table has its own rows: --{name} does not go with it")
    make_table(
        lambda config, flags: load_config(root, config, flags),
        lambda config, topology: compile_step(config, get_topology(topology), 1, options.effort),
        say=lambda text: print(text, flush=True),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    jax.config.update("jax_platforms", "cpu")  # On a TPU VM, too, nothing is to run.
    return run_command(lambda given: run(given, pathlib.Path.cwd()), arguments)


if __name__ == "__main__":
    sys.exit(main())
