"""A population in one program beside its members trained one after another.

    python -m experiments.benchmarks.population [--config=FILE.py[:ARGUMENT]]

Lone runs have all devices for themselves, one run at a time; the population has a row of devices
for each member, or all members on one. On CPU, set
XLA_FLAGS=--xla_force_host_platform_device_count=2 for two devices.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

from experiments.benchmarks.report import median_seconds_in_turn, write_report
from experiments.config_file import load_config
from experiments.members import make_members
from experiments.trainer import make_trainer
from qlae.common.command_line import Parser, run_command
from qlae.run_directory import RunDirectory

_MEMBERS = (1, 2, 4)


class Runner:
    """The members of a config, compiled and ready to take steps."""

    def __init__(self, config_file: str, num_members: int):
        config = load_config(config_file)
        config.population.seeds = num_members
        members = make_members(config, RunDirectory("unused"))
        trainer = make_trainer(config, num_members)
        slots = trainer.layout.assign_slots(range(num_members))
        configs = [members[slot].config for slot in slots]
        self.rows = trainer.layout.mesh.shape["population"]
        self._state = trainer.init(trainer.put_seeds(configs))
        hyperparameters = trainer.put_hyperparameters(configs)
        self._batches = map(trainer.feed.put, trainer.make_batches())
        began = time.perf_counter()
        arguments = (self._state, hyperparameters, next(self._batches))
        compiled = trainer.step.lower(*arguments).compile()
        self.compile_seconds = time.perf_counter() - began
        self._step: Callable[..., Any] = lambda state, batch: compiled(
            state, hyperparameters, batch
        )

    def take(self, steps: int) -> None:
        """Takes so many steps, of every member, and waits for the last."""
        for _ in range(steps):
            self._state, _ = self._step(self._state, next(self._batches))
        jax.block_until_ready(self._state)


def measure(config_file: str, steps: int, repeats: int) -> list[dict[str, Any]]:
    """Returns one row for each size of population."""
    runners = {count: Runner(config_file, count) for count in _MEMBERS}
    seconds = median_seconds_in_turn(
        [lambda runner=runner: runner.take(steps) for runner in runners.values()],  # type: ignore[misc]
        repeats,
    )
    taken = dict(zip(runners, seconds, strict=True))
    return [
        {
            "members": count,
            "rows of devices": runner.rows,
            "steps/s of a member": steps / taken[count],
            "member steps/s": count * steps / taken[count],
            "times one after another": count * taken[1] / taken[count],
            "compile, s": runner.compile_seconds,
        }
        for count, runner in runners.items()
    ]


def main(given: Sequence[str]) -> None:
    """Measures, and writes `results/population.{json,md}`."""
    parser = Parser("experiments.benchmarks.population", __doc__)
    parser.add_argument("--config", default="experiments/configs/quickstart.py")
    parser.add_argument("--steps", type=int, default=10, help="steps a turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each size")
    parser.add_argument("--dry_run", action="store_true", help="measure, but write no report")
    options = parser.parse_args(given)
    rows = measure(options.config, options.steps, options.repeats)
    if options.dry_run:
        print(rows)
        return
    devices = jax.devices()
    name = f"population_{len(devices)}_{devices[0].platform}"
    notes = f"""
Steps of {options.config} on {len(devices)} {devices[0].platform} device(s), medians of
{options.repeats} turns of {options.steps} steps, in turn. One member is the lone run, over all
devices; "times one after another" compares a population's speed with as many lone runs in a row,
after compilation, which a population does once and lone runs each for themselves.

Again: `python -m experiments.benchmarks.population`.
"""
    write_report(name, "A population beside lone runs", rows, notes)


if __name__ == "__main__":
    sys.exit(run_command(main))
