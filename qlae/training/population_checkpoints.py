"""The checkpoints of a population: each member's are those of a run of its own."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from qlae.training.checkpoint import Checkpoints, list_steps
from qlae.training.population import Population
from qlae.training.state import TrainState


class PopulationCheckpoints:
    """Saves each member of a stacked state where and as it would be saved alone.

    Args:
        population: how members lie on the mesh.
        workdirs: of the members that are still trained, by member.
    """

    def __init__(self, population: Population, workdirs: Mapping[int, epath.PathLike]):
        self._population, self._workdirs = population, workdirs
        self._members = {member: Checkpoints(path) for member, path in workdirs.items()}

    def drop(self, member: int) -> None:
        """Saves a member no more."""
        self._members.pop(member).close()

    def save(self, step: int, state: TrainState, position: dict[str, Any]) -> None:
        """Begins to save a step of every member."""
        for member, checkpoints in self._members.items():
            checkpoints.save(step, self._population.take(state, member), position)

    def restore_newest(self, initial_state: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest state that all members have, or None if there is none.

        Args:
            initial_state: stacked; what is restored is put into it, the other slots stay.
        """
        common = set.intersection(*(set(list_steps(path)) for path in self._workdirs.values()))
        if not common:
            return None
        state, position = initial_state, dict[str, Any]()
        for member, checkpoints in self._members.items():
            target = self._population.take(state, member)
            restored, position = checkpoints.restore(target, max(common))
            state = self._population.replace(state, member, restored)
        return state, position

    def close(self) -> None:
        """Waits for the last saves."""
        for checkpoints in self._members.values():
            checkpoints.close()
