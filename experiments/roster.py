"""Which runs of one program are still trained, and which have ended."""

import sys
from collections.abc import Sequence

import jax

from experiments.members import Member
from qlae.common.errors import RunFailed


class Roster:
    """The runs of one program. A member of a population that diverges ends alone.

    Args:
        members: of the population, or the one run.

    Attributes:
        failed: why, by member that is trained no more. One that failed in an earlier start stays
            so, for it would only fail again; unless all did.
    """

    def __init__(self, members: Sequence[Member]):
        self.members = members
        failures = ((index, member.directory.failure) for index, member in enumerate(members))
        failed = {index: failure for index, failure in failures if failure}
        self.failed = failed if len(failed) < len(members) else {}

    @property
    def training(self) -> dict[int, Member]:
        """The members that are still trained."""
        return {i: member for i, member in enumerate(self.members) if i not in self.failed}

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        return all(member.directory.is_complete for member in self.training.values())

    def fail(self, index: int, reason: str) -> None:
        """Ends a member; raises `RunFailed` when none is left."""
        self.failed[index] = reason
        directory = self.members[index].directory
        if jax.process_index() == 0:
            directory.fail(reason)
            if len(self.members) > 1:
                print(f"\n{directory.path}: {reason}", file=sys.stderr)
        if not self.training:
            self.check()

    def check(self) -> None:
        """Raises `RunFailed` if any member has failed."""
        if len(self.members) == 1 and self.failed:
            raise RunFailed(self.failed[0])
        if self.failed:
            paths = ", ".join(str(self.members[i].directory.path) for i in sorted(self.failed))
            raise RunFailed(
                f"{len(self.failed)} of {len(self.members)} members have diverged; the FAILED of "
                f"each says where: {paths}"
            )
