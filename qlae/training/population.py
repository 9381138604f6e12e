"""Many runs in one program: a leading axis of slots over the mesh's `population`."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
            slots = (states, hyperparameters)
            if self._loops:
                return jax.lax.map(lambda member: step(*member, batch), slots)
            members = (
                jax.tree.map(lambda leaf, slot=slot: leaf[slot], slots)
                for slot in range(self.slots_per_row)
            )
            results = [step(*member, batch) for member in members]
            return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

        return self._map(local_step, P("population"), P("population"), P(AXIS))

    @functools.cached_property
    def take(self) -> Callable[[Any, int], Any]:
        """Function from (stacked tree, member) to its tree, whole on every device."""
        return jax.jit(
            lambda stacked, slot: jax.tree.map(lambda leaf: leaf[slot], stacked),
            out_shardings=self.sharding.replicated,
        )

    @functools.cached_property
    def replace(self) -> Callable[[Any, int, Any], Any]:
        """Function from (stacked tree, member, its tree) to the stacked tree with that new."""
        return jax.jit(
            lambda stacked, slot, new: jax.tree.map(
                lambda leaf, value: leaf.at[slot].set(value), stacked, new
            ),
            donate_argnums=0,
            out_shardings=self.sharding.members,
        )

    @property
    def _loops(self) -> bool:
        """Whether members of a row share one compiled step, in a loop.

        Not on CPU: XLA computes convolutions in a loop twenty times slower there than outside.
        """
        platform = self.sharding.mesh.devices.flat[0].platform
        return self.slots_per_row > 1 and platform != "cpu"

    def _map(self, function: Callable[..., Any], *in_specs: P) -> Callable[..., Any]:
        return jax.shard_map(
            function,
            mesh=self.sharding.mesh,
            in_specs=in_specs,
            out_specs=P("population"),
            check_vma=False,
        )
