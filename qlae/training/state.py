"""All that a training step reads and writes, as one pytree of plain arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import nnx

from qlae.nn.init import draw_params
from qlae.objectives.player import Player

Params = dict[str, Any]


@flax.struct.dataclass
class TrainState:
    """What changes from step to step; a checkpoint holds exactly this and the data position.

    Attributes:
        step: () int32, the number of steps taken.
        params: pure dict of the model's parameters.
        opt_state: optimizer state by player name.
        rng: (2,) uint32 key data, never advanced: the draws of a step come from (rng, step).
    """

    step: jax.Array
    params: Params
    opt_state: dict[str, Any]
    rng: jax.Array


@flax.struct.dataclass
class Hyperparameters:
    """The scalars that a sweep varies: traced, so that no value of them compiles a new program.

    Attributes:
        learning_rate: () float.
        weight_decay: () float.
        weights: () float by loss term.
    """

    learning_rate: jax.Array
    weight_decay: jax.Array
    weights: dict[str, jax.Array]


def pure_params(model: nnx.Module) -> Params:
    """Returns the model's parameters as a pure dict of arrays."""
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def init_state(
    make_model: Callable[[], nnx.Module],
    players: Sequence[Player],
    init_opt_state: Callable[[Player, Params], Any],
    seed: int | jax.Array,
) -> TrainState:
    """Returns the state before the first step, a pure function of the seed."""
    key_model, key_draws = jax.random.split(jax.random.key(seed))
    model = make_model()
    draw_params(model, key_model)
    # Of no weak type, as a restored state has none: the two must be one program's arguments.
    params = jax.tree.map(lambda leaf: leaf.astype(leaf.dtype), pure_params(model))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state={player.name: init_opt_state(player, params) for player in players},
        rng=jax.random.key_data(key_draws),
    )


def select(tree: Params, player: Player) -> Params:
    """Returns the part of a parameter-shaped tree that a player trains."""
    # Latents without parameters have no entry.
    return {name: tree[name] for name in player.trains if name in tree}
