"""Where the reports of a run go: TensorBoard's files in its directory, and W&B where asked."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from qlae.common.event_log import EventLog
from qlae.common.wandb_log import WandbLog, find_project


def open_logs(directory: epath.Path, first_step: int | None = None) -> "Logs":
    """Opens the logs of a run's part.

    Args:
        directory: where TensorBoard's events go: RUN/logs/PART.
        first_step: what earlier starts wrote from this step on is forgotten.
    """
    logs: list[EventLog | WandbLog] = [EventLog(directory, first_step)]
    project = find_project()
    if project:
        try:
            logs.append(WandbLog(directory, project))
        except Exception as error:  # A service's failure is no reason to lose the curves here.
            print(f"\nno reports to Weights & Biases: {error}", file=sys.stderr, flush=True)
    return Logs(logs)


class Logs:
    """Hands every record to each of several logs; `EventLog` explains them."""

    def __init__(self, logs: Sequence[EventLog | WandbLog]):
        self._logs = logs

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Adds one number."""
        for log in self._logs:
            log.add_scalar(name, value, step)

    def add_image(self, name: str, image_HxWxC: Any, step: int) -> None:
        """Adds one picture, uint8."""
        for log in self._logs:
            log.add_image(name, image_HxWxC, step)

    def add_histogram(self, name: str, values: Any, step: int) -> None:
        """Adds the distribution of numbers."""
        for log in self._logs:
            log.add_histogram(name, values, step)

    def add_text(self, name: str, text: str, step: int) -> None:
        """Adds a text."""
        for log in self._logs:
            log.add_text(name, text, step)

    def add_hyperparameters(self, values: Mapping[str, Any]) -> None:
        """Adds a row of the table of runs."""
        for log in self._logs:
            log.add_hyperparameters(values)

    def flush(self) -> None:
        """Makes what was added visible."""
        for log in self._logs:
            log.flush()

    def close(self) -> None:
        """Makes all that was added visible."""
        for log in self._logs:
            log.close()
