"""Where arrays live: one mesh, and the three ways in which a run lays arrays on it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from qlae.batch import AXIS
from qlae.common.errors import UserError


@dataclass(frozen=True)
class Sharding:
    """A mesh of ('population', 'data') devices.

    A run alone has a population of one: its state is whole on every device and its batches are
    split over `data`.
    """

    mesh: Mesh

    @property
    def replicated(self) -> NamedSharding:
        """Whole on every device."""
        return NamedSharding(self.mesh, P())

    @property
    def batch(self) -> NamedSharding:
        """The leading axis split over `data`."""
        return NamedSharding(self.mesh, P(AXIS))

    @property
    def members(self) -> NamedSharding:
        """The leading axis split over `population`."""
        return NamedSharding(self.mesh, P("population"))

    @property
    def num_data(self) -> int:
        """How many devices share one global batch."""
        return self.mesh.shape[AXIS]

    @functools.cached_property
    def process_share(self) -> tuple[int, int]:
        """Which of how many equal runs of a global batch this process feeds to its devices.

        Processes along `population` feed the same run.

        Raises:
            UserError: the places of its devices along `data` are no such run.
        """
        mine = np.vectorize(_is_local)(self.mesh.devices)
        places = np.flatnonzero(mine.any(axis=0))
        start, size = int(places[0]), len(places)
        if places[-1] - start + 1 != size or start % size or self.num_data % size:
            raise UserError(
                f"config.mesh.data={self.num_data} cuts across the devices of a process; choose "
                "one that divides the devices of a process, or is a multiple of them"
            )
        return start // size, self.num_data // size

    def gather(self, tree: Any) -> Any:
        """Returns the tree so that every process can read it whole; all must call it alike."""
        leaves = jax.tree.leaves(tree)
        if all(leaf.is_fully_addressable or leaf.is_fully_replicated for leaf in leaves):
            return tree
        return self._replicate(tree)

    @functools.cached_property
    def _replicate(self) -> Callable[[Any], Any]:
        return jax.jit(lambda tree: tree, out_shardings=self.replicated)

    def put_batch(self, share: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """Returns the global batch of which this process holds `share` (`process_share`)."""
        return {
            name: jax.make_array_from_process_local_data(
                self.batch, array, (len(array) * self.process_share[1], *array.shape[1:])
            )
            for name, array in share.items()
        }

    def map_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the step of a lone run, (state, hyperparameters, batch), over the mesh.

        Each device takes its share of the batch; what crosses devices is what `qlae.batch` sends.
        """
        return jax.shard_map(
            step,
            mesh=self.mesh,
            in_specs=(P(), P(), P(AXIS)),
            out_specs=P(),
            check_vma=False,
        )

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


def choose_mesh(
    num_devices: int,
    batch_size: int,
    *,
    num_members: int = 1,
    num_population: int = -1,
    num_data: int = -1,
) -> tuple[int, int]:
    """Returns how many devices lie along `population` and along `data`.

    Args:
        num_devices: in all.
        batch_size: of the global batch, which the devices along `data` share evenly.
        num_members: of the population; 1 for a lone run.
        num_population: -1 takes a row of devices for each member, or for as many as there can be.
        num_data: -1 takes all that the population leaves.

    Raises:
        UserError: these numbers do not go together.
    """
    if any(count < 1 and count != -1 for count in (num_population, num_data)):
        raise UserError(
            f"config.mesh has population={num_population} and data={num_data}: each must be at "
            "least 1, or -1 to be chosen"
        )
    if num_population > 1 and num_members == 1:
        raise UserError(
            f"config.mesh.population={num_population}, but this is one run; leave it at -1"
        )
    if num_population == -1:
        rows = max(num_devices // max(num_data, 1), 1)
        num_population = next(
            (count for count in range(num_members, rows) if num_devices % count == 0), rows
        )
    if num_data == -1:
        num_data = max(num_devices // num_population, 1)
    if num_data * num_population != num_devices:
        raise UserError(
            f"a mesh of {num_population} x {num_data} (population x data) needs "
            f"{num_population * num_data} devices, but there are {num_devices}; "
            "set config.mesh.data=-1 to use them all"
        )
    if batch_size < 1:
        raise UserError(f"config.batch_size={batch_size}: it must be at least 1")
    if batch_size % num_data:
        near = max(batch_size // num_data, 1) * num_data
        raise UserError(
            f"config.batch_size={batch_size} does not divide by {num_data} devices along 'data'; "
            f"use a multiple of it, such as {near}, fewer devices, or a population"
        )
    return num_population, num_data


def make_sharding(
    shape: tuple[int, int] | None = None, devices: Sequence[jax.Device] | None = None
) -> Sharding:
    """Returns the sharding over all devices of all processes, or over the given ones.

    Args:
        shape: devices along `population` and `data`; None puts all along `data`.
        devices: what the mesh is made of; None takes all.
    """
    # In the order of slices and processes, so that a member stays within them and a process feeds
    # one run of the batch. An all-reduce over a whole slice finds its rings by itself.
    ordered = sorted(
        devices or jax.devices(),
        key=lambda device: (getattr(device, "slice_index", 0), device.process_index),
    )
    return Sharding(
        Mesh(
            np.asarray(ordered).reshape(shape or (1, -1)),
            ("population", AXIS),
            axis_types=(AxisType.Auto, AxisType.Auto),
        )
    )


def _is_local(device: jax.Device) -> bool:
    return device.process_index == jax.process_index()
