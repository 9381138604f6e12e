"""One job on one machine as pure data: which commands run in which phase, to be printed or run."""

import dataclasses

from tpu_scripts.launch.job import GREET, SOURCE_ARCHIVE, Job
from tpu_scripts.launch.machines import Machine
from tpu_scripts.launch.shell import Command, quote

Phase = tuple[str, tuple[Command, ...]]  # What for, and the commands.


@dataclasses.dataclass(frozen=True)
class Plan:
    """Every command of one job on one machine; `archive` is the packed source on this computer."""

    machine: Machine
    job: Job
    archive: str

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.machine.name

    @property
    def workers(self) -> tuple[str, ...]:
        """All workers, the one whose log is followed first."""
        return self.machine.worker_ids

    def ssh(self, script: str, worker: str) -> Command:
        """Runs a script on one worker."""
        return self.machine.ssh(script, worker)

    def copy(self, worker: str) -> Command:
        """Copies the source to one worker."""
        return self.machine.copy(self.archive, SOURCE_ARCHIVE, worker)

    def phases(self, keep: bool) -> list[Phase]:
        """The commands in order, under what they are for."""
        first, machine, job = self.workers[0], self.machine, self.job
        others = len(self.workers) - 1
        likewise = f", likewise on {others} more ({self.workers[-1]} the last)" if others else ""
        phases: list[Phase] = [
            (f"{self.name}: the name must be free", (machine.describe(),)),
            ("create, again after SUSPENDED, FAILED or lack of capacity", (machine.create(),)),
            ("wait until it is active", (machine.describe(),)),
            (f"wait until worker {first} answers{likewise}", (self.ssh(GREET, first),)),
            (f"see what runs there{likewise}", (self.ssh(job.tell_state, first),)),
            (
                f"copy the source, install from the lock{likewise}",
                (self.copy(first), self.ssh(job.install, first)),
            ),
            ("try the bucket as the service account", (self.ssh(job.check_bucket, first),)),
            (f"start {job.name}{likewise}", (self.ssh(job.start, first),)),
            ("follow the log", (self.ssh(job.follow(1), first),)),
            (f"ask how it ended{likewise}", (self.ssh(job.report, first),)),
        ]
        if not keep:
            phases.append(
                ("delete, and see that it is gone", (machine.delete(), machine.describe()))
            )
        return phases


def format_phases(phases: list[Phase]) -> str:
    """A shell script: comments say what for, every other line is a command."""
    return "\n\n".join(
        "\n".join([f"# {title}", *(quote(command) for command in commands)])
        for title, commands in phases
        if commands
    )
