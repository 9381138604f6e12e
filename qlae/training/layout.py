"""Where arrays live: members along the mesh's `population`, batches along its `data`.

The state of a run is stacked over slots, always: a lone run is a population of one.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from qlae.collectives import AXIS
from qlae.training.mesh import POPULATION


@dataclass(frozen=True)
class Layout:
    """How the members of a population, and the batch that they share, lie on a mesh.

    Row r of the mesh trains the r-th of equal runs of slots, one after the other: a step of batched
    kernels would be a grouped convolution, which no backend is fast at. A slot that has no member
    of its own (`assign_slots`) repeats another and is looked at by nobody.
    """

    mesh: Mesh
    num_members: int = 1

    @property
    def replicated(self) -> NamedSharding:
        """Whole on every device."""
        return NamedSharding(self.mesh, P())

    @property
    def members(self) -> NamedSharding:
        """The leading axis split over `population`: where all that is stacked over slots lives."""
        return NamedSharding(self.mesh, P(POPULATION))

    @property
    def batch(self) -> NamedSharding:
        """The leading axis split over `data`."""
        return NamedSharding(self.mesh, P(AXIS))

    @property
    def num_slots(self) -> int:
        """The size of the leading axis: the members, rounded up to equally many a row."""
        rows = self.mesh.shape[POPULATION]
        return -(-self.num_members // rows) * rows

    def assign_slots(self, living: Sequence[int]) -> list[int]:
        """Returns the member that each slot trains: its own, or, for want of that, a living one."""
        own = set(living)
        return [slot if slot in own else living[0] for slot in range(self.num_slots)]

    def put_stacked(self, trees: Sequence[Any]) -> Any:
        """Returns one tree of device arrays (slots, ...), given one tree of numbers a slot.

        Every process must hold the same values.
        """

        def put(*leaves: Any) -> jax.Array:
            stacked = np.stack([np.asarray(leaf) for leaf in leaves])
            return jax.make_array_from_callback(stacked.shape, self.members, stacked.__getitem__)

        return jax.tree.map(put, *trees)

    @functools.cached_property
    def take_member(self) -> Callable[[Any, int], Any]:
        """Function from (stacked tree, slot) to that member's tree, whole on every device."""
        return jax.jit(
            lambda stacked, slot: jax.tree.map(lambda leaf: leaf[slot], stacked),
            out_shardings=self.replicated,
        )

    def map_init(self, init: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
        """Returns the function from seeds (slots,) to stacked states."""
        return self._map(lambda seeds: jax.lax.map(init, seeds), P(POPULATION))

    def map_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the step of all members on one batch, each as if it ran alone.

        Rows are mapped by hand, so that no collective can cross them; and each device takes its
        share of the batch, so that what crosses devices is what `qlae.collectives` sends.

        Args:
            step: (state, hyperparameters, batch) -> (state, metrics) of one member.
        """

        def step_slots(states: Any, hyperparameters: Any, batch: Any) -> Any:
            slots = (states, hyperparameters)
            return self._for_each_slot(lambda member: step(*member, batch), slots)

        return self._map(step_slots, P(POPULATION), P(POPULATION), P(AXIS))

    def gather(self, tree: Any) -> Any:
        """Returns the tree so that every process can read it whole; all must call it alike."""
        leaves = jax.tree.leaves(tree)
        if all(leaf.is_fully_addressable or leaf.is_fully_replicated for leaf in leaves):
            return tree
        return self._replicate(tree)

    def _for_each_slot(self, function: Callable[[Any], Any], slots: Any) -> Any:
        """Does the same to each slot of a row, and stacks the results.

        The slots share one compiled program, in a loop; but not on CPU, where XLA computes
        convolutions in a loop twenty times slower than outside, and not where there is one.
        """
        count = jax.tree.leaves(slots)[0].shape[0]
        if count > 1 and self.mesh.devices.flat[0].platform != "cpu":
            return jax.lax.map(function, slots)
        results = [
            function(jax.tree.map(lambda leaf, slot=slot: leaf[slot], slots))
            for slot in range(count)
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

    def _map(self, function: Callable[..., Any], *in_specs: P) -> Callable[..., Any]:
        return jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=in_specs,
            out_specs=P(POPULATION),
            check_vma=False,
        )

    @functools.cached_property
    def _replicate(self) -> Callable[[Any], Any]:
        return jax.jit(lambda tree: tree, out_shardings=self.replicated)
