"""Trains the model of a config: the same program on one CPU, one GPU or a pod.

    python -m experiments.train --config=experiments/configs/qlae.py:shapes3d_rendered \\
        --workdir=DIR [--config.KEY=VALUE ...] [--init_from=RUN[:STEP]]

Run again with the same arguments it resumes, and its result is that of an uninterrupted run.
`--init_from` starts from another run's parameters. `--list` shows models, datasets and metrics.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from absl import logging

from experiments import processes
from experiments.compilation import keep_compiled
from experiments.config_check import check_config
from experiments.config_file import load_config, parse_with_overrides
from experiments.goodput import resume_goodput
from experiments.keeper import PopulationKeeper
from experiments.listing import format_listing
from experiments.live_line import announce, announce_end
from experiments.members import make_members
from experiments.parameter_table import write_parameter_tables
from experiments.population import Population
from experiments.profiling import profile_steps
from experiments.reporter import check_reports, make_reporter
from experiments.restoring import restore_or_init
from experiments.retention import make_retire
from experiments.step_check import check_step, compile_step
from experiments.trainer import Trainer, make_trainer
from experiments.warm_start import check_source
from qlae.common.command_line import Exit, Parser, run_command
from qlae.common.errors import UserError
from qlae.objectives.player import Metrics
from qlae.run_directory import RunDirectory
from qlae.training.checkpoints import Checkpoints
from qlae.training.loop import Schedule, train
from qlae.training.metrics_buffer import MetricsBuffer
from qlae.training.preemption import Preemption
from qlae.training.state import TrainState


def main(arguments: Sequence[str]) -> Exit:
    """Trains to the end of the config; returns the exit code."""
    options, overrides = parse_with_overrides(make_parser(), arguments)
    if options.list:
        print(format_listing())
        return Exit.DONE
    if not options.config or not options.workdir:
        raise UserError("--config=FILE.py[:DATASET] and --workdir=DIR are both needed")
    logging.set_verbosity(logging.FATAL)  # Orbax logs, with a traceback, what it also raises
    check_reports()
    processes.join(options)
    with processes.together():
        config = load_config(options.config, overrides)
        check_config(config)
        population = Population(make_members(config, RunDirectory(options.workdir)))
        check_source(population)
    processes.check_agreement(config)
    with processes.ending_together(), contextlib.closing(population):
        return train_population(population)


def make_parser() -> Parser:
    """Returns the flags of training."""
    parser = Parser("experiments.train", __doc__)
    parser.add_argument("--config", help="file.py:dataset; --config.KEY=VALUE overrides a value")
    parser.add_argument("--workdir", help="run directory; local or gs://")
    parser.add_argument("--list", action="store_true", help="list models, datasets and metrics")
    processes.add_flags(parser)
    return parser


def train_population(population: Population) -> Exit:
    """Trains the living members together, from their newest checkpoint."""
    config = population.members[0].config
    schedule = Schedule(config.num_steps, config.checkpoint_every, config.log_every)
    with processes.together():
        trainer = make_trainer(config, len(population.members))
        check_step(trainer)
        batches = trainer.make_batches()
    population.claim(trainer.facts)
    goodput = resume_goodput(population.members[0].directory)
    if population.is_complete:
        announce_end(population, schedule.num_steps)
        population.check()
        return Exit.DONE
    keep_compiled(population.members[0].directory)
    write_parameter_tables(population, trainer.program.abstract_params)
    paths = {index: population.members[index].directory.path for index in population.living}
    checkpoints = Checkpoints(paths, trainer.layout.take_member, make_retire(population))
    goodput.enter("restore")
    compiling = compile_step(trainer)
    state, first_step = restore_or_init(population, trainer, checkpoints, batches)
    announce(population, first_step)
    step = goodput.wait_for(compiling)
    take_step = make_take_step(population, trainer, step, goodput.watch_batches(batches))
    with (
        Preemption().watch() as preemption,
        contextlib.closing(make_reporter(population, first_step, goodput)) as reporting,
        contextlib.closing(checkpoints),
    ):
        keeper = PopulationKeeper(population, reporting, checkpoints, batches, preemption, goodput)
        buffer = MetricsBuffer(trainer.layout.gather)
        watched = goodput.watch_steps(take_step, first_step)
        last_step = train(state, first_step, watched, schedule, keeper, buffer)
    if last_step < schedule.num_steps:
        print(f"stopped at step {last_step:,}; the same command resumes")
        return Exit.STOPPED
    population.check()
    return Exit.DONE


def make_take_step(population: Population, trainer: Trainer, step: Any, batches: Iterator) -> Any:
    """Returns the function that draws a batch and dispatches the step on it."""
    slots = trainer.layout.assign_slots(population.living)
    configs = [population.members[slot].config for slot in slots]
    hyperparameters = trainer.put_hyperparameters(configs)
    device_batches = map(trainer.feed.put, batches)

    def take_step(state: TrainState) -> tuple[TrainState, Metrics]:
        return step(state, hyperparameters, next(device_batches))

    return profile_steps(take_step, trainer.config.profile.steps, population.members[0].directory)


if __name__ == "__main__":
    sys.exit(run_command(main))
