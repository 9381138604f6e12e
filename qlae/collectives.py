"""What a step needs of the batch's rows on other devices: every collective is sent from here.

A step is written once. Where the mesh axis `data` is mapped by hand (`training.layout`), it sees
the rows of one device, and what depends on all rows goes through here: so a step has exactly the
collectives that are written, in float32, whatever dtype the networks compute in. Elsewhere the rows
are the whole batch, and nothing here does anything.
"""

from typing import Any

import jax

AXIS = "data"


def is_split() -> bool:
    """Whether the code being traced sees one device's rows alone, and those are not all."""
    is_mapped = AXIS in jax.sharding.get_abstract_mesh().manual_axes
    # On one device XLA would keep a collective for nothing, and fuse nothing across it.
    return is_mapped and jax.lax.axis_size(AXIS) > 1


def mean_over_shares(tree: Any) -> Any:
    """Returns the mean over devices of what each computed from its equal share."""
    return jax.lax.pmean(tree, AXIS) if is_split() else tree


def gather_rows(x_Bx: jax.Array) -> jax.Array:
    """Returns the whole batch's rows of an array whose leading axis is the batch's."""
    return jax.lax.all_gather(x_Bx, AXIS, tiled=True) if is_split() else x_Bx


def whole_size(size: int) -> int:
    """Returns the size of the whole batch, given that of a share."""
    return size * jax.lax.axis_size(AXIS) if is_split() else size


def take_share(tree: Any) -> Any:
    """Returns this device's rows of arrays that have equally many for each device."""
    if not is_split():
        return tree

    def take(x: jax.Array) -> jax.Array:
        size = x.shape[0] // jax.lax.axis_size(AXIS)
        return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(AXIS) * size, size)

    return jax.tree.map(take, tree)
