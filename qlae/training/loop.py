"""The loop: draw a batch, take a step, report, save."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from qlae.objectives.player import Metrics
from qlae.training.checkpoint import Checkpoints
from qlae.training.population_checkpoints import PopulationCheckpoints
from qlae.training.preemption import Preemption
from qlae.training.state import TrainState
from qlae.training.window import Means, MetricWindow

TakeStep = Callable[[TrainState, Any], tuple[TrainState, Metrics]]
Report = Callable[[int, Means], None]
Fail = Callable[[int, str], None]


@dataclass(frozen=True)
class Schedule:
    """When a run reports, saves and ends, in steps."""

    num_steps: int
    checkpoint_every: int
    log_every: int

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due after a step."""
        return step % self.checkpoint_every == 0 or step == self.num_steps


def train(
    state: TrainState,
    step: int,
    batches: Iterator[Any],
    take_step: TakeStep,
    *,
    schedule: Schedule,
    window: MetricWindow,
    checkpoints: Checkpoints | PopulationCheckpoints,
    get_position: Callable[[], dict[str, Any]],
    report: Report,
    fail: Fail,
    preemption: Preemption,
) -> int:
    """Trains to the end of the schedule, or until asked to stop; returns the last step.

    The order is a law: a step is reported and saved before the next batch is drawn, so a
    checkpoint's data position is that of its step.

    Args:
        state: donated to each step in turn.
        step: the number of steps that `state` has taken.
        batches: global device batches, endless.
        take_step: (state, batch) -> (state, metrics), dispatched without waiting.
        schedule: when to report, save and end.
        window: where metrics wait to be reported, empty.
        checkpoints: where to save.
        get_position: JSON to save beside the state.
        report: receives a step and the mean metrics up to it, (R,) by run.
        fail: receives which run diverged, and why, before anything after that is saved; raises
            where nothing is left to train.
        preemption: whether the run was asked to stop.

    Raises:
        RunFailed: by `fail`.
        UserError: a checkpoint could not be written.
    """
    while step < schedule.num_steps:
        state, metrics = take_step(state, next(batches))
        step += 1
        window.append(step, metrics)
        stopping = preemption.requested(step)
        saves = schedule.saves(step) or stopping
        if saves or step % schedule.log_every == 0:
            means, diverged = window.fetch(newest=saves)
            for run, reason in diverged.items():
                fail(run, reason)
            report(step, means)
        if saves:
            checkpoints.save(step, state, get_position())
        if stopping:
            break
    return step
