"""Scalars for TensorBoard, written by the first process alone."""

import jax
from etils import epath
from tensorboardX import SummaryWriter


class ScalarWriter:
    """Writes scalars below a directory; does nothing in the other processes of a run."""

    def __init__(self, directory: epath.Path):
        self._writer = SummaryWriter(str(directory)) if jax.process_index() == 0 else None

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Adds the scalars of a step, by their full names."""
        if self._writer is None:
            return
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
