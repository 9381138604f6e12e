"""Trains the model of a config: the same program on one CPU, one GPU or a pod.

    python -m experiments.train --config=experiments/configs/qlae.py:shapes3d_rendered \\
        --workdir=DIR [--config.KEY=VALUE ...]

Run again with the same arguments it resumes, and its result is that of an uninterrupted run.
`--list` shows models, datasets and metrics.
"""

import jax
from absl import flags
from jax.experimental import multihost_utils
from ml_collections import ConfigDict, config_flags

from data_pipelines.pipeline import make_train_iterator
from experiments import cli, distributed
from experiments.listing import format_listing
from experiments.live_line import LiveLine
from experiments.scalars import ScalarWriter
from experiments.wiring import make_wiring
from qlae.errors import TrainingFailed, UserError
from qlae.run_directory import RunDirectory, get_versions
from qlae.training.checkpoint import Checkpoints
from qlae.training.loop import Schedule, train
from qlae.training.preemption import Preemption

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
    run = RunDirectory(_WORKDIR.value)
    try:
        return train_run(_CONFIG.value, run)
    except TrainingFailed as error:
        if jax.process_index() == 0:
            run.fail(str(error))
        raise


def train_run(config: ConfigDict, run: RunDirectory) -> int:
    """Trains one run in its directory, from its newest checkpoint if it has one."""
    schedule = make_schedule(config)
    wiring = make_wiring(config)
    claim(run, config)
    if run.is_complete:
        print(f"{run.path} is complete: {schedule.num_steps:,} steps")
        return 0
    checkpoints = Checkpoints(run.path)
    abstract_state, *_ = wiring.abstract_step_arguments(config.batch_size)
    restored = checkpoints.restore(abstract_state)
    state, position = restored or (wiring.init(config.seed), {"data": {"next_index": 0}})
    first_step = int(state.step)
    batches = make_train_iterator(
        wiring.dataset,
        wiring.split,
        batch_size=config.batch_size,
        seed=config.data.order_seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        emit=wiring.emit,
    )
    batches.set_state(position["data"])
    hyperparameters = wiring.sharding.replicate(wiring.program.hyperparameters)
    line = LiveLine(run, schedule.num_steps, first_step)
    scalars = ScalarWriter(run.path / "logs" / "train")

    def report(step: int, metrics: dict[str, float]) -> None:
        scalars.write(step, {f"train/{name}": value for name, value in metrics.items()})
        line.show(step, metrics)

    with Preemption().watch() as preemption:
        last_step = train(
            state,
            first_step,
            map(wiring.sharding.put_batch, batches),
            lambda state, batch: wiring.step(state, hyperparameters, batch),
            schedule=schedule,
            checkpoints=checkpoints,
            get_position=lambda: {"data": batches.get_state(), "versions": get_versions()},
            report=report,
            preemption=preemption,
        )
    checkpoints.close()
    line.close()
    if last_step < schedule.num_steps:
        print(f"stopped at step {last_step:,}; the same command resumes")
        return 143
    return 0


def claim(run: RunDirectory, config: ConfigDict) -> None:
    """Claims the run directory: the first process writes it, then the others check it."""
    if jax.process_index() == 0:
        run.claim(config)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("claimed")
        run.claim(config)


def make_schedule(config: ConfigDict) -> Schedule:
    """Returns the config's schedule; raises `UserError` for a number that is not positive."""
    for name in ("num_steps", "checkpoint_every", "log_every", "batch_size"):
        if config[name] < 1:
            raise UserError(f"config.{name}={config[name]}: it must be at least 1")
    return Schedule(config.num_steps, config.checkpoint_every, config.log_every)


if __name__ == "__main__":
    cli.run(main)
