"""The checkpoints of a population: each member's are those of a run of its own."""

from collections.abc import Mapping
from typing import Any

import jax
from etils import epath

from qlae.training.checkpoint import Checkpoints, list_steps, load_position
from qlae.training.population import Population
from qlae.training.state import TrainState


class PopulationCheckpoints:
    """Saves each member of a stacked state where and as it would be saved alone.

    A member is written by the processes that train it and nobody else, so the time of a save does
    not grow with the number of processes.

    Args:
        population: how members lie on the mesh.
        workdirs: of the members that are still trained, by member.
    """

    def __init__(self, population: Population, workdirs: Mapping[int, epath.PathLike]):
        self._population = population
        self._workdirs = dict(workdirs)
        self._here = {
            member: Checkpoints(
                workdirs[member],
                population.get_processes(member) if jax.process_count() > 1 else None,
            )
            for member in population.members_here
            if member in workdirs
        }

    def drop(self, member: int) -> None:
        """Saves a member no more."""
        self._here.pop(member).close()

    def save(self, step: int, state: TrainState, position: dict[str, Any]) -> None:
        """Begins to save a step of every member."""
        for member, checkpoints in self._here.items():
            checkpoints.save(step, self._population.take(state, member), position)

    def restore_newest(self, initial_state: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest state that all members have, or None if there is none.

        Args:
            initial_state: stacked; slots that no member here is restored to stay as they are.
        """
        common = set.intersection(*(set(list_steps(path)) for path in self._workdirs.values()))
        if not common:
            return None
        step, states = max(common), {}
        for member, checkpoints in self._here.items():
            alone = self._population.take(initial_state, member)
            states[member], _ = checkpoints.restore(alone, step)
        # Each process reads it, whether it has members to restore or not.
        position = load_position(next(iter(self._workdirs.values())), step)
        return self._population.replace(initial_state, states), position

    def close(self) -> None:
        """Waits for the last saves."""
        for checkpoints in self._here.values():
            checkpoints.close()
