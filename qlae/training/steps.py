"""The train step: every player moves once, on one batch, in one program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from qlae.collectives import mean_over_shares, take_share, whole_size
from qlae.objectives.player import Draws, Metrics, Player
from qlae.training.state import Hyperparameters, Params, TrainState, select

Batch = dict[str, jax.Array]
MakeOptimizer = Callable[[Player, Hyperparameters, jax.Array], optax.GradientTransformation]
Update = Callable[..., tuple[Params, Any, Metrics, Draws]]


def make_update(graphdef: nnx.GraphDef, player: Player, make_optimizer: MakeOptimizer) -> Update:
    """Returns the pure function by which one player moves its parameters.

    It maps (params, opt_state, hyperparameters, image, draws, step) to (params, opt_state,
    metrics, handed): `loss/total`, `loss/<term>` for each term, and `grad_norm`, all () float.
    """

    def update(
        params: Params,
        opt_state: Any,
        hyperparameters: Hyperparameters,
        image: jax.Array,
        draws: Draws,
        step: jax.Array,
    ) -> tuple[Params, Any, Metrics, Draws]:
        def compute_loss(trained: Params) -> tuple[jax.Array, tuple[Metrics, Draws]]:
            model = nnx.merge(graphdef, params | trained)
            found = player.loss(model, image, draws, hyperparameters.weights, step)
            return found[0], found[1:]

        trained = select(params, player)
        (total, (terms, handed)), grads = jax.value_and_grad(compute_loss, has_aux=True)(trained)
        total, terms, grads = mean_over_shares((total, terms, grads))
        optimizer = make_optimizer(player, hyperparameters, step)
        updates, opt_state = optimizer.update(grads, opt_state, trained)
        metrics = {"loss/total": total, "grad_norm": optax.global_norm(grads)}
        metrics |= {f"loss/{name}": term for name, term in terms.items()}
        return params | optax.apply_updates(trained, updates), opt_state, metrics, handed

    return update


def make_train_step(
    graphdef: nnx.GraphDef,
    players: Sequence[Player],
    make_optimizer: MakeOptimizer,
    prepare_image: Callable[[Batch], jax.Array],
) -> Callable[[TrainState, Hyperparameters, Batch], tuple[TrainState, Metrics]]:
    """Returns the pure train step; the caller jits and shards it.

    Args:
        graphdef: of the model.
        players: in the order in which they move.
        make_optimizer: player, hyperparameters, step -> its optimizer.
        prepare_image: batch -> (B, H, W, C) float32 in [0, 1], on the device.

    Returns:
        (state, hyperparameters, batch) -> (state, metrics). Metrics are those of `make_update`,
        prefixed by the player's name where there are several. A player that sits a step out
        reports zeros, and `moved/<player>` says whether it moved.
    """
    updates = {player.name: make_update(graphdef, player, make_optimizer) for player in players}

    def train_step(
        state: TrainState, hyperparameters: Hyperparameters, batch: Batch
    ) -> tuple[TrainState, Metrics]:
        image = prepare_image(batch)
        key_step = jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step)
        params, opt_state = state.params, dict(state.opt_state)
        metrics: Metrics = {}
        handed: Draws = {}
        for index, player in enumerate(players):
            model = nnx.merge(graphdef, params)
            # Drawn for the whole batch, so that they do not depend on the number of devices.
            size = whole_size(image.shape[0])
            draws = take_share(player.draw(model, jax.random.fold_in(key_step, index), size))
            args = (hyperparameters, image, draws | handed, state.step)
            moves = state.step % player.every == player.every - 1
            update = _maybe(updates[player.name], player, moves)
            params, opt_state[player.name], moved, given = update(
                params, opt_state[player.name], *args
            )
            handed |= given
            prefix = f"{player.name}/" if len(players) > 1 else ""
            metrics |= {prefix + name: value for name, value in moved.items()}
            metrics[f"moved/{player.name}"] = moves.astype(jnp.float32)
        return TrainState(state.step + 1, params, opt_state, state.rng), metrics

    return train_step


def _maybe(update: Update, player: Player, moves: jax.Array) -> Update:
    """Returns the update, or one that leaves all as it is when it is not the player's turn."""
    if player.every == 1:
        return update

    def maybe_update(params: Params, opt_state: Any, *args) -> tuple[Params, Any, Metrics, Draws]:
        shapes = jax.eval_shape(update, params, opt_state, *args)[2:]
        idle = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return jax.lax.cond(
            moves,
            lambda: update(params, opt_state, *args),
            lambda: (params, opt_state, *idle),
        )

    return maybe_update
