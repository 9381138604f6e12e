"""Where the metrics of training go: TensorBoard for every member, one live line for all."""

from collections.abc import Sequence

import jax
import numpy as np
from tensorboardX import SummaryWriter

from experiments.live_line import LiveLine
from experiments.members import Member
from qlae.training.window import Means


class Reporter:
    """Reports the run, or the members of a population; does nothing in other processes.

    Args:
        members: in the order of their metrics.
        num_steps: at which training ends.
        first_step: at which it begins.
    """

    def __init__(self, members: Sequence[Member], num_steps: int, first_step: int):
        self._writers: list[SummaryWriter] = []
        self._line = None
        if jax.process_index() == 0:
            paths = (member.directory.path / "logs/train" for member in members)
            self._writers = [SummaryWriter(str(path)) for path in paths]
            self._line = LiveLine(members[0].directory, num_steps, first_step)

    def report(self, step: int, means: Means) -> None:
        """Writes the mean metrics (R,) up to a step."""
        for index, writer in enumerate(self._writers):
            for name, values_R in means.items():
                writer.add_scalar(f"train/{name}", values_R[index], step)
            writer.flush()
        if self._line:
            self._line.show(step, {name: _mean_finite(values) for name, values in means.items()})

    def close(self) -> None:
        """Leaves the last line on the screen."""
        for writer in self._writers:
            writer.close()
        if self._line:
            self._line.close()


def _mean_finite(values_R: np.ndarray) -> float:
    """Returns the mean over members that have not diverged."""
    return float(np.mean(values_R, where=np.isfinite(values_R)))
