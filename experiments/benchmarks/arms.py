"""What each autoencoding arm costs a step: `python -m experiments.benchmarks.arms`.

Every arm of the quick config beside QLAE, in turn in one process: time, memory, parameters.
"""

import functools
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from experiments.benchmarks.report import sample_seconds_in_turn, write_report
from experiments.benchmarks.steps import Bench, Case
from experiments.configs.arms import AUTOENCODERS, BEYOND, get_arm_module
from qlae.common.command_line import Parser, run_command

_STEPS = 5  # a call: one is too short to be timed alone
_NOTES = """
The quick config's networks, images and batch; medians of {repeats} calls of {steps} steps, each
arm's in turn with QLAE's. Memory is what XLA's program holds at once: parameters, moments, a batch
and temporaries. Parameters are of all players together.

Measure again: `python -m experiments.benchmarks.arms`.
"""


def measure(arm: str, config: str, qlae: Bench, repeats: int) -> dict[str, Any]:
    """Returns the row of an arm.

    Args:
        arm: of the table.
        config: file that takes arms as its argument.
        qlae: what it is measured beside.
        repeats: calls of each.
    """
    bench = Bench(Case(f"{config}:{arm}", 64))
    calls = [functools.partial(_take, each) for each in (bench, qlae)]
    own, other = map(statistics.median, sample_seconds_in_turn(calls, repeats))
    return {
        "arm": f"`{arm}`",
        "what it is": str(get_arm_module(arm).__doc__).splitlines()[0].rstrip("."),
        "parameters": f"{bench.num_parameters:,}",
        "step, ms": own * 1e3 / _STEPS,
        "of QLAE's": own / other,
        "memory, MB": bench.memory / 1e6,
        "GFLOP": bench.flops / 1e9,
    }


def _take(bench: Bench) -> None:
    for _ in range(_STEPS):
        bench.cycle()


def main(given: Sequence[str]) -> None:
    """Measures and writes `results/arms.{json,md}`."""
    parser = Parser("experiments.benchmarks.arms", __doc__)
    parser.add_argument("--repeats", type=int, default=7, help="calls of each, at least 1")
    parser.add_argument("--config", default="experiments/configs/quickstart.py")
    parser.add_argument("--arms", default=",".join(AUTOENCODERS + BEYOND))
    parser.add_argument("--dry_run", action="store_true", help="measure, but write no report")
    options = parser.parse_args(given)
    for arm in options.arms.split(","):
        get_arm_module(arm)
    qlae = Bench(Case(f"{options.config}:qlae", 64))
    rows = []
    for arm in options.arms.split(","):
        rows.append(measure(arm, options.config, qlae, options.repeats))
        print(rows[-1], file=sys.stderr, flush=True)
    if not options.dry_run:
        notes = _NOTES.format(repeats=options.repeats, steps=_STEPS)
        write_report("arms", "What each arm costs a step", rows, notes)


if __name__ == "__main__":
    sys.exit(run_command(main))
