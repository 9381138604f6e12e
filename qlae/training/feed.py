"""How the processes of a run feed its devices: each its share of every global batch."""

import functools
from dataclasses import dataclass

import jax
import numpy as np

from qlae.collectives import AXIS
from qlae.common.errors import UserError
from qlae.training.layout import Layout


@dataclass(frozen=True)
class Feed:
    """The way of this process's images onto the devices of a layout."""

    layout: Layout

    @functools.cached_property
    def share(self) -> tuple[int, int]:
        """Which of how many equal runs of a global batch this process feeds to its devices.

        Processes along `population` feed the same run.

        Raises:
            UserError: the places of its devices along `data` are no such run.
        """
        mine = np.vectorize(_is_local)(self.layout.mesh.devices)
        places = np.flatnonzero(mine.any(axis=0))
        num_data = self.layout.mesh.shape[AXIS]
        start, size = int(places[0]), len(places)
        if places[-1] - start + 1 != size or start % size or num_data % size:
            raise UserError(
                f"config.mesh.data={num_data} cuts across the devices of a process; choose "
                "one that divides the devices of a process, or is a multiple of them"
            )
        return start // size, num_data // size

    def put(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """Returns the global batch of which this process holds its `share`."""
        _, num_shares = self.share
        return {
            name: jax.make_array_from_process_local_data(
                self.layout.batch, array, (len(array) * num_shares, *array.shape[1:])
            )
            for name, array in batch.items()
        }


def _is_local(device: jax.Device) -> bool:
    return device.process_index == jax.process_index()
