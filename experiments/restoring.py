"""Where training goes on from: the newest checkpoint that all living members have, or the seed."""

from grain import DatasetIterator

from experiments.population import Population
from experiments.trainer import Trainer
from experiments.warm_start import warm_start
from qlae.training.checkpoints import Checkpoints
from qlae.training.state import TrainState


def restore_or_init(
    population: Population, trainer: Trainer, checkpoints: Checkpoints, batches: DatasetIterator
) -> tuple[TrainState, int]:
    """Returns the state to go on from and its step; sets the batches to where they stood."""
    slots = trainer.layout.assign_slots(population.living)
    step = checkpoints.find_newest(population.living)
    if step is None:
        seeds = trainer.put_seeds([population.members[slot].config for slot in slots])
        return warm_start(trainer.init(seeds), trainer), 0
    abstract = trainer.program.abstract_state
    loaded = {member: checkpoints.load(step, member, abstract) for member in population.living}
    batches.set_state(loaded[population.living[0]][1]["data"])
    return trainer.layout.put_stacked([loaded[slot][0] for slot in slots]), step
