"""Metrics of the steps since the last report, fetched without stalling the device."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from qlae.objectives.player import Metrics

Means = dict[str, np.ndarray]
_IN_FLIGHT = 3


class MetricsBuffer:
    """Collects each step's metrics on the device; averages them on the host when asked.

    Args:
        gather: what makes metrics of other processes' devices readable here.
    """

    def __init__(self, gather: Callable[[Any], Any] = lambda x: x) -> None:
        self._gather = gather
        self._steps: list[tuple[int, Metrics]] = []
        self._diverged: set[int] = set()

    def append(self, step: int, metrics: Metrics) -> None:
        """Adds the metrics (slots,) of a step that may still be running.

        Waits until at most `_IN_FLIGHT` are: enough to keep a device busy, and few enough that a
        request to stop is answered soon, however long a step takes.
        """
        self._steps.append((step, metrics))
        if len(self._steps) > _IN_FLIGHT:
            jax.block_until_ready(self._steps[-1 - _IN_FLIGHT][1])

    def fetch(self, *, newest: bool) -> tuple[Means, dict[int, str]]:
        """Averages the steps since the last fetch, and forgets them.

        Args:
            newest: also wait for the step that is still running. Leaving it for the next fetch
                keeps the device busy while the host reads.

        Returns:
            Means (slots,), those of a player over the steps on which it moved, without a player
            that never moved; and of each slot whose loss or gradient was NaN or infinite for the
            first time, where and what, in a line.
        """
        kept = [] if newest else self._steps[-1:]
        fetched = self._steps[: len(self._steps) - len(kept)]
        self._steps = kept
        rows: list[Means] = jax.device_get(self._gather([metrics for _, metrics in fetched]))
        return _average(rows), self._find_diverged([step for step, _ in fetched], rows)

    def _find_diverged(self, steps: list[int], rows: list[Means]) -> dict[int, str]:
        new: dict[int, str] = {}
        for step, metrics in zip(steps, rows, strict=True):
            for name, values in metrics.items():
                for slot in np.flatnonzero(~np.isfinite(values)).tolist():
                    if slot not in self._diverged:
                        new[slot] = f"{name} is {values[slot]} at step {step}"
                        self._diverged.add(slot)
        return new


def _average(rows: list[Means]) -> Means:
    if not rows:
        return {}
    total = {name: np.sum([step[name] for step in rows], axis=0) for name in rows[0]}
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
