"""Where training goes on from: the newest good checkpoint that all living members have."""

import sys
from typing import Any

import jax
from grain import DatasetIterator

from experiments import processes
from experiments.population import Population
from experiments.trainer import Trainer
from experiments.warm_start import warm_start
from qlae.common.errors import UserError
from qlae.training.checkpoints import Checkpoints
from qlae.training.state import TrainState

Loaded = dict[int, tuple[TrainState, dict[str, Any]]]


def restore_or_init(
    population: Population, trainer: Trainer, checkpoints: Checkpoints, batches: DatasetIterator
) -> tuple[TrainState, int]:
    """Returns the state to go on from and its step; sets the batches to where they stood.

    Damaged checkpoints newer than that are named on stderr and kept aside.

    Raises:
        UserError: there are checkpoints, and none can be read; all are left as they are.
        StorageError: the store does not answer.
    """
    slots = trainer.layout.assign_slots(population.living)
    loaded, step = _load_newest(population, trainer, checkpoints)
    if not loaded:
        seeds = trainer.put_seeds([population.members[slot].config for slot in slots])
        return warm_start(trainer.init(seeds), trainer), 0
    batches.set_state(loaded[population.living[0]][1]["data"])
    return trainer.layout.put_stacked([loaded[slot][0] for slot in slots]), step


def _load_newest(
    population: Population, trainer: Trainer, checkpoints: Checkpoints
) -> tuple[Loaded, int]:
    """Returns state and position by member, and their step; none and 0 where nothing was saved."""
    abstract = trainer.program.abstract_state
    damaged: list[tuple[int, int, UserError]] = []
    first: UserError | None = None
    for step in checkpoints.list_common(population.living):
        loaded: Loaded = {}
        try:
            with processes.together():
                for member in population.living:
                    try:
                        loaded[member] = checkpoints.load(step, member, abstract)
                    except UserError as met:
                        damaged.append((step, member, met))
                if len(loaded) < len(population.living):
                    raise damaged[-1][-1]
        except UserError as error:
            first = first or error
            continue
        # Only now is it sure that they are damaged, and not all of another model.
        _set_aside(damaged, checkpoints)
        return loaded, step
    if first:
        raise first
    return {}, 0


def _set_aside(damaged: list[tuple[int, int, UserError]], checkpoints: Checkpoints) -> None:
    """Moves checkpoints away, given step, member and what is wrong, and says so."""
    for step, member, error in damaged:
        aside = checkpoints.set_aside(step, member)
        if jax.process_index() == 0:
            reason = str(error).split("; move it away")[0]
            print(f"{reason}; kept aside as {aside}", file=sys.stderr, flush=True)
