"""The runs that one program trains, and which of them have failed."""

import sys
from collections.abc import Sequence

import jax

from experiments import processes
from experiments.lease import Lease, await_free
from experiments.members import Member
from qlae.common.errors import RunFailed
from qlae.dataset_facts import DatasetFacts


class Population:
    """The members of a population; a lone run is a population of one, in its own directory.

    A member that diverges ends alone: its directory says why, and as long as it does, the member is
    not trained, logged, averaged or saved again, in this start or a later one.
    """

    def __init__(self, members: Sequence[Member]):
        self.members = members
        failures = ((index, member.directory.failure) for index, member in enumerate(members))
        self.failed = {index: failure for index, failure in failures if failure}
        self.lease: Lease | None = None

    @property
    def living(self) -> list[int]:
        """The members that have not failed."""
        return [index for index in range(len(self.members)) if index not in self.failed]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        return all(self.members[index].directory.is_complete for index in self.living)

    def claim(self, facts: DatasetFacts) -> None:
        """Claims the directories of the living; the first process writes, after all have looked.

        Raises:
            UserError: on every process, if one directory is another run's or cannot be written.
            StorageError: on every process, if another run trains in one.
        """
        living, is_first = [self.members[index] for index in self.living], jax.process_index() == 0
        with processes.together():
            for member in living:
                member.directory.check(member.config)
            judged = await_free([member.directory.path for member in living], aloud=is_first)
        with processes.together():
            self.lease = Lease(judged) if is_first else None
            for member in living if is_first else ():
                member.directory.claim(member.config, facts)

    def close(self) -> None:
        """Gives the directories back."""
        if self.lease:
            self.lease.close()

    def fail(self, diverged: dict[int, str]) -> None:
        """Ends members, given where each diverged; raises `RunFailed` when none is left."""
        for index in set(diverged) & set(self.living):
            reason = (
                f"{diverged[index]}: the run has diverged and stopped; lower "
                "config.optimizer.learning_rate or look at the data"
            )
            self.failed[index] = reason
            directory = self.members[index].directory
            if jax.process_index() == 0:
                directory.fail(reason)
                if len(self.members) > 1:
                    print(f"\n{directory.path}: {reason}", file=sys.stderr)
        if not self.living:
            self.check()

    def check(self) -> None:
        """Raises `RunFailed` if any member has failed."""
        if not self.failed:
            return
        if len(self.members) == 1:
            directory = self.members[0].directory
            raise RunFailed(f"{self.failed[0]}; delete {directory.path}/FAILED for another try")
        paths = ", ".join(str(self.members[index].directory.path) for index in sorted(self.failed))
        raise RunFailed(
            f"{len(self.failed)} of {len(self.members)} members have diverged; the FAILED of each "
            f"says where, and deleting it gives another try: {paths}"
        )
