"""The loop: draw a batch, take a step, report, save."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from qlae.objectives.player import Metrics
from qlae.training.metrics_buffer import Means, MetricsBuffer
from qlae.training.state import TrainState


@dataclass(frozen=True)
class Schedule:
    """When a run reports, saves and ends, in steps."""

    num_steps: int
    checkpoint_every: int
    log_every: int

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due after a step."""
        return step % self.checkpoint_every == 0 or step == self.num_steps


class Keeper(Protocol):
    """What the loop reports to, saves to, and asks whether to go on."""

    def report(self, step: int, means: Means, diverged: dict[int, str]) -> None:
        """Receives the mean metrics (slots,) up to a step, and which slots diverged, and how.

        Raises:
            RunFailed: nothing is left to train.
        """

    def save(self, step: int, state: TrainState) -> None:
        """Begins to save the state after a step; it may be donated as soon as this returns."""

    def stops(self, step: int) -> bool:
        """Whether the run was asked to save and end after this step."""


def train(
    state: TrainState,
    step: int,
    take_step: Callable[[TrainState], tuple[TrainState, Metrics]],
    schedule: Schedule,
    keeper: Keeper,
    buffer: MetricsBuffer,
) -> int:
    """Trains to the end of the schedule, or until asked to stop; returns the last step.

    The order is a law: a step is reported and saved before the next batch is drawn, so a
    checkpoint's data position is that of its step. Who diverged is told before anything is saved.

    Args:
        state: stacked over slots; donated to each step in turn.
        step: the number of steps that `state` has taken.
        take_step: draws a batch and dispatches the step on it, without waiting.
        schedule: when to report, save and end.
        keeper: what becomes of metrics and states, and whether to stop.
        buffer: where metrics wait to be reported, empty.
    """
    while step < schedule.num_steps:
        state, metrics = take_step(state)
        step += 1
        buffer.append(step, metrics)
        stopping = keeper.stops(step)
        saves = schedule.saves(step) or stopping
        if saves or step % schedule.log_every == 0:
            keeper.report(step, *buffer.fetch(newest=saves))
        if saves:
            keeper.save(step, state)
        if stopping:
            break
    return step
