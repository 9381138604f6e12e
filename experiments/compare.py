"""Where two runs part: the first step and the first array of their checkpoints that differ.

    python -m experiments.compare RUN_A RUN_B

Compares all that training goes on from: parameters, optimizer, draws and the position in the data,
of every step of which both have a checkpoint. Exit code 0 if they are the same bits, 1 if not.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.errors import UserError
from qlae.restore import StoredRun, open_run
from qlae.run_directory import list_steps
from qlae.training.digests import name_arrays


def main(arguments: Sequence[str]) -> Exit:
    """Prints one line on where the runs part, or that they do not; returns the exit code."""
    parser = Parser("experiments.compare", __doc__)
    parser.add_argument("run_a", metavar="RUN_A", help="run directory; local or gs://")
    parser.add_argument("run_b", metavar="RUN_B", help="likewise")
    options = parser.parse_args(arguments)
    runs = open_run(options.run_a), open_run(options.run_b)
    steps = find_common_steps(*runs)
    for step in steps:
        if difference := find_difference(*(load_everything(run, step) for run in runs)):
            print(f"step {step:,}: {difference}")
            return Exit.FAILED
    print(f"the same bits at {len(steps)} steps, {steps[0]:,} to {steps[-1]:,}")
    return Exit.DONE


def find_common_steps(*runs: StoredRun) -> list[int]:
    """Returns the steps of which all have a checkpoint, ascending; says what else there is.

    Raises:
        UserError: there is none.
    """
    found = [list_steps(run.directory.path) for run in runs]
    common = sorted(set.intersection(*map(set, found)))
    if not common:
        raise UserError(
            "there is no step of which both have a checkpoint: "
            + "; ".join(
                f"{run.directory.path} has {', '.join(map(str, steps)) or 'none'}"
                for run, steps in zip(runs, found, strict=True)
            )
        )
    for run, steps in zip(runs, found, strict=True):
        if alone := sorted(set(steps) - set(common)):
            listed = ", ".join(f"{step:,}" for step in alone)
            print(f"note: {run.directory.path} alone has {listed}", file=sys.stderr)
    return common


def load_everything(run: StoredRun, step: int) -> dict[str, Any]:
    """Returns all of a checkpoint by name: arrays, and the position in the data.

    Raises:
        UserError: it is damaged, or not of the run's config.
    """
    state, position = run.load_state(step)
    return {  # causes before effects
        "draws": state.rng,
        "data": json.dumps(position["data"], sort_keys=True),
        **name_arrays({"params": state.params}),
        **name_arrays({"optimizer": state.opt_state}),
    }


def find_difference(a: dict[str, Any], b: dict[str, Any]) -> str | None:
    """Returns what differs first, in words; None if nothing does."""
    return next(_find_differences(a, b), None)


def _find_differences(a: dict[str, Any], b: dict[str, Any]) -> Iterator[str]:
    for name in [*a, *(name for name in b if name not in a)]:
        if name not in a or name not in b:
            yield f"{name} is in the {'second' if name in b else 'first'} run alone"
        elif name == "data":
            if a[name] != b[name]:
                yield f"the position in the data is {a[name]} and {b[name]}"
        elif difference := _compare(np.asarray(a[name]), np.asarray(b[name])):
            yield f"{name} {difference}"


def _compare(a: np.ndarray, b: np.ndarray) -> str | None:
    """Returns how two arrays differ, by bits: NaN is itself, and -0 is not 0."""
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"is {a.dtype.name}{list(a.shape)} and {b.dtype.name}{list(b.shape)}"
    bits_a, bits_b = (np.ascontiguousarray(x).reshape(-1, 1).view(np.uint8) for x in (a, b))
    places = np.flatnonzero((bits_a != bits_b).any(axis=1))
    if not places.size:
        return None
    where = tuple(int(i) for i in np.unravel_index(places[0], a.shape))
    return (
        f"parts at {list(where)}: {a[where]!s} and {b[where]!s}; "
        f"{places.size:,} of {a.size:,} values differ"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
