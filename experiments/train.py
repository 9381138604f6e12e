"""Trains the model of a config: the same program on one CPU, one GPU or a pod.

    python -m experiments.train --config=experiments/configs/qlae.py:shapes3d_rendered \\
        --workdir=DIR [--config.KEY=VALUE ...]

Run again with the same arguments it resumes, and its result is that of an uninterrupted run.
"""

import jax
from absl import flags
from ml_collections import ConfigDict, config_flags

from data_pipelines.datasets import RenderedDataset
from data_pipelines.from_config import make_data, make_prepare
from data_pipelines.pipeline import make_train_iterator
from experiments import cli
from experiments.live_line import LiveLine
from experiments.scalars import ScalarWriter
from qlae.errors import TrainingFailed, UserError
from qlae.program import make_program
from qlae.run_directory import RunDirectory, get_versions
from qlae.training.checkpoint import Checkpoints
from qlae.training.loop import Schedule, train
from qlae.training.preemption import Preemption
from qlae.training.sharding import make_sharding

_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, as `file.py:dataset`.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory; local or gs://.")


def main() -> int:
    """Trains to the end of the config; returns the exit code."""
    if _CONFIG.value is None or not _WORKDIR.value:
        raise UserError("--config=FILE.py[:DATASET] and --workdir=DIR are both needed")
    run = RunDirectory(_WORKDIR.value)
    try:
        return train_run(_CONFIG.value, run)
    except TrainingFailed as error:
        run.fail(str(error))
        raise


def train_run(config: ConfigDict, run: RunDirectory) -> int:
    """Trains one run in its directory, from its newest checkpoint if it has one."""
    schedule = make_schedule(config)
    dataset, split = make_data(config.data)
    program = make_program(
        config,
        image_shape=dataset.spec.image_shape,
        num_sources=dataset.spec.num_sources,
        dataset_size=len(split.train_indices),
    )
    sharding = make_sharding(batch_size=config.batch_size, num_data=config.mesh.data)
    run.claim(config)
    if run.is_complete:
        print(f"{run.path} is complete: {schedule.num_steps:,} steps")
        return 0
    checkpoints = Checkpoints(run.path)
    init = jax.jit(program.init, out_shardings=sharding.replicated)
    restored = checkpoints.restore(sharding.abstract(jax.eval_shape(init, config.seed)))
    state, position = restored or (init(config.seed), {"data": {"next_index": 0}})
    first_step = int(state.step)
    batches = make_train_iterator(
        dataset,
        split,
        batch_size=config.batch_size,
        seed=config.data.order_seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        emit="index" if _renders_in_step(config, dataset) else "image",
    )
    batches.set_state(position["data"])
    step = jax.jit(
        program.make_step(make_prepare(dataset)),
        donate_argnums=0,
        in_shardings=(sharding.replicated, sharding.replicated, sharding.batch),
        out_shardings=sharding.replicated,
    )
    hyperparameters = sharding.replicate(program.hyperparameters)
    line = LiveLine(run, schedule.num_steps, first_step)
    scalars = ScalarWriter(run.path / "logs" / "train")

    def report(step: int, metrics: dict[str, float]) -> None:
        scalars.write(step, {f"train/{name}": value for name, value in metrics.items()})
        line.show(step, metrics)

    with Preemption().watch() as preemption:
        last_step = train(
            state,
            first_step,
            map(sharding.put_batch, batches),
            lambda state, batch: step(state, hyperparameters, batch),
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


def make_schedule(config: ConfigDict) -> Schedule:
    """Returns the config's schedule; raises `UserError` for a number that is not positive."""
    for name in ("num_steps", "checkpoint_every", "log_every", "batch_size"):
        if config[name] < 1:
            raise UserError(f"config.{name}={config[name]}: it must be at least 1")
    return Schedule(config.num_steps, config.checkpoint_every, config.log_every)


def _renders_in_step(config: ConfigDict, dataset) -> bool:
    return config.data.render_in_step and isinstance(dataset, RenderedDataset)


if __name__ == "__main__":
    cli.run(main)
