"""Where arrays live: one mesh, and the three ways in which a run lays arrays on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from qlae.errors import UserError


@dataclass(frozen=True)
class Sharding:
    """A mesh of ('population', 'data') devices.

    A run alone has a population of one: its state is whole on every device and its batches are
    split over `data`. A step is written for the global batch, so whole-batch terms stay right.
    """

    mesh: Mesh

    @property
    def replicated(self) -> NamedSharding:
        """Whole on every device."""
        return NamedSharding(self.mesh, P())

    @property
    def batch(self) -> NamedSharding:
        """The leading axis split over `data`."""
        return NamedSharding(self.mesh, P("data"))

    @property
    def members(self) -> NamedSharding:
        """The leading axis split over `population`."""
        return NamedSharding(self.mesh, P("population"))

    @property
    def num_data(self) -> int:
        """How many devices share one global batch."""
        return self.mesh.shape["data"]

    def put_batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """Returns the global batch whose share of this process is `batch`."""
        return {
            name: jax.make_array_from_process_local_data(self.batch, array)
            for name, array in batch.items()
        }

    def abstract(self, tree: Any) -> Any:
        """Returns shapes and dtypes of a tree, replicated: the target of a restore."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.replicated),
            tree,
        )


def put(tree: Any, sharding: NamedSharding) -> Any:
    """Returns the tree laid out so; every process must hold the same values."""

    def put_leaf(leaf: Any) -> jax.Array:
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, array.__getitem__)

    return jax.tree.map(put_leaf, tree)


def make_sharding(
    *,
    batch_size: int,
    num_data: int = -1,
    num_population: int = 1,
    devices: Sequence[jax.Device] | None = None,
) -> Sharding:
    """Returns the sharding over all devices of all processes, or over the given ones.

    Args:
        batch_size: of the global batch, which `num_data` must divide.
        num_data: devices along `data`; -1 takes all that the population leaves.
        num_population: devices along `population`.
        devices: what the mesh is made of; None takes all.

    Raises:
        UserError: the mesh is not the devices, or the batch does not divide.
    """
    count = jax.device_count() if devices is None else len(devices)
    if num_population < 1 or (num_data < 1 and num_data != -1):
        raise UserError(
            f"config.mesh has population={num_population} and data={num_data}: each must be at "
            "least 1, or -1 to be chosen"
        )
    if num_data == -1:
        num_data = max(count // num_population, 1)
    if num_data * num_population != count:
        raise UserError(
            f"a mesh of {num_population} x {num_data} (population x data) needs "
            f"{num_population * num_data} devices, but there are {count}; "
            "set config.mesh.data=-1 to use them all"
        )
    if batch_size % num_data:
        near = max(batch_size // num_data, 1) * num_data
        raise UserError(
            f"config.batch_size={batch_size} does not divide by {num_data} devices along 'data'; "
            f"use a multiple of it, such as {near}"
        )
    axes: Any = {
        "axis_names": ("population", "data"),
        "axis_types": (AxisType.Auto, AxisType.Auto),
    }
    devices, shape = devices or jax.devices(), (num_population, num_data)
    if len({getattr(device, "slice_index", 0) for device in devices}) == 1:
        return Sharding(jax.make_mesh(shape, devices=devices, **axes))
    # jax.make_mesh refuses several slices; one after the other, so that members stay inside them.
    ordered = sorted(devices, key=lambda device: (device.slice_index, device.id))
    return Sharding(Mesh(np.asarray(ordered).reshape(shape), **axes))
