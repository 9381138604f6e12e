"""Where the metrics of training go: TensorBoard for every member, one live line for all."""

from collections.abc import Sequence

import jax
import numpy as np
from tensorboardX import SummaryWriter

from experiments.live_line import LiveLine
from qlae.run_directory import RunDirectory
from qlae.training.window import Means


class Reporter:
    """Reports the run, or the members of a population; does nothing in other processes."""

    def __init__(self, directories: Sequence[RunDirectory], num_steps: int, first_step: int):
        self._writers: list[SummaryWriter] = []
        if jax.process_index() == 0:
            self._writers = [SummaryWriter(str(run.path / "logs/train")) for run in directories]
            self._line = LiveLine(directories[0], num_steps, first_step)

    def report(self, step: int, means: Means) -> None:
        """Writes the mean metrics up to a step; those of a population are arrays (P,)."""
        for index, writer in enumerate(self._writers):
            for name, values in means.items():
                writer.add_scalar(f"train/{name}", np.atleast_1d(values)[index], step)
            writer.flush()
        if self._writers:
            self._line.show(step, {name: float(np.mean(values)) for name, values in means.items()})

    def close(self) -> None:
        """Leaves the last line on the screen."""
        for writer in self._writers:
            writer.close()
        if self._writers:
            self._line.close()
