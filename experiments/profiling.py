"""A profile of a few steps, on request: `--config.profile.steps=10,20`."""

from collections.abc import Callable
from typing import Any

import jax
from absl import logging

from qlae.run_directory import RunDirectory


def profile_steps(
    take_step: Callable[[Any], tuple[Any, Any]],
    steps: tuple[int, ...],
    run: RunDirectory,
) -> Callable[[Any], tuple[Any, Any]]:
    """Returns `take_step`, traced from the first of `steps` to the last, counted from this start.

    The trace goes to the run's `profile/`, for TensorBoard's profile plugin or Perfetto.
    """
    if not steps:
        return take_step
    directory, count = run.path / "profile", 0

    def take_profiled_step(state: Any) -> tuple[Any, Any]:
        nonlocal count
        count += 1
        if count == steps[0]:
            jax.profiler.start_trace(str(directory))
        state, metrics = take_step(state)
        if count == steps[-1]:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            logging.info("profile of steps %d to %d in %s", steps[0], steps[-1], directory)
        return state, metrics

    return take_profiled_step
