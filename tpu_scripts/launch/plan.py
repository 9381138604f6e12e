"""A launch as pure data: which commands run in which phase, to be printed, tested or executed."""

import dataclasses

from tpu_scripts.launch.job import INSTALL, SOURCE_ARCHIVE, Job
from tpu_scripts.launch.machines import Machine
from tpu_scripts.launch.shell import Command, quote

Phase = tuple[str, tuple[Command, ...]]  # What for, and the commands.


@dataclasses.dataclass(frozen=True)
class Plan:
    """Every command of one job on one machine."""

    machine: Machine
    job: Job
    describe: Command  # First to see that the name is free, then to watch the state.
    create: Command
    probe: dict[str, Command]  # By worker: succeeds once the worker answers.
    copy: Command
    install: Command
    start: Command
    verify: dict[str, Command]  # By worker: succeeds once the job runs there.
    follow: Command
    report: Command
    halt: Command
    delete: Command

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.machine.name

    def phases(self, keep: bool) -> list[Phase]:
        """The commands in order, under what they are for."""
        workers = f"all workers ({len(self.probe)})"
        phases: list[Phase] = [
            (f"{self.name}: the name must be free", (self.describe,)),
            ("create, again after SUSPENDED, FAILED or lack of capacity", (self.create,)),
            ("wait until it is active", (self.describe,)),
            (f"wait until {workers} answer", tuple(self.probe.values())),
            ("copy the source, install from the lock", (self.copy, self.install)),
            (f"start {self.job.name}", (self.start,)),
            (f"wait until {workers} run it", tuple(self.verify.values())),
            ("follow the log", (self.follow,)),
        ]
        if not keep:
            phases.append(("delete, whatever happened", (self.delete,)))
        return phases


def make_plan(machine: Machine, job: Job, archive: str) -> Plan:
    """Lays out the life of `job` on `machine`; `archive` is the packed source on this computer."""
    workers = machine.worker_ids
    return Plan(
        machine=machine,
        job=job,
        describe=machine.describe(),
        create=machine.create(),
        probe={worker: machine.ssh("true", worker) for worker in workers},
        copy=machine.copy(archive, SOURCE_ARCHIVE),
        install=machine.ssh(INSTALL),
        start=machine.ssh(job.start),
        verify={worker: machine.ssh(job.is_started, worker) for worker in workers},
        follow=machine.ssh(job.follow, workers[0]),
        report=machine.ssh(job.report),
        halt=machine.ssh(job.halt),
        delete=machine.delete(),
    )


def format_phases(phases: list[Phase]) -> str:
    """A shell script: comments say what for, every other line is a command."""
    return "\n\n".join(
        "\n".join([f"# {title}", *(quote(command) for command in commands)])
        for title, commands in phases
        if commands
    )
