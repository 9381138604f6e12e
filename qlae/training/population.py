"""Many runs in one program: a leading axis of slots over the mesh's `population`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from qlae.batch import AXIS
from qlae.training.sharding import Sharding


@dataclass(frozen=True)
class Population:
    """The members of a population, and the slots of the mesh that train them.

    Row r of the mesh trains the r-th of equal runs of slots, one after the other: a step of batched
    kernels would be a grouped convolution, which no backend is fast at. Slots beyond the last
    member repeat it and are looked at by nobody.
    """

    sharding: Sharding
    num_members: int

    @property
    def slots_per_row(self) -> int:
        """Members that one row of the mesh trains."""
        return -(-self.num_members // self.sharding.mesh.shape["population"])

    @property
    def num_slots(self) -> int:
        """The size of the leading axis."""
        return self.slots_per_row * self.sharding.mesh.shape["population"]

    @property
    def members_here(self) -> list[int]:
        """Members that devices of this process train, ascending."""
        return [m for m in range(self.num_members) if jax.process_index() in self.get_processes(m)]

    def get_processes(self, member: int) -> list[int]:
        """Returns the processes that train a member, ascending; the first writes its files."""
        return sorted({device.process_index for device in self._get_row(member)})

    def get_sharding(self, member: int) -> NamedSharding:
        """Returns how one member's arrays lie where it is trained: whole on each device."""
        return NamedSharding(Mesh(self._get_row(member), (AXIS,)), P())

    def stack(self, trees: Sequence[Any]) -> Any:
        """Returns one tree of numpy arrays (slots, ...), given one tree of scalars a member."""
        padded = [*trees, *[trees[-1]] * (self.num_slots - len(trees))]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *padded)

    def map_init(self, init: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
        """Returns the function from seeds (slots,) to stacked states."""
        return self._map(lambda seeds: jax.lax.map(init, seeds), P("population"))

    def map_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the step of all members on one batch, each as if it ran alone.

        Rows are mapped by hand, so that no collective can cross them.

        Args:
            step: (state, hyperparameters, batch) -> (state, metrics) of one member.
        """

        def local_step(states: Any, hyperparameters: Any, batch: Any) -> Any:
            return jax.lax.map(lambda member: step(*member, batch), (states, hyperparameters))

        return self._map(local_step, P("population"), P("population"), P(AXIS))

    def take(self, stacked: Any, member: int) -> Any:
        """Returns one member's tree, on its own devices; call it where it is trained."""
        sharding, slot = self.get_sharding(member), member % self.slots_per_row

        def take_leaf(leaf: jax.Array) -> jax.Array:
            pieces = [
                shard.data[slot]
                for shard in leaf.addressable_shards
                if shard.device in sharding.device_set
            ]
            return jax.make_array_from_single_device_arrays(leaf.shape[1:], sharding, pieces)

        return jax.tree.map(take_leaf, stacked)

    def replace(self, stacked: Any, trees: Mapping[int, Any]) -> Any:
        """Returns the stacked tree with the slots of these members, which are trained here, new."""
        members = list(trees)

        def replace_leaf(leaf: jax.Array, *new: jax.Array) -> jax.Array:
            pieces = {shard.device: shard.data for shard in leaf.addressable_shards}
            for member, array in zip(members, new, strict=True):
                for shard in array.addressable_shards:
                    slot = member % self.slots_per_row
                    pieces[shard.device] = pieces[shard.device].at[slot].set(shard.data)
            return jax.make_array_from_single_device_arrays(
                leaf.shape, leaf.sharding, list(pieces.values())
            )

        return jax.tree.map(replace_leaf, stacked, *trees.values())

    def _get_row(self, member: int) -> np.ndarray:
        return self.sharding.mesh.devices[member // self.slots_per_row]

    def _map(self, function: Callable[..., Any], *in_specs: P) -> Callable[..., Any]:
        return jax.shard_map(
            function,
            mesh=self.sharding.mesh,
            in_specs=in_specs,
            out_specs=P("population"),
            check_vma=False,
        )


def choose_num_population(num_members: int, num_devices: int) -> int:
    """Returns how many rows serve a population best: one member a row, or as many as there are.

    It is the smallest divisor of the number of devices that is at least the number of members.
    """
    return next(
        (rows for rows in range(num_members, num_devices) if num_devices % rows == 0), num_devices
    )
