"""Which runs are trained together: all of them, those of this process, those that have ended."""

import sys
from collections.abc import Sequence

import jax

from experiments.members import Member
from qlae.errors import TrainingFailed
from qlae.training.population import Population


class Roster:
    """The runs of one program. A member that diverges ends alone; the others go on.

    Args:
        members: of the population, or the one run.
        population: how they lie on the mesh; None for one run.

    Attributes:
        here: the members that devices of this process train, ascending.
        failed: the members that are trained no more. A member that failed in an earlier start stays
            so, for it would only fail again; unless all did.
    """

    def __init__(self, members: Sequence[Member], population: Population | None):
        self.members = members
        self.here = population.members_here if population else [0]
        self._population = population
        failed = {i for i, member in enumerate(members) if member.directory.failure}
        self.failed = failed if len(failed) < len(members) else set()

    @property
    def training(self) -> dict[int, Member]:
        """The members that are still trained, anywhere."""
        return {i: member for i, member in enumerate(self.members) if i not in self.failed}

    @property
    def written_here(self) -> dict[int, Member]:
        """By place among `here`: the members whose files beside checkpoints this process writes."""
        return {place: self.members[i] for place, i in enumerate(self.here) if self._get_writer(i)}

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        return all(member.directory.is_complete for member in self.training.values())

    def fail(self, place: int, reason: str) -> int:
        """Ends the member at a place among `here`; returns which it is.

        Raises:
            TrainingFailed: nothing is left to train. Over several processes a population goes on
                to its end nevertheless: none of them can leave the program alone.
        """
        index = self.here[place]
        self.failed.add(index)
        directory = self.members[index].directory
        if self._get_writer(index):
            directory.fail(reason)
        if len(self.members) == 1:
            raise TrainingFailed(reason)
        print(f"\n{directory.path}: {reason}", file=sys.stderr)
        if len(self.failed) == len(self.members):
            raise TrainingFailed(f"all {len(self.members)} members have diverged")
        return index

    def check(self) -> None:
        """Raises `TrainingFailed` if members of a population have failed, in any process."""
        failed = [member for member in self.members if member.directory.failure]
        if failed:
            raise TrainingFailed(
                f"{len(failed)} of {len(self.members)} members have diverged (their FAILED says "
                f"where): {', '.join(str(member.directory.path) for member in failed)}"
            )

    def _get_writer(self, index: int) -> bool:
        processes = self._population.get_processes(index) if self._population else [0]
        return processes[0] == jax.process_index()
