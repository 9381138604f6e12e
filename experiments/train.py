"""Trains the model of a config: the same program on one CPU, one GPU or a pod.

    python -m experiments.train --config=experiments/configs/qlae.py:shapes3d_rendered \\
        --workdir=DIR [--config.KEY=VALUE ...]

Run again with the same arguments it resumes, and its result is that of an uninterrupted run.
`--list` shows models, datasets and metrics.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags
from clu import parameter_overview
from grain import DatasetIterator
from ml_collections import ConfigDict, config_flags

from data_pipelines.pipeline import make_train_iterator
from eval.metrics.registry import get_metric
from experiments import cli, distributed
from experiments.listing import format_listing
from experiments.members import Member, make_members
from experiments.profiling import profile_steps
from experiments.reporter import Reporter
from experiments.roster import Roster
from experiments.wiring import Wiring, make_wiring
from qlae.common.errors import UserError
from qlae.objectives.player import Metrics
from qlae.run_directory import RunDirectory, get_versions
from qlae.training.checkpoint import Checkpoints
from qlae.training.loop import Schedule, train
from qlae.training.population_checkpoints import PopulationCheckpoints
from qlae.training.preemption import Preemption
from qlae.training.sharding import put
from qlae.training.state import TrainState
from qlae.training.window import MetricWindow

_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, as `file.py:dataset`.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory; local or gs://.")
_LIST = flags.DEFINE_bool("list", False, "List models, datasets and metrics, then end.")


def main() -> int:
    """Trains to the end of the config; returns the exit code."""
    if _LIST.value:
        print(format_listing())
        return 0
    if _CONFIG.value is None or not _WORKDIR.value:
        raise UserError("--config=FILE.py[:DATASET] and --workdir=DIR are both needed")
    distributed.initialize()
    distributed.check_agreement(_CONFIG.value)
    members = make_members(_CONFIG.value, RunDirectory(_WORKDIR.value))
    return train_members(members)


def train_members(members: Sequence[Member]) -> int:
    """Trains a run, or the members of a population together, from their newest checkpoint."""
    config = members[0].config
    with distributed.together():
        schedule = make_schedule(config)
        for name in config.eval.metrics:
            get_metric(name)  # the evaluator's mistake to come, told before the first step
        wiring = make_wiring(config, members=[member.config for member in members])
        batches = make_batches(config, wiring)
        roster = Roster(members)  # read by all before the first of them claims
    claim(roster)
    if roster.is_complete:
        for member in roster.training.values():
            print(f"{member.directory.path} is complete: {schedule.num_steps:,} steps")
        roster.check()
        return 0
    keep_compiled(members[0].directory)
    write_parameters(roster, wiring)
    checkpoints = make_checkpoints(roster, wiring)
    state, position = restore_or_init(roster, wiring, checkpoints)
    first_step = int(jax.device_get(wiring.sharding.gather(state.step)).ravel()[0])
    batches.set_state(position["data"])
    hyperparameters = put(wiring.hyperparameters, wiring.state_sharding)
    reporter = Reporter(members, schedule.num_steps, first_step)
    if jax.process_index() == 0:
        what = f"{len(members)} members" if len(members) > 1 else config.arm
        print(
            f"training {what} from step {first_step:,} on {jax.device_count()} "
            f"{jax.devices()[0].platform} device(s); the first step compiles",
            file=sys.stderr,
        )

    def take_step(state: TrainState, batch: dict) -> tuple[TrainState, Metrics]:
        return wiring.step(state, hyperparameters, batch)

    def fail(member: int, reason: str) -> None:
        if member in roster.failed:
            return  # in an earlier start
        if isinstance(checkpoints, PopulationCheckpoints):
            checkpoints.drop(member)
        roster.fail(member, reason)

    with Preemption().watch() as preemption:
        last_step = train(
            state,
            first_step,
            map(wiring.sharding.put_batch, batches),
            profile_steps(take_step, config.profile.steps, members[0].directory.path / "profile"),
            schedule=schedule,
            window=MetricWindow(len(members), wiring.sharding.gather),
            checkpoints=checkpoints,
            get_position=lambda: {"data": batches.get_state(), "versions": get_versions()},
            report=reporter.report,
            fail=fail,
            preemption=preemption,
        )
    checkpoints.close()
    reporter.close()
    if last_step < schedule.num_steps:
        print(f"stopped at step {last_step:,}; the same command resumes")
        return 143
    roster.check()
    return 0


def make_batches(config: ConfigDict, wiring: Wiring) -> DatasetIterator:
    """Returns the endless batches of this process, from the first on."""
    process_index, process_count = wiring.sharding.process_share
    return make_train_iterator(
        wiring.dataset,
        wiring.split,
        batch_size=config.batch_size,
        seed=config.data.order_seed,
        process_index=process_index,
        process_count=process_count,
        emit=wiring.emit,
    )


def claim(roster: Roster) -> None:
    """Claims the run directories: the first process writes them, then the others check them."""
    for claims in (jax.process_index() == 0, jax.process_index() != 0):
        with distributed.together():
            for member in roster.training.values() if claims else ():
                member.directory.claim(member.config)


def keep_compiled(run: RunDirectory) -> None:
    """Keeps compiled programs in the run directory, so that a restart does not wait for them.

    Not on CPU, whose programs fit the very processor that they were compiled on.
    """
    if jax.default_backend() != "cpu" and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(run.path / "compilation_cache"))


def write_parameters(roster: Roster, wiring: Wiring) -> None:
    """Writes the table of parameters, one row an array, beside each config."""
    params = wiring.program.abstract_params
    table = parameter_overview.get_parameter_overview(params, include_stats=False)
    for member in roster.members if jax.process_index() == 0 else ():
        (member.directory.path / "parameters.txt").write_text(table + "\n")


def make_checkpoints(roster: Roster, wiring: Wiring) -> Checkpoints | PopulationCheckpoints:
    """Returns the checkpoints of a run, or of a population."""
    paths = {index: member.directory.path for index, member in roster.training.items()}
    if wiring.population is None:
        return Checkpoints(paths[0])
    return PopulationCheckpoints(wiring.population, paths)


def restore_or_init(
    roster: Roster, wiring: Wiring, checkpoints: Checkpoints | PopulationCheckpoints
) -> tuple[TrainState, dict[str, Any]]:
    """Returns the state to go on from, and where its data stands."""
    seeds = [member.config.seed for member in roster.members]
    state = wiring.init(wiring.population.stack(seeds) if wiring.population else seeds[0])
    return checkpoints.restore_newest(state) or (state, {"data": {"next_index": 0}})


def make_schedule(config: ConfigDict) -> Schedule:
    """Returns the config's schedule; raises `UserError` for a number that is not positive."""
    for name in ("num_steps", "checkpoint_every", "log_every", "batch_size"):
        if config[name] < 1:
            raise UserError(f"config.{name}={config[name]}: it must be at least 1")
    return Schedule(config.num_steps, config.checkpoint_every, config.log_every)


if __name__ == "__main__":
    cli.run(main)
