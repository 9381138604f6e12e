"""Metrics of the steps since the last report, fetched without stalling the device."""

import jax
import numpy as np

from qlae.errors import TrainingFailed
from qlae.objectives.player import Metrics

Means = dict[str, np.ndarray]


class MetricWindow:
    """Collects each step's metrics on the device; averages them on the host when asked."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, Metrics]] = []

    def append(self, step: int, metrics: Metrics) -> None:
        """Adds the metrics of a step that may still be running."""
        self._steps.append((step, metrics))

    def fetch(self, *, newest: bool) -> Means:
        """Returns means since the last fetch and forgets those steps.

        A player's metrics are means over the steps on which it moved; a player that never moved
        has none. Of a population, each mean is an array (P,).

        Args:
            newest: also wait for the step that is still running. Leaving it for the next fetch
                keeps the device busy while the host reads.

        Raises:
            TrainingFailed: a loss or gradient was NaN or infinite, naming the first such step.
        """
        kept = [] if newest else self._steps[-1:]
        fetched = jax.device_get(self._steps[: len(self._steps) - len(kept)])
        self._steps = kept
        for step, metrics in fetched:
            for name, value in metrics.items():
                if not np.isfinite(value).all():
                    raise TrainingFailed(
                        f"{name} is {value} at step {step}: the run has diverged and "
                        "stopped; the last checkpoint is good. Lower "
                        "config.optimizer.learning_rate or look at the data"
                    )
        return _average([metrics for _, metrics in fetched])


def _average(metrics: list[dict]) -> Means:
    if not metrics:
        return {}
    total = {name: sum(step[name] for step in metrics) for name in metrics[0]}
    moved = {
        name.removeprefix("moved/"): total.pop(name) for name in list(total) if "moved/" in name
    }
    means = {}
    for name, value in total.items():
        player = name.split("/")[0]
        count = moved[player] if player in moved else next(iter(moved.values()))
        if np.all(count > 0):
            means[name] = value / count
    return means
