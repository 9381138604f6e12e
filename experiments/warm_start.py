"""The first parameters of a new run, taken from another run: `--init_from=RUN[:STEP]`."""

import dataclasses
import sys

import jax

from experiments.population import Population
from experiments.trainer import Trainer
from qlae.common.errors import UserError
from qlae.restore import StoredRun, open_run
from qlae.training.digests import name_arrays
from qlae.training.state import TrainState
from qlae.training.stored import describe_arrays

_MOST_NAMED = 8


def open_source(init_from: str) -> tuple[StoredRun, int]:
    """Opens `RUN[:STEP]`; returns the run and the step, the newest where none is named.

    Raises:
        UserError: no run, or no such checkpoint.
    """
    workdir, colon, step = init_from.rpartition(":")
    if not colon or not step.isdecimal():
        workdir, step = init_from, ""
    run = open_run(workdir)
    return run, run.find_step(int(step) if step else None)


def check_source(population: Population) -> None:
    """Looks, before a new run is claimed, whether what it starts from is there.

    Raises:
        UserError: it is not.
    """
    config = population.members[0].config
    if config.get("init_from") and not any(
        member.directory.exists for member in population.members
    ):
        open_source(config.init_from)


def warm_start(state: TrainState, trainer: Trainer) -> TrainState:
    """Puts the other run's parameters into every slot; optimizer, step and draws start anew.

    What the two have by the same path, shape and dtype is taken. The rest keeps its own
    initialisation, and is named on stderr.

    Raises:
        UserError: the two have no parameter in common, or the checkpoint is damaged.
    """
    if not trainer.config.get("init_from"):
        return state
    run, step = open_source(trainer.config.init_from)
    loaded = run.load(step)
    ours, theirs = describe_arrays(trainer.program.abstract_params), describe_arrays(loaded)
    taken = {name for name in ours if ours[name] == theirs.get(name)}
    if not taken:
        raise UserError(
            f"init_from={trainer.config.init_from} has no parameter of this config's model: "
            f"its arm is {run.config.arm}"
        )
    if jax.process_index() == 0:
        _announce(f"{run.directory.path}:{step}", ours, theirs, taken)
    arrays, slots = name_arrays(loaded), trainer.layout.num_slots
    leaves = [
        trainer.layout.put_stacked([arrays[name]] * slots) if name in taken else leaf
        for name, leaf in name_arrays(state.params).items()
    ]
    params = jax.tree.unflatten(jax.tree.structure(state.params), leaves)
    return dataclasses.replace(state, params=params)


def _announce(source: str, ours: dict[str, str], theirs: dict[str, str], taken: set[str]) -> None:
    """Says how much was taken, and what was not."""
    print(f"started from {source}: {len(taken)} of {len(ours)} parameters", file=sys.stderr)
    rest = sorted((ours.keys() | theirs.keys()) - taken)
    for name in rest[:_MOST_NAMED]:
        there, here = theirs.get(name, "nothing"), ours.get(name, "nothing")
        print(f"  {name}: {there} there, {here} here", file=sys.stderr)
    if len(rest) > _MOST_NAMED:
        print(f"  and {len(rest) - _MOST_NAMED} more", file=sys.stderr)
