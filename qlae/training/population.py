"""Many runs in one program: a leading axis of members over the mesh's `population`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from qlae.training.checkpoint import Checkpoints
from qlae.training.state import TrainState


def stack_members(trees: Sequence[Any]) -> Any:
    """Returns one tree whose leaves have a leading axis of members."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def make_population_init(init: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
    """Returns the function from seeds (P,) to the members' stacked states."""
    return lambda seeds_P: jax.lax.map(init, seeds_P)


def make_population_step(step: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Returns the step of all members on one batch, each as if it ran alone.

    Members are split over `population` by hand, so that no collective can cross them, and those of
    one device run one after the other: a step of batched kernels would be a grouped convolution,
    which no backend is fast at. Inside a member the batch is split over `data` as always.

    Args:
        step: (state, hyperparameters, batch) -> (state, metrics) of one member.
        mesh: with axes 'population' and 'data'.
    """

    def local_step(states: Any, hyperparameters: Any, batch: Any) -> Any:
        return jax.lax.map(lambda member: step(*member, batch), (states, hyperparameters))

    return jax.shard_map(
        local_step,
        mesh=mesh,
        in_specs=(P("population"), P("population"), P()),
        out_specs=(P("population"), P("population")),
        axis_names={"population"},
        check_vma=False,
    )


class PopulationCheckpoints:
    """Saves each member of a stacked state as a run of its own, and stacks them again."""

    def __init__(self, members: Sequence[Checkpoints], shardings: Any):
        self._members = members
        self._replicated, self._stacked = shardings
        self._take = jax.jit(
            lambda tree, index: jax.tree.map(lambda leaf: leaf[index], tree),
            out_shardings=self._replicated,
        )

    def save(self, step: int, state: TrainState, position: dict[str, Any]) -> None:
        """Begins to save a step of every member."""
        for index, member in enumerate(self._members):
            member.save(step, self._take(state, index), position)

    def restore(self, abstract_state: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest state that all members have, or None if there is none.

        Args:
            abstract_state: of one member.
        """
        common = set.intersection(*(set(member.list_steps()) for member in self._members))
        if not common:
            return None
        restored = [member.restore(abstract_state, max(common)) for member in self._members]
        states, positions = zip(*filter(None, restored), strict=True)
        stacked = jax.jit(stack_members, out_shardings=self._stacked)(list(states))
        return stacked, positions[0]

    def close(self) -> None:
        """Waits for the last saves."""
        for member in self._members:
            member.close()
