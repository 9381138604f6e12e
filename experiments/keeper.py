"""What the training loop reports to, saves to, and asks whether to go on."""

from dataclasses import dataclass

from grain import DatasetIterator

from experiments.goodput import Goodput
from experiments.population import Population
from experiments.reporter import Reporter, SilentReporter
from qlae.run_directory import get_versions
from qlae.training.checkpoints import Checkpoints
from qlae.training.metrics_buffer import Means
from qlae.training.preemption import Preemption
from qlae.training.state import TrainState


@dataclass(frozen=True)
class PopulationKeeper:
    """Keeps the results of a population's living members; a `qlae.training.loop.Keeper`."""

    population: Population
    reporter: Reporter | SilentReporter
    checkpoints: Checkpoints
    batches: DatasetIterator
    preemption: Preemption
    goodput: Goodput

    def report(self, step: int, means: Means, diverged: dict[int, str]) -> None:
        """Ends the members that diverged, then reports the others.

        Raises:
            RunFailed: no member is left.
            StorageError: another process has taken over.
        """
        if self.population.lease:
            self.population.lease.check()
        self.population.fail(diverged)
        self.reporter.report(step, means)

    def save(self, step: int, state: TrainState) -> None:
        """Begins to save the living, and where the data stands."""
        self.goodput.enter("saving")
        position = {"data": self.batches.get_state(), "versions": get_versions()}
        self.checkpoints.save(step, state, self.population.living, position)

    def stops(self, step: int) -> bool:
        """Whether this machine, or another of the run's, was asked to stop."""
        return self.preemption.requested(step)
