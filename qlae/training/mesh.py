"""The mesh of devices: how many lie along `population`, and how many along `data`."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from qlae.collectives import AXIS
from qlae.common.errors import UserError

POPULATION = "population"


def make_mesh(
    shape: tuple[int, int] | None = None, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """Returns the mesh of all devices of all processes, or of the given ones.

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
    return Mesh(
        np.asarray(ordered).reshape(shape or (1, -1)),
        (POPULATION, AXIS),
        axis_types=(AxisType.Auto, AxisType.Auto),
    )


def choose_mesh_shape(
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
        num_members: of the population.
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
    if num_population > num_members:
        raise UserError(
            f"config.mesh.population={num_population} is more than the number of members, "
            f"{num_members}; leave it at -1"
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
    if batch_size % num_data:
        near = max(batch_size // num_data, 1) * num_data
        raise UserError(
            f"config.batch_size={batch_size} does not divide by {num_data} devices along 'data'; "
            f"use a multiple of it, such as {near}, fewer devices, or a population"
        )
    return num_population, num_data
